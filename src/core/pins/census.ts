/**
 * How many pins there are, and that there are never more than the table was made for: it has half as many slots
 * again, so that buckets fill evenly, and full buckets are therefore no bound.
 *
 *   unassigned  (one word for all)  --- lent, some at a time --->  allowance of a group  >=  its count of pins
 *
 * The sum of all allowances and what is unassigned is the capacity. A group's words are on its lock's line and
 * written under its lock, so counting costs nothing; threads meet at the one word only when an allowance is used
 * up. Loans get smaller as less is unassigned, down to single pins, and then no group keeps what it does not
 * use: the last pins of the capacity are there for whichever group needs them.
 */
import {
  allowanceWord,
  countWord,
  exhaustedWord,
  type PinLayout,
  sweepWord,
  unassignedWord,
  wordsPerLine,
} from './layout.ts';
import type { PinLocks } from './lock.ts';

/** Threads meet once in so many pins made; more would not be measurable. */
const loanMax = 16;
/**
 * A loan is at most this part of what every group could still have. By the time nothing is unassigned a group that
 * gets its share of newcomers has used a loan up with certainty (Poisson: 32 newcomers expected, fewer than 2 are
 * 4e-13).
 */
const sharesPerLoan = 16;

export class PinCensus {
  readonly #words: Int32Array;
  readonly #layout: PinLayout;

  constructor(words: Int32Array, layout: PinLayout) {
    this.#words = words;
    this.#layout = layout;
  }

  /** Control, once: nothing is lent yet. */
  open(): void {
    Atomics.store(this.#words, unassignedWord, this.#layout.capacity);
    Atomics.store(this.#words, sweepWord, 1);
  }

  /** Pins of a group that were not removed; some may have expired. */
  count(group: number): number {
    return Atomics.load(this.#words, this.#lineOf(group) + countWord);
  }

  /** All pins. While others write, the groups are counted at different moments, hence the bound, which always holds. */
  total(): number {
    let total = 0;
    for (let group = 0; group < this.#layout.groups; group++) total += this.count(group);
    return Math.min(total, this.#layout.capacity);
  }

  /** Under the lock: one pin more. False: the table has all the pins it may have. */
  add(group: number): boolean {
    const line = this.#lineOf(group);
    const count = Atomics.load(this.#words, line + countWord);
    if (count >= Atomics.load(this.#words, line + allowanceWord) && !this.#borrow(line)) return false;
    Atomics.store(this.#words, line + countWord, count + 1);
    return true;
  }

  /** Under the lock: one pin less. */
  drop(group: number): void {
    const line = this.#lineOf(group);
    const count = Atomics.load(this.#words, line + countWord) - 1;
    Atomics.store(this.#words, line + countWord, count);
    Atomics.store(this.#words, line + exhaustedWord, 0);
    const allowance = Atomics.load(this.#words, line + allowanceWord);
    const kept = this.#loan(Atomics.load(this.#words, unassignedWord)) - 1;
    if (allowance - count <= kept * 2) return;
    // First taken from one, then given to the other: a thread killed in between leaves too few, never too many.
    Atomics.store(this.#words, line + allowanceWord, count + kept);
    Atomics.add(this.#words, unassignedWord, allowance - count - kept);
  }

  #borrow(line: number): boolean {
    let unassigned = Atomics.load(this.#words, unassignedWord);
    while (unassigned > 0) {
      const loan = this.#loan(unassigned);
      const seen = Atomics.compareExchange(this.#words, unassignedWord, unassigned, unassigned - loan);
      if (seen === unassigned) {
        Atomics.store(
          this.#words,
          line + allowanceWord,
          Atomics.load(this.#words, line + allowanceWord) + loan,
        );
        Atomics.store(this.#words, line + exhaustedWord, 0);
        return true;
      }
      unassigned = seen;
    }
    return false;
  }

  #loan(unassigned: number): number {
    const share = Math.floor(unassigned / (this.#layout.groups * sharesPerLoan));
    return Math.max(1, Math.min(loanMax, share));
  }

  /**
   * Under the lock: that none of the group's pins can be spared. True until the next sweep, or until one of them was
   * dropped, told of, or left by its client: a crowd of newcomers is then turned away without a search for each.
   */
  markExhausted(group: number): void {
    Atomics.store(this.#words, this.#lineOf(group) + exhaustedWord, Atomics.load(this.#words, sweepWord));
  }

  isExhausted(group: number): boolean {
    const sweep = Atomics.load(this.#words, this.#lineOf(group) + exhaustedWord);
    return sweep === Atomics.load(this.#words, sweepWord);
  }

  /** Under the lock: one of the group's pins can be spared now. */
  reconsider(group: number): void {
    Atomics.store(this.#words, this.#lineOf(group) + exhaustedWord, 0);
  }

  /** Under the lock of a writer that was killed: what it was counting, counted anew. */
  restore(group: number, count: number): void {
    Atomics.store(this.#words, this.#lineOf(group) + countWord, count);
    this.reconsider(group);
  }

  /**
   * Control, after a writer was killed with a lock in its hands: it may have taken a loan that no group has. Adds up all
   * allowances with every group locked for a moment (about 50 us for each 100,000 pins).
   * @returns false if a lock was not free: to be tried again
   */
  settle(locks: PinLocks): boolean {
    const { groups, capacity } = this.#layout;
    let locked = 0;
    let assigned = 0;
    while (locked < groups && locks.tryAcquire(locked)) {
      assigned += Atomics.load(this.#words, this.#lineOf(locked++) + allowanceWord);
    }
    const isDone = locked === groups;
    if (isDone) Atomics.store(this.#words, unassignedWord, capacity - assigned);
    while (locked > 0) locks.release(--locked);
    return isDone;
  }

  #lineOf(group: number): number {
    return this.#layout.groupsAt + group * wordsPerLine;
  }
}
