/**
 * Frees what has expired, a part of the table at a time, so that control is never busy with it for long.
 * Lookups do not need it, they see expiries themselves; it makes room and keeps the count of pins honest.
 */
import { type PinCounters, pinCounter } from './counters.ts';
import { dirtyFlag, PinEntry, removedFlag } from './entry.ts';
import { reportWord, slotsPerBucket } from './layout.ts';
import type { PinLocks } from './lock.ts';
import type { PinSlots } from './slots.ts';

export class PinSweep {
  readonly #slots: PinSlots;
  readonly #locks: PinLocks;
  readonly #counters: PinCounters;
  readonly #entry = new PinEntry();
  /** The bucket to go on with. */
  #bucket = 0;

  constructor(slots: PinSlots, locks: PinLocks, counters: PinCounters) {
    this.#slots = slots;
    this.#locks = locks;
    this.#counters = counters;
  }

  /** Looks at the next `slotsMax` slots (rounded up to a bucket); returns the number of pins freed. */
  run(nowMs: number, slotsMax: number): number {
    const buckets = this.#slots.layout.slots / slotsPerBucket;
    const bucketsMax = Math.min(buckets, Math.ceil(slotsMax / slotsPerBucket));
    let freed = 0;
    for (let swept = 0; swept < bucketsMax; swept++) {
      freed += this.#sweepBucket(nowMs);
      this.#bucket = (this.#bucket + 1) % buckets;
    }
    return freed;
  }

  #sweepBucket(nowMs: number): number {
    const from = this.#bucket * slotsPerBucket;
    let freed = 0;
    for (let slot = from; slot < from + slotsPerBucket; slot++) {
      // A look without the lock first: it is wrong at worst by one sweep.
      if (!this.#isFreeable(slot, nowMs)) continue;
      const group = this.#slots.groupOf(slot);
      if (!this.#locks.acquire(group)) return freed;
      if (this.#isFreeable(slot, nowMs)) {
        this.#slots.free(slot);
        if ((this.#entry.flags & removedFlag) === 0) this.#slots.addToCount(group, -1);
        this.#counters.count(pinCounter.expired);
        freed++;
      }
      this.#locks.release(group);
    }
    return freed;
  }

  /** Expired or removed, and with nothing to report. Loads the entry. */
  #isFreeable(slot: number, nowMs: number): boolean {
    const { words } = this.#slots;
    if (!this.#slots.isUsed(slot)) return false;
    this.#entry.load(words, this.#slots.entryAt(slot));
    if (this.#entry.isLive(nowMs)) return false;
    return (this.#entry.flags & dirtyFlag) === 0 || Atomics.load(words, reportWord) === 0;
  }
}
