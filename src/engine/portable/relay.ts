/**
 * One direction of a TCP relay: bytes, backpressure, and the end. Errors are not its business.
 *
 *    from --data--> to.write --false--> from.pause ... to 'drain' --> from.resume
 *    from --end---> to.end (after all bytes) --finish--> delivered
 *
 * When `to` takes nothing more, what comes is read and dropped (tcp-ending.ts). When the backend is left for another one, both
 * directions are detached and `from` has to wait.
 */
import type { Socket } from 'node:net';

export interface RelayEvents {
  /** `bytes` were read from one side and handed to the other. */
  moved(bytes: Buffer): void;
  /** @returns false: the end of `from` is not to be passed on */
  passesEnd(): boolean;
  /** `from` has ended; its last bytes may still be on their way. */
  ended(): void;
  /** Everything, the end included, is with the kernel of the other side. */
  delivered(): void;
  /** Where bytes may not move as fast as they come: milliseconds until some may. */
  waitMs?(): number;
}

/** Flows that share a rate look again within so long after there may be room, by lot. */
const lotMs = 32;
/** The longest delay that setTimeout takes. */
const holdMsMax = 2 ** 31 - 1;

export class Direction {
  readonly from: Socket;
  readonly to: Socket;
  /** `to` takes nothing more: it was reset, or a write to it failed. */
  isDeaf = false;
  /** `from` was broken off: what it sent may lack its end. */
  isCut = false;
  /** `from` is not read any more. */
  isStopped = false;
  /** The kernel has no more of `from`. */
  isOver = false;
  isDelivered = false;
  /** What came and nobody took. */
  droppedBytes = 0;

  #detach: () => void = () => undefined;
  /** Its bytes have moved faster than they may: `from` is not read until then. */
  #hold: NodeJS.Timeout | undefined = undefined;
  /** How often what came had to wait since something moved. */
  #inVain = 0;

  constructor(from: Socket, to: Socket) {
    this.from = from;
    this.to = to;
  }

  /** @param said what `from` has said before, and the same goes for its end */
  start(events: RelayEvents, said: readonly Buffer[] = []): void {
    const { from, to } = this;
    const onData = (bytes: Buffer): void => {
      if (this.isDeaf) this.droppedBytes += bytes.length;
      else if (events.waitMs !== undefined && this.#waits(events.waitMs())) from.unshift(bytes);
      else if (!to.destroyed) {
        if (!to.write(bytes)) from.pause();
        events.moved(bytes);
      }
    };
    const onDrain = (): void => this.resume();
    const onEnd = (): void => {
      this.isOver = true;
      if (!events.passesEnd()) return;
      if (!this.isDeaf && !this.isCut) to.end();
      events.ended();
    };
    const onFinish = (): void => {
      this.isDelivered = true;
      events.delivered();
    };
    from.on('data', onData).on('end', onEnd);
    to.on('drain', onDrain).on('finish', onFinish);
    this.#detach = () => {
      from.pause().off('data', onData).off('end', onEnd);
      to.off('drain', onDrain).off('finish', onFinish);
    };
    const isFull = said.map((bytes) => to.write(bytes)).includes(false);
    for (const bytes of said) events.moved(bytes);
    if (from.readableEnded) onEnd();
    else if (!isFull) this.resume();
  }

  /**
   * Whether what was read is to wait so long, and nothing is read meanwhile. A little longer, by lot: see epoll/tcp-pacer.ts. What
   * moves at once is much, so turns are few: who has waited in vain before looks sooner.
   */
  #waits(ms: number): boolean {
    if (ms === 0 || this.isStopped || this.isOver) {
      this.#inVain = 0;
      return false;
    }
    this.from.pause();
    this.#hold ??= setTimeout(
      () => {
        this.#hold = undefined;
        // Or its 'drain' does.
        if (!this.to.writableNeedDrain || this.isDeaf) this.resume();
      },
      Math.min(ms + (Math.random() * lotMs) / ++this.#inVain, holdMsMax),
    );
    return true;
  }

  /** `from` is to be read as soon as there is room in its rate. */
  get isHeld(): boolean {
    return this.#hold !== undefined;
  }

  /** The flow is over, or `from` is not read any more. */
  release(): void {
    clearTimeout(this.#hold);
    this.#hold = undefined;
  }

  /** Both sockets are without it from here on; `from` is paused. */
  detach(): void {
    this.release();
    this.#detach();
  }

  resume(): void {
    const { from } = this;
    if (from.destroyed || this.#hold !== undefined) return;
    if (!this.isStopped) from.resume();
    // With 'data', as if it flowed.
    else if (from.readableLength > 0) from.read();
  }

  /** The flow of bytes from the kernel ends; what was read goes on its way. */
  stop(): void {
    this.isStopped = true;
    this.release();
    this.from.pause();
  }

  /** Bytes this process holds on their way. */
  get heldBytes(): number {
    return this.isDeaf ? 0 : this.to.writableLength + this.from.readableLength;
  }
}
