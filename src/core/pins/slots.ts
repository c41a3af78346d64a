/**
 * The slots of the pin table: finding a key, choosing a slot for a new one, taking and freeing slots.
 *
 * A slot is in use while its tag is not 0. The tag is stored after the entry and cleared before the entry
 * changes hands, so a thread killed in between leaves a free slot and never a mixture of two pins. Entries do
 * not move and a key is only ever in one of two buckets, so freeing a slot breaks no chain.
 *
 * `find` may run without the lock; its answer then counts only if the group's sequence has not changed.
 * All else needs the lock.
 */
import { dirtyFlag, kindMask, PinEntry, removedFlag } from './entry.ts';
import {
  addressWord,
  countWord,
  entryWords,
  type PinLayout,
  reportWord,
  scopeWord,
  slotsPerBucket,
  slotsPerGroup,
  stateWord,
  tagWordsPerBucket,
  wordsPerLine,
} from './layout.ts';
import type { PinProbe } from './probe.ts';

export class PinSlots {
  readonly words: Int32Array;
  readonly layout: PinLayout;
  readonly #tagsAt: number;
  readonly #entriesAt: number;
  readonly #candidate = new PinEntry();

  constructor(words: Int32Array, layout: PinLayout) {
    this.words = words;
    this.layout = layout;
    this.#tagsAt = layout.tagsAt;
    this.#entriesAt = layout.entriesAt;
  }

  /** Index of the first word of a slot's entry. */
  entryAt(slot: number): number {
    return this.#entriesAt + slot * entryWords;
  }

  groupOf(slot: number): number {
    return Math.floor(slot / slotsPerGroup);
  }

  /** The slot of the key the probe is aimed at, or -1. */
  find(probe: PinProbe): number {
    const slot = this.#findIn(probe.bucketA, probe);
    return slot >= 0 ? slot : this.#findIn(probe.bucketB, probe);
  }

  #findIn(bucket: number, probe: PinProbe): number {
    const tagsAt = this.#tagsAt + bucket * tagWordsPerBucket;
    for (let i = 0; i < tagWordsPerBucket; i++) {
      let matches = zeroBytes(Atomics.load(this.words, tagsAt + i) ^ probe.pattern);
      while (matches !== 0) {
        const slot = bucket * slotsPerBucket + i * 4 + lowestByte(matches);
        if (this.#holds(slot, probe)) return slot;
        matches &= matches - 1;
      }
    }
    return -1;
  }

  #holds(slot: number, probe: PinProbe): boolean {
    const { words } = this;
    const at = this.entryAt(slot);
    return (
      Atomics.load(words, at + addressWord + 3) === probe.w3 &&
      Atomics.load(words, at + scopeWord) === probe.scope &&
      Atomics.load(words, at + addressWord + 2) === probe.w2 &&
      Atomics.load(words, at + addressWord + 1) === probe.w1 &&
      Atomics.load(words, at + addressWord) === probe.w0 &&
      (Atomics.load(words, at + stateWord) & kindMask) === probe.kind
    );
  }

  isUsed(slot: number): boolean {
    return ((Atomics.load(this.words, this.#tagsAt + (slot >> 2)) >>> ((slot & 3) * 8)) & 255) !== 0;
  }

  /** A free slot in the emptier of the two buckets; -1 if both are full. */
  freeSlot(probe: PinProbe): number {
    const freeA = this.#countFree(probe.bucketA);
    const freeB = this.#countFree(probe.bucketB);
    if (freeA === 0 && freeB === 0) return -1;
    return this.#firstFree(freeA >= freeB ? probe.bucketA : probe.bucketB);
  }

  #countFree(bucket: number): number {
    let free = 0;
    for (let i = 0; i < tagWordsPerBucket; i++) {
      const zeros = zeroBytes(Atomics.load(this.words, this.#tagsAt + bucket * tagWordsPerBucket + i));
      free += Math.imul(zeros >>> 7, 0x01010101) >>> 24;
    }
    return free;
  }

  #firstFree(bucket: number): number {
    let slot = bucket * slotsPerBucket;
    while (this.isUsed(slot)) slot++;
    return slot;
  }

  /**
   * The slot that can best be spared: one that has expired, else the unconfirmed pin that was not used for
   * longest, else the confirmed one. Never one with a change control has yet to be told of: -1 if all have.
   */
  victim(probe: PinProbe, nowMs: number): number {
    const mayDropDirty = Atomics.load(this.words, reportWord) === 0;
    const candidate = this.#candidate;
    let best = -1;
    let bestConfirmed = true;
    let bestUsedAtMs = Number.POSITIVE_INFINITY;
    for (let i = 0; i < slotsPerBucket * 2; i++) {
      const slot = (i < slotsPerBucket ? probe.bucketA : probe.bucketB - 1) * slotsPerBucket + i;
      candidate.load(this.words, this.entryAt(slot));
      if ((candidate.flags & dirtyFlag) !== 0 && !mayDropDirty) continue;
      if (!candidate.isLive(nowMs)) return slot;
      const confirmed = candidate.isConfirmed;
      if (confirmed === bestConfirmed ? candidate.usedAtMs >= bestUsedAtMs : confirmed) continue;
      best = slot;
      bestConfirmed = confirmed;
      bestUsedAtMs = candidate.usedAtMs;
    }
    return best;
  }

  /** Puts a key and a value into a slot, free or not, and shows it. */
  occupy(slot: number, probe: PinProbe, value: PinEntry): void {
    const { words } = this;
    const at = this.entryAt(slot);
    this.#setTag(slot, 0);
    Atomics.store(words, at + addressWord, probe.w0);
    Atomics.store(words, at + addressWord + 1, probe.w1);
    Atomics.store(words, at + addressWord + 2, probe.w2);
    Atomics.store(words, at + addressWord + 3, probe.w3);
    Atomics.store(words, at + scopeWord, probe.scope);
    value.save(words, at);
    this.#setTag(slot, probe.pattern & 255);
  }

  free(slot: number): void {
    this.#setTag(slot, 0);
  }

  #setTag(slot: number, tag: number): void {
    const at = this.#tagsAt + (slot >> 2);
    const shift = (slot & 3) * 8;
    Atomics.store(this.words, at, (Atomics.load(this.words, at) & ~(255 << shift)) | (tag << shift));
  }

  /** Pins of a group that were not removed; some may have expired. */
  count(group: number): number {
    return Atomics.load(this.words, this.#countAt(group));
  }

  addToCount(group: number, difference: number): void {
    Atomics.store(this.words, this.#countAt(group), this.count(group) + difference);
  }

  /** Counts a group anew, for one whose writer was killed on the way. */
  recount(group: number): void {
    let pins = 0;
    for (let slot = group * slotsPerGroup; slot < (group + 1) * slotsPerGroup; slot++) {
      if (!this.isUsed(slot)) continue;
      this.#candidate.load(this.words, this.entryAt(slot));
      if ((this.#candidate.flags & removedFlag) === 0) pins++;
    }
    Atomics.store(this.words, this.#countAt(group), pins);
  }

  #countAt(group: number): number {
    return this.layout.groupsAt + group * wordsPerLine + countWord;
  }
}

/** The high bit of every byte of `word` that is 0, and no other bit (H. S. Warren, Hacker's Delight, section 6-1). */
function zeroBytes(word: number): number {
  return ~(((word & 0x7f7f7f7f) + 0x7f7f7f7f) | word) & 0x80808080;
}

/** Number (0 to 3) of the lowest byte whose high bit is set. */
function lowestByte(bits: number): number {
  return (31 - Math.clz32(bits & -bits)) >> 3;
}
