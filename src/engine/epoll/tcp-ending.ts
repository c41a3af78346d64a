/**
 * The end of a flow that nobody asked for: a side broke, or nothing moved for too long. What was said before is passed on first.
 *
 *    a side breaks     --> what it had said goes to its peer; what the peer sends is read and dropped
 *      broken off      --> the peer has taken all, and is quiet --> reset
 *      ended before    --> the peer gets the end, and ends too, or its time is over
 *    nothing moved     --> no more is read; what was accepted is taken, or its time is over --> reset
 *
 * A server that answers early and closes (413, "too many connections") leaves bytes unread, so its kernel sends a reset behind the
 * answer. Ours would do the same to a client that still sends, and it would drop what waits in our socket: so a reset is not sent
 * before the kernel has nothing left for the client (SIOCOUTQ), nor while the client goes on sending, within bounds. A client that
 * broke gets no such care: only what it had said counts.
 *
 * The kernel does not tell when a peer has taken the last byte. So it is asked, in growing intervals.
 */
import { lingerBytesMax, lingerMs } from '../../core/limits.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { queuedBytes } from '../../linux/libc.ts';
import type { Context } from './context.ts';
import type { TcpFlow } from './tcp-flow.ts';
import { deliver, holds, letGo } from './tcp-relay.ts';
import type { TcpSide } from './tcp-side.ts';

const lookMsMin = 20;
const lookMsMax = 1_000;

export class TcpEnding {
  /** When it is looked at next. */
  deadlineMs: number;
  readonly code: TerminationCode;
  readonly #context: Context;
  readonly #owner: TcpFlow;
  /** Undefined: nothing moved. */
  readonly #broken: TcpSide | undefined;
  #lookMs = lookMsMin;
  #droppedBytes = 0;
  #droppedBytesSeen = 0;
  /** What the two sides had taken when it was looked at last, and when that became more. */
  #takenBytes = Number.POSITIVE_INFINITY;
  #takenMs: number;

  constructor(context: Context, owner: TcpFlow, code: TerminationCode, broken: TcpSide | undefined) {
    const { nowMs } = context.reactor;
    this.#context = context;
    this.#owner = owner;
    this.code = code;
    this.#broken = broken;
    this.#takenMs = nowMs;
    this.deadlineMs = nowMs + lookMsMin;
    if (broken !== undefined) this.#turnTo(broken);
  }

  /** The peer of the broken side has sent what nobody takes. */
  drop(bytes: number): void {
    this.#droppedBytes += bytes;
  }

  /** Ends the flow if there is nothing left to wait for. */
  conclude(): void {
    const broken = this.#broken;
    if (broken === undefined) {
      const { client, backend } = this.#owner;
      const isTaken = !holds(client) && !holds(backend) && this.#owner.queuedBytes() === 0;
      if (isTaken) this.#owner.reset(this.code);
      return;
    }
    const { peer } = broken;
    if (peer.deaf) return this.#owner.reset(this.code);
    if (!broken.finished) return;
    if (!broken.cut && !broken.isClient) {
      if (peer.finished) this.#owner.close(this.code);
      return;
    }
    if (!broken.isClient && this.#isSending(peer)) return;
    if (queuedBytes(peer.fd) === 0) this.#owner.reset(this.code);
  }

  /** Since it was looked at last. */
  #isSending(peer: TcpSide): boolean {
    return !peer.finished && (peer.readable || this.#droppedBytes > this.#droppedBytesSeen);
  }

  onLook(nowMs: number): void {
    if (this.#broken === undefined) this.#deliver();
    if (!this.#owner.isOver) this.conclude();
    if (this.#owner.isOver) return;
    this.#noteTaken(nowMs);
    if (this.#broken?.pacer?.isWaiting === true) this.#takenMs = nowMs;
    const limitMs = Math.min(lingerMs, this.#owner.flow.listener.plan.timeouts.idleMs);
    const isTooLong = nowMs - this.#takenMs >= limitMs || this.#droppedBytes > lingerBytesMax;
    if (isTooLong) return this.#owner.reset(this.code);
    this.#droppedBytesSeen = this.#droppedBytes;
    this.#lookMs = Math.min(2 * this.#lookMs, lookMsMax);
    this.deadlineMs = nowMs + this.#lookMs;
  }

  /** From now on the broken side is only read, and its peer unheard. */
  #turnTo(broken: TcpSide): void {
    const { peer } = broken;
    broken.deaf = true;
    broken.exact = true;
    broken.readable = !broken.ended;
    this.#droppedBytes += peer.heldEnd - peer.heldStart + peer.pipeBytes;
    letGo(this.#context, peer);
    // No splice: a pipe would have to be emptied again.
    peer.exact = true;
    this.#context.reactor.again(broken);
    this.#context.reactor.again(peer);
  }

  /** What was accepted, to whoever takes it. */
  #deliver(): void {
    const { client, backend } = this.#owner;
    for (const source of [client, backend]) {
      if (!this.#owner.isOver && holds(source) && !source.peer.blocked) deliver(this.#context, source);
    }
  }

  #noteTaken(nowMs: number): void {
    const { bytesIn, bytesOut } = this.#owner.flow;
    const takenBytes = bytesIn + bytesOut - this.#owner.queuedBytes();
    if (takenBytes > this.#takenBytes) this.#takenMs = nowMs;
    this.#takenBytes = takenBytes;
  }
}
