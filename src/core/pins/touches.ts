/**
 * Which slots may hold another pin than when somebody looked last: a bit for each, and one for each group that has any. Whoever keeps
 * something made of the pins (the kernel's table) reads these slots again instead of all. Unlike changes.ts it is about all there
 * is to see in the table, pins that expired or made room for others among it, and knows a slot and not what was in it.
 *
 *   writer    under the group's lock: changes the slot, sets its bit, then its group's
 *   follower  clears the group's bit, then takes the bits of its slots under the group's lock, and reads the slots without it
 *
 * A key has one pin, always in the same group. So of a pin that went from one slot to another the follower gets the slot it has left no
 * later than the one it is in. Where a lock is not free the group is left for the next time: nothing is lost.
 *
 * Nothing is noted, and nobody pays, until somebody {@link follow}s. One thread only.
 */
import { followedWord, type PinLayout, slotsPerGroup } from './layout.ts';
import type { PinLocks } from './lock.ts';

const bitsPerWord = 32;
const wordsPerGroup = slotsPerGroup / bitsPerWord;

export class PinTouches {
  readonly #words: Int32Array;
  readonly #groupsAt: number;
  readonly #groupWords: number;
  readonly #slotsAt: number;
  /** The word of groups to begin with, so that those at the end have their turn. */
  #next = 0;

  constructor(words: Int32Array, { groups, touchedGroupsAt, touchedSlotsAt }: PinLayout) {
    this.#words = words;
    this.#groupsAt = touchedGroupsAt;
    this.#groupWords = Math.ceil(groups / bitsPerWord);
    this.#slotsAt = touchedSlotsAt;
  }

  /** From now on. What was changed before is not told. */
  follow(): void {
    Atomics.store(this.#words, followedWord, 1);
  }

  /** Under the lock of the slot's group, or to read the slot again oneself. */
  note(slot: number): void {
    if (Atomics.load(this.#words, followedWord) === 0) return;
    Atomics.or(this.#words, this.#slotsAt + Math.floor(slot / bitsPerWord), 1 << (slot % bitsPerWord));
    this.#noteGroup(Math.floor(slot / slotsPerGroup));
  }

  /** All slots of a group whose lock is held. */
  noteAll(group: number): void {
    if (Atomics.load(this.#words, followedWord) === 0) return;
    const at = this.#slotsAt + group * wordsPerGroup;
    for (let word = at; word < at + wordsPerGroup; word++) Atomics.store(this.#words, word, -1);
    this.#noteGroup(group);
  }

  /** The follower: whether {@link take} has anything. */
  get areAny(): boolean {
    for (let word = 0; word < this.#groupWords; word++)
      if (Atomics.load(this.#words, this.#groupsAt + word) !== 0) return true;
    return false;
  }

  /**
   * The follower: shows the slots that were noted since they were shown last, those of one group at a time and without a lock.
   * @param max of slots: no further group is begun then
   * @returns how many were shown
   */
  take(locks: PinLocks, max: number, visit: (slots: readonly number[]) => void): number {
    let taken = 0;
    for (let words = 0; words < this.#groupWords && taken < max; words++) {
      const word = this.#next;
      this.#next = (word + 1) % this.#groupWords;
      if (Atomics.load(this.#words, this.#groupsAt + word) === 0) continue;
      const groups = Atomics.exchange(this.#words, this.#groupsAt + word, 0);
      for (let rest = groups; rest !== 0; rest &= rest - 1) {
        const group = word * bitsPerWord + lowestBit(rest);
        const slots = taken < max ? this.#takeGroup(locks, group) : undefined;
        if (slots === undefined) {
          this.#noteGroup(group);
          continue;
        }
        taken += slots.length;
        visit(slots);
      }
    }
    return taken;
  }

  /** @returns undefined: its lock is not free */
  #takeGroup(locks: PinLocks, group: number): number[] | undefined {
    if (!locks.tryAcquire(group)) return undefined;
    const slots: number[] = [];
    for (let word = 0; word < wordsPerGroup; word++) {
      const at = this.#slotsAt + group * wordsPerGroup + word;
      const bits = Atomics.exchange(this.#words, at, 0);
      for (let rest = bits; rest !== 0; rest &= rest - 1)
        slots.push(group * slotsPerGroup + word * bitsPerWord + lowestBit(rest));
    }
    locks.release(group);
    return slots;
  }

  #noteGroup(group: number): void {
    const at = this.#groupsAt + Math.floor(group / bitsPerWord);
    const bit = 1 << (group % bitsPerWord);
    if ((Atomics.load(this.#words, at) & bit) === 0) Atomics.or(this.#words, at, bit);
  }
}

function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
