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

/** A whole turn of Node's loop takes no longer for them, with all that is done for others in it. Milliseconds. */
const turnMsMax = 5;
/** In one turn: to begin with, and the bounds of it. A turn without any costs something, too. */
const servedAtFirst = 64;
const servedMin = 16;
const servedMax = 1_024;
/** Of one connection, at most: each side ends, and breaks. */
const endsPerConnection = 4;

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
  /** As many as this wait no longer: see {@link came}. */
  #owed = 0;
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

  /**
   * A connection has come. Where they come faster than ends may be served, each turn serves the ends of one for each that came
   * in it: a queue that grew with them would hold places (limits.flows) of connections that are long over.
   */
  came(): void {
    if (this.#isAwaiting) this.#owed += endsPerConnection;
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
    const most = Math.max(this.#most, this.#owed);
    this.#owed = 0;
    if (this.first === this.next) return;
    this.#servedAtMs = nowMs;
    this.#awaitTurn();
    while (this.first < this.next && this.#served < most) {
      this.#served++;
      this.first++;
      this.#queue[this.#head++]!();
    }
    // While it never gets empty, those that were served are let go of all the same.
    this.#queue = this.first < this.next ? this.#queue.slice(this.#head) : [];
    this.#head = 0;
  }

  /** @param turnMs how long the turn took in which as many were served as may be */
  #judge(turnMs: number): void {
    if (turnMs > turnMsMax) this.#most = Math.max(servedMin, this.#most >> 1);
    else if (turnMs < turnMsMax / 2) this.#most = Math.min(servedMax, this.#most << 1);
  }
}
