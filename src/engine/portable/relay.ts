/**
 * One direction of a TCP relay: bytes, backpressure, and the end. Errors are not its business.
 *
 *    from --data--> to.write --false--> from.pause ... to 'drain' --> from.resume
 *    from --end---> to.end (after all bytes) --finish--> delivered
 *
 * When `to` takes nothing more, what comes is read and dropped (tcp-ending.ts).
 */
import type { Socket } from 'node:net';

export interface RelayEvents {
  /** `bytes` were read from one side and handed to the other. */
  moved(bytes: number): void;
  /** `from` has ended; its last bytes may still be on their way. */
  ended(): void;
  /** Everything, the end included, is with the kernel of the other side. */
  delivered(): void;
}

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

  constructor(from: Socket, to: Socket) {
    this.from = from;
    this.to = to;
  }

  start(events: RelayEvents): void {
    const { from, to } = this;
    from.on('data', (bytes: Buffer) => {
      if (this.isDeaf) this.droppedBytes += bytes.length;
      else if (!to.destroyed) {
        if (!to.write(bytes)) from.pause();
        events.moved(bytes.length);
      }
    });
    to.on('drain', () => this.resume());
    from.on('end', () => {
      this.isOver = true;
      if (!this.isDeaf && !this.isCut) to.end();
      events.ended();
    });
    to.on('finish', () => {
      this.isDelivered = true;
      events.delivered();
    });
    this.resume();
  }

  resume(): void {
    const { from } = this;
    if (from.destroyed) return;
    if (!this.isStopped) from.resume();
    // With 'data', as if it flowed.
    else if (from.readableLength > 0) from.read();
  }

  /** The flow of bytes from the kernel ends; what was read goes on its way. */
  stop(): void {
    this.isStopped = true;
    this.from.pause();
  }

  /** Bytes this process holds on their way. */
  get heldBytes(): number {
    return this.isDeaf ? 0 : this.to.writableLength + this.from.readableLength;
  }
}
