/**
 * The end of a flow that nobody asked for: a side broke, or nothing moved for too long. What was said before is passed on first.
 *
 *    a side breaks     --> what it had said goes to its peer; what the peer sends is read and dropped
 *      broken off      --> the peer's kernel has taken all, and the peer is quiet --> reset
 *      ended before    --> the peer gets the end, and ends too, or its time is over
 *    nothing moved     --> no more is read; what was accepted is taken, or its time is over --> reset
 *
 * A reset drops what our kernel still holds for the peer, and what the peer has not read from its own. So it waits until nothing is
 * held (kernel-queues.ts), and for a client that still sends, within bounds. Why: epoll/tcp-ending.ts, which does the same.
 */
import { lingerBytesMax, lingerMs } from '../../core/limits.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { type Carried, type Context, guarded } from './context.ts';
import type { Direction } from './relay.ts';

/** The flow as its ending sees it. */
export interface Ended extends Carried {
  readonly isOver: boolean;
  /** Both directions; `up` leads to the backend. */
  readonly up: Direction;
  readonly down: Direction;
  /** When the relay moved something last. */
  readonly movedAtMs: number;
  /** Both have ended in order. */
  finish(code: TerminationCode): void;
  /** Calls `ending.look` at its deadline. */
  watch(): void;
}

const lookMsMin = 100;
const lookMsMax = 1_000;

export class TcpEnding {
  deadlineMs: number;
  readonly code: TerminationCode;
  readonly #context: Context;
  readonly #ended: Ended;
  /** Where the last words of the broken side go; undefined: nothing moved. */
  readonly #words: Direction | undefined;
  /** From its peer; nobody takes it. */
  readonly #unheard: Direction | undefined;
  #lookMs = lookMsMin;
  #droppedBytesSeen = 0;
  #takenBytes = Number.POSITIVE_INFINITY;
  #takenAtMs: number;

  constructor(context: Context, ended: Ended, code: TerminationCode, words: Direction | undefined) {
    const nowMs = context.nowMs();
    this.#context = context;
    this.#ended = ended;
    this.code = code;
    this.#words = words;
    this.#takenAtMs = nowMs;
    // What was handed over a moment ago has not been acknowledged yet. How long ago says nothing else: a peer may have stalled.
    this.deadlineMs = Math.max(nowMs, ended.movedAtMs + lookMsMin);
    if (words === undefined) {
      for (const direction of [ended.up, ended.down]) direction.stop();
      return;
    }
    this.#unheard = words === ended.down ? ended.up : ended.down;
    // What was dropped unread counts as sent: the peer was sending.
    this.#unheard.droppedBytes += this.#unheard.heldBytes;
    this.#unheard.isDeaf = true;
    this.#unheard.resume();
  }

  /** Ends the flow if both sides have ended by now. What our kernel holds only {@link look} finds out. */
  conclude(): void {
    const words = this.#words;
    if (words === undefined || !this.#awaitsEnd || !words.isOver || words.heldBytes > 0) return;
    if (words.isDelivered && this.#unheard!.isOver) this.#ended.finish(this.code);
  }

  look(): void {
    const { up, down } = this.#ended;
    const open = [up, down].filter((direction) => !direction.isDeaf).map(({ to }) => to);
    // What is handed to the kernel after the question may be missing in the answer.
    const wasHanded = this.#heldBytes === 0 && (this.#words?.isOver ?? true);
    this.#context.queues.ask(open, (queuedBytes) => {
      if (this.#ended.isOver) return;
      guarded(this.#context, this.#ended, () => this.#judge(queuedBytes, wasHanded));
      if (!this.#ended.isOver) this.#ended.watch();
    });
  }

  get #heldBytes(): number {
    return this.#ended.up.heldBytes + this.#ended.down.heldBytes;
  }

  #judge(queuedBytes: number, wasHanded: boolean): void {
    const { flow } = this.#ended;
    const heldBytes = this.#heldBytes;
    const words = this.#words;
    const isTaken = wasHanded && heldBytes + queuedBytes === 0;
    if (isTaken && !this.#awaitsEnd && !this.#isSending) return this.#ended.end(this.code);
    const nowMs = this.#context.nowMs();
    const takenBytes = flow.bytesIn + flow.bytesOut - heldBytes - queuedBytes;
    if (takenBytes > this.#takenBytes || words?.isHeld === true) this.#takenAtMs = nowMs;
    this.#takenBytes = takenBytes;
    const droppedBytes = this.#unheard?.droppedBytes ?? 0;
    const limitMs = Math.min(lingerMs, flow.listener.plan.timeouts.idleMs);
    if (nowMs - this.#takenAtMs >= limitMs || droppedBytes > lingerBytesMax) {
      return this.#ended.end(this.code);
    }
    this.#droppedBytesSeen = droppedBytes;
    this.#lookMs = Math.min(2 * this.#lookMs, lookMsMax);
    this.deadlineMs = nowMs + this.#lookMs;
  }

  /** The client has an answer to the end: it is to end too, rather than be reset. */
  get #awaitsEnd(): boolean {
    return this.#words === this.#ended.down && !this.#words.isCut;
  }

  /** A client that sent something since the last look. */
  get #isSending(): boolean {
    return this.#words === this.#ended.down && this.#unheard!.droppedBytes > this.#droppedBytesSeen;
  }
}
