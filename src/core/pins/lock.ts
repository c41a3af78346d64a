/**
 * The locks of the pin table, one word per group of slots: the owner in the low 7 bits (writer index + 1,
 * 0 = free), a sequence number in the rest that grows with every release. Writers take it by compare-exchange.
 * Readers take nothing: they note the word, read, and start again if it has changed
 * (a sequence lock; H. Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012). They
 * wait a moment for it to be free; who goes on beside a holder has to see for itself that what it read is whole.
 *
 * Ordering: everything under a lock is read and written with Atomics, on both sides. JavaScript's Atomics are
 * sequentially consistent, so this needs no fences and is as right on arm64 as on x86; plain accesses would
 * not be (a plain store may overtake the store half of the compare-exchange there).
 *
 * ABA: a reader is fooled only if it sleeps in one lookup for exactly a multiple of 2^25 writes to its group.
 *
 * Nobody waits for ever. A holder that is alive is away for microseconds, or for a scheduler's turn when it
 * was preempted; writers spin, then sleep a millisecond at a time so that it can run. A holder that was
 * killed is given up on, and once given up on costs no further wait, until control releases its locks.
 * One that lives and had no processor for all that time is given up on, too: what was to be written is not.
 */
import { lockWord, wordsPerLine } from './layout.ts';

const ownerMask = 127;
const ownerBits = 7;
/** Not a possible free word: its owner bits are set. */
export const blocked = -1;

/** About 10 us: many times what a writer holds a lock for. */
const spinsMax = 1000;
/** Sleeps of 1 ms: longer than a busy machine keeps a preempted holder from running; paid once per killed thread. */
const sleepsMax = 250;
/** Races lost in a row; each was won by somebody else, so this is only a belt for the braces. */
const racesMax = 100_000;

export class PinLocks {
  readonly #words: Int32Array;
  readonly #groupsAt: number;
  readonly #groups: number;
  readonly #owner: number;
  #givenUpAt = -1;
  #givenUpWord = 0;
  #passedAt = -1;
  #passedWord = 0;

  constructor(words: Int32Array, groupsAt: number, groups: number, writerIndex: number) {
    this.#words = words;
    this.#groupsAt = groupsAt;
    this.#groups = groups;
    this.#owner = writerIndex + 1;
  }

  /** Takes the group's lock; false if its holder does not let go. Not reentrant. */
  acquire(group: number): boolean {
    const at = this.#at(group);
    for (let races = 0; races < racesMax; races++) {
      const word = this.#freeWord(at);
      if (word === blocked) return false;
      if (Atomics.compareExchange(this.#words, at, word, word | this.#owner) === word) return true;
    }
    return false;
  }

  /** As {@link acquire}, without sleeping: false if it is not free within microseconds. */
  tryAcquire(group: number): boolean {
    const at = this.#at(group);
    const word = this.#spin(at);
    if (isHeld(word)) return false;
    return Atomics.compareExchange(this.#words, at, word, word | this.#owner) === word;
  }

  /** Lets go of a lock this thread holds. */
  release(group: number): void {
    const at = this.#at(group);
    Atomics.store(this.#words, at, freed(Atomics.load(this.#words, at)));
  }

  /** What {@link unchanged} compares with later; `blocked` if the group's holder does not let go. */
  stamp(group: number): number {
    return this.#freeWord(this.#at(group));
  }

  /** As {@link stamp}, without sleeping: the word of a holder that does not let go within microseconds, see {@link isHeld}. */
  glance(group: number): number {
    const at = this.#at(group);
    const word = Atomics.load(this.#words, at);
    // The same holder in the same critical section as when we were here last: it has no processor, or is gone.
    if (!isHeld(word) || (at === this.#passedAt && word === this.#passedWord)) return word;
    const later = this.#spin(at);
    if (isHeld(later)) {
      this.#passedAt = at;
      this.#passedWord = later;
    }
    return later;
  }

  /** True if nobody finished writing to the group since `stamp`, and none began if it was free. */
  unchanged(group: number, stamp: number): boolean {
    return Atomics.load(this.#words, this.#at(group)) === stamp;
  }

  /**
   * Frees what a writer that no longer runs had locked.
   * @param visit is called with each group before it is freed: nobody else may write to it at that moment.
   */
  releaseOwnedBy(writerIndex: number, visit: (group: number) => void): number {
    let released = 0;
    for (let group = 0; group < this.#groups; group++) {
      const at = this.#at(group);
      const word = Atomics.load(this.#words, at);
      if ((word & ownerMask) !== writerIndex + 1) continue;
      visit(group);
      Atomics.store(this.#words, at, freed(word));
      released++;
    }
    return released;
  }

  #at(group: number): number {
    return this.#groupsAt + group * wordsPerLine + lockWord;
  }

  #freeWord(at: number): number {
    const word = Atomics.load(this.#words, at);
    return isHeld(word) ? this.#wait(at) : word;
  }

  /** The word as soon as it is free, or as it is in the end. */
  #spin(at: number): number {
    let word = 0;
    for (let spins = 0; spins < spinsMax; spins++) {
      word = Atomics.load(this.#words, at);
      if (!isHeld(word)) return word;
    }
    return word;
  }

  #wait(at: number): number {
    let word = this.#spin(at);
    if (!isHeld(word)) return word;
    // The same holder in the same critical section as when we gave up: it has not lived since.
    if (at === this.#givenUpAt && word === this.#givenUpWord) return blocked;
    for (let sleeps = 0; sleeps < sleepsMax; sleeps++) {
      // Releases do not notify (that would cost every writer a call): this is a sleep cut short by a change
      // that happened before it began.
      Atomics.wait(this.#words, at, word, 1);
      word = Atomics.load(this.#words, at);
      if (!isHeld(word)) return word;
    }
    this.#givenUpAt = at;
    this.#givenUpWord = word;
    return blocked;
  }
}

export function isHeld(word: number): boolean {
  return (word & ownerMask) !== 0;
}

function freed(word: number): number {
  return ((word >>> ownerBits) + 1) << ownerBits;
}
