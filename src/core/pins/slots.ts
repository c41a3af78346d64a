/**
 * The slots of the pin table: finding a key, a free slot for a new one, taking and freeing slots.
 *
 * A slot is in use while its tag is not 0. The tag is stored after the entry and cleared before the entry
 * changes hands, so a thread killed in between leaves a free slot and never a mixture of two pins. Entries do
 * not move and a key is only ever in one of two buckets, so freeing a slot breaks no chain.
 *
 * `find` may run without the lock; its answer then counts only if the group's sequence has not changed.
 * All else needs the lock.
 */
import { eraOf, kindMask, PinEntry, removedFlag } from './entry.ts';
import {
  entryWords,
  keyWord,
  type PinLayout,
  scopeWord,
  slotsPerBucket,
  slotsPerGroup,
  stateWord,
  sweepWord,
  tagWordsPerBucket,
} from './layout.ts';
import type { PinProbe } from './probe.ts';
import { PinTouches } from './touches.ts';

export class PinSlots {
  readonly words: Int32Array;
  readonly layout: PinLayout;
  readonly touches: PinTouches;
  readonly #tagsAt: number;
  readonly #entriesAt: number;
  readonly #entry = new PinEntry();

  constructor(words: Int32Array, layout: PinLayout) {
    this.words = words;
    this.layout = layout;
    this.touches = new PinTouches(words, layout);
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

  /** What entries say of connected clients is compared with this. */
  get era(): number {
    return eraOf(this.sweep);
  }

  get sweep(): number {
    return Atomics.load(this.words, sweepWord);
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
        if (this.#hasKey(slot, probe)) return slot;
        matches &= matches - 1;
      }
    }
    return -1;
  }

  /** Whether a slot has, still, the key the probe is aimed at. */
  holds(slot: number, probe: PinProbe): boolean {
    return this.isUsed(slot) && this.#hasKey(slot, probe);
  }

  #hasKey(slot: number, probe: PinProbe): boolean {
    const { words } = this;
    const at = this.entryAt(slot);
    return (
      Atomics.load(words, at + keyWord + 3) === probe.w3 &&
      Atomics.load(words, at + scopeWord) === probe.scope &&
      Atomics.load(words, at + keyWord + 2) === probe.w2 &&
      Atomics.load(words, at + keyWord + 1) === probe.w1 &&
      Atomics.load(words, at + keyWord) === probe.w0 &&
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

  /** Puts a key and a value into a slot, free or not, and shows it. */
  occupy(slot: number, probe: PinProbe, value: PinEntry): void {
    const { words } = this;
    const at = this.entryAt(slot);
    this.#setTag(slot, 0);
    Atomics.store(words, at + keyWord, probe.w0);
    Atomics.store(words, at + keyWord + 1, probe.w1);
    Atomics.store(words, at + keyWord + 2, probe.w2);
    Atomics.store(words, at + keyWord + 3, probe.w3);
    Atomics.store(words, at + scopeWord, probe.scope);
    value.save(words, at);
    this.#setTag(slot, probe.pattern & 255);
    this.touches.note(slot);
  }

  free(slot: number): void {
    this.#setTag(slot, 0);
    this.touches.note(slot);
  }

  #setTag(slot: number, tag: number): void {
    const at = this.#tagsAt + (slot >> 2);
    const shift = (slot & 3) * 8;
    Atomics.store(this.words, at, (Atomics.load(this.words, at) & ~(255 << shift)) | (tag << shift));
  }

  /** Pins of a group that were not removed, looked for one by one. */
  countIn(group: number): number {
    let pins = 0;
    for (let slot = group * slotsPerGroup; slot < (group + 1) * slotsPerGroup; slot++) {
      if (!this.isUsed(slot)) continue;
      this.#entry.load(this.words, this.entryAt(slot));
      if ((this.#entry.flags & removedFlag) === 0) pins++;
    }
    return pins;
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
