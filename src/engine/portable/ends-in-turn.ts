/**
 * Ends of connections, some in each turn of the loop. A backend that is killed ends all its connections in one moment, and libuv tells
 * of all of them in one turn. What follows on an end (the other side is told, ends too, and both are closed) would keep everybody
 * waiting who is served. So an end that was read is looked at again behind the others:
 *
 *    few in a turn  --> at once
 *    more of them   --> in a queue, in the order they came: so many of it in each turn that a turn stays short
 *
 * The epoll engine does the same (linux/reactor.ts).
 */
import { endingMsPerTurn } from '../../core/limits.ts';

/** In one turn: to begin with, and the bounds of it. A turn without any costs something, too. */
const servedAtFirst = 64;
const servedMin = 16;
const servedMax = 1_024;

export class EndsInTurn {
  /** Serial numbers in the queue: of the next one to be served, and of the next one to come. */
  first = 0;
  next = 0;
  readonly #nowMs: () => number;
  #queue: (() => void)[] = [];
  /** Of the queue that were served. */
  #head = 0;
  /** Since the turn began. */
  #served = 0;
  #most = servedAtFirst;
  #isAwaiting = false;
  /** When some of the queue were served last; undefined: none were in the turn before. */
  #servedAtMs: number | undefined;

  /** @param nowMs monotonic, milliseconds */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** @param serve called once: now, or in a later turn. It looks by itself whether it is still wanted */
  add(serve: () => void): void {
    this.#awaitTurn();
    if (this.first === this.next && this.#served < this.#most) {
      this.#served++;
      serve();
      return;
    }
    this.#queue.push(serve);
    this.next++;
  }

  #awaitTurn(): void {
    if (this.#isAwaiting) return;
    this.#isAwaiting = true;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    this.#isAwaiting = false;
    this.#served = 0;
    const nowMs = this.#nowMs();
    if (this.#servedAtMs !== undefined) this.#judge(nowMs - this.#servedAtMs);
    this.#servedAtMs = undefined;
    if (this.first === this.next) return;
    this.#servedAtMs = nowMs;
    this.#awaitTurn();
    while (this.first < this.next && this.#served < this.#most) {
      this.#served++;
      this.first++;
      this.#queue[this.#head++]!();
    }
    if (this.first < this.next) return;
    this.#queue = [];
    this.#head = 0;
  }

  /** @param turnMs how long the turn took in which as many were served as may be */
  #judge(turnMs: number): void {
    if (turnMs > endingMsPerTurn) this.#most = Math.max(servedMin, this.#most >> 1);
    else if (turnMs < endingMsPerTurn / 2) this.#most = Math.min(servedMax, this.#most << 1);
  }
}
