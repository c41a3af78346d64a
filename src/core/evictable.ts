/**
 * UDP conversations that must make room when it is needed, because nobody has proved to be behind them: how many each
 * worker has for each listener, and how many of those places other workers have taken over already.
 *
 *    worker A needs a place, has no such conversation itself, worker B has
 *    A: evictable - 1, claimed + 1 in B's word, in one exchange     the place is A's at once
 *    B: whichever conversation of that listener ends next pays for it; in B's next tick the first in line is made to
 *
 * So nobody waits for another thread, and a place that was taken over is never used twice: a conversation leaves the
 * count when it has proved itself, and cannot while all that are counted have been claimed.
 */
import { listenersMax } from './limits.ts';

/** A word: evictable in the lower bits, claimed above. */
const claimedShift = 18;
const evictableMask = (1 << claimedShift) - 1;
const oneClaimed = 1 << claimedShift;
/** Of one worker and listener. Beyond it they are not taken over, for as long as they have not been paid for. */
const claimedMax = 4_096;

export class Evictable {
  readonly workers: number;
  readonly worker: number;
  private readonly words: Int32Array;

  /** @param worker whose conversations `add`, `prove` and `pay` speak of */
  constructor(buffer: SharedArrayBuffer, worker = 0) {
    this.words = new Int32Array(buffer);
    this.workers = this.words.length / listenersMax;
    this.worker = worker;
  }

  static bufferOf(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer(workers * listenersMax * 4);
  }

  /** How many conversations of a worker nobody has a claim to. */
  count(worker: number, listenerId: number): number {
    return Atomics.load(this.words, at(worker, listenerId)) & evictableMask;
  }

  /** How many a worker has to end for others. */
  claimed(worker: number, listenerId: number): number {
    return Atomics.load(this.words, at(worker, listenerId)) >> claimedShift;
  }

  /** This worker has one more. */
  add(listenerId: number): void {
    Atomics.add(this.words, at(this.worker, listenerId), 1);
  }

  /** One of this worker's has proved itself. @returns false: all are claimed, and it may have to go */
  prove(listenerId: number): boolean {
    return this.change(this.worker, listenerId, (word) => ((word & evictableMask) > 0 ? word - 1 : word));
  }

  /**
   * One of this worker's is over.
   * @param isProved it was not counted here any more
   * @returns whether its place has been taken over by another worker
   */
  pay(listenerId: number, isProved: boolean): boolean {
    const where = at(this.worker, listenerId);
    for (;;) {
      const word = Atomics.load(this.words, where);
      const pays = word >> claimedShift > 0;
      const next = pays ? word - oneClaimed + (isProved ? 1 : 0) : isProved ? word : word - 1;
      if (next === word || Atomics.compareExchange(this.words, where, word, next) === word) return pays;
    }
  }

  /** Whether one more of a worker's may be taken over, if it has one. */
  mayClaim(worker: number, listenerId: number): boolean {
    return this.claimed(worker, listenerId) < claimedMax;
  }

  /** Takes over the place of a conversation of a worker. @returns false: there is none */
  claim(worker: number, listenerId: number): boolean {
    return this.change(worker, listenerId, (word) =>
      (word & evictableMask) > 0 && word >> claimedShift < claimedMax ? word - 1 + oneClaimed : word,
    );
  }

  /** Control only, when the worker is dead. @returns how many of the listener's places others had taken over */
  clear(worker: number, listenerId: number): number {
    return Atomics.exchange(this.words, at(worker, listenerId), 0) >> claimedShift;
  }

  /** @returns false if `next` leaves it as it is */
  private change(worker: number, listenerId: number, next: (word: number) => number): boolean {
    const where = at(worker, listenerId);
    for (;;) {
      const word = Atomics.load(this.words, where);
      const changed = next(word);
      if (changed === word) return false;
      if (Atomics.compareExchange(this.words, where, word, changed) === word) return true;
    }
  }
}

function at(worker: number, listenerId: number): number {
  return worker * listenersMax + listenerId;
}
