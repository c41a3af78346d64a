/**
 * What control has yet to be told: one ring of slot numbers per writer (written by that thread alone, read by
 * control alone), and the dirty flag of the entries themselves.
 *
 * The flag is the truth, the ring is where to look: a pin that is dirty already is not queued again, a queued
 * slot that is no longer dirty is skipped, a slot that got another key meanwhile yields that key's change. If
 * a ring is full, or its writer was killed, the group of the entry is marked for a rescan, so no change is lost.
 *
 * Order: a writer marks the entry, then queues it, both under the group's lock. Control takes the same lock to
 * read and clear the mark, so it never sees one half of this.
 */
import {
  type PinLayout,
  rescanAnyWord,
  rescanWord,
  ringHeaderWords,
  wordsPerLine,
  writersMax,
} from './layout.ts';

export class PinChanges {
  readonly #words: Int32Array;
  readonly #layout: PinLayout;
  readonly #ringAt: number;
  readonly #groupsAt: number;
  readonly #slotMask: number;

  constructor(words: Int32Array, layout: PinLayout, writerIndex: number) {
    this.#words = words;
    this.#layout = layout;
    this.#ringAt = ringAt(layout, writerIndex);
    this.#groupsAt = layout.groupsAt;
    this.#slotMask = layout.ringSlots - 1;
  }

  /** Queues a slot in this thread's ring; false if it was full and the group is marked for a rescan instead. */
  note(slot: number, group: number): boolean {
    const words = this.#words;
    const head = Atomics.load(words, this.#ringAt);
    const tail = Atomics.load(words, this.#ringAt + wordsPerLine);
    if (((head - tail) | 0) > this.#slotMask) {
      this.askForRescan(group);
      return false;
    }
    Atomics.store(words, this.#ringAt + ringHeaderWords + (head & this.#slotMask), slot);
    Atomics.store(words, this.#ringAt, (head + 1) | 0);
    return true;
  }

  askForRescan(group: number): void {
    Atomics.store(this.#words, this.#groupsAt + group * wordsPerLine + rescanWord, 1);
    // After the group's word: control clears this one first and looks at the groups then.
    Atomics.store(this.#words, rescanAnyWord, 1);
  }

  /** Control: the oldest slot in a writer's ring, which is left there; -1 if it is empty. */
  peek(writerIndex: number): number {
    const at = ringAt(this.#layout, writerIndex);
    const tail = Atomics.load(this.#words, at + wordsPerLine);
    if (Atomics.load(this.#words, at) === tail) return -1;
    return Atomics.load(this.#words, at + ringHeaderWords + (tail & this.#slotMask));
  }

  /** Control: drops what {@link peek} returned. */
  advance(writerIndex: number): void {
    const at = ringAt(this.#layout, writerIndex) + wordsPerLine;
    Atomics.store(this.#words, at, (Atomics.load(this.#words, at) + 1) | 0);
  }

  /** Control: calls `rescan` for every group that asked for it. One that is not finished may ask again. */
  takeRescans(rescan: (group: number) => void): void {
    if (Atomics.exchange(this.#words, rescanAnyWord, 0) === 0) return;
    for (let group = 0; group < this.#layout.groups; group++) {
      const at = this.#groupsAt + group * wordsPerLine + rescanWord;
      if (Atomics.load(this.#words, at) !== 0 && Atomics.exchange(this.#words, at, 0) !== 0) rescan(group);
    }
  }
}

function ringAt(layout: PinLayout, writerIndex: number): number {
  if (writerIndex < 0 || writerIndex >= writersMax) throw new RangeError(`pin table writer ${writerIndex}`);
  return layout.ringsAt + writerIndex * (ringHeaderWords + layout.ringSlots);
}
