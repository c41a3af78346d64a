/**
 * Frees what has expired, a part of the table at a time, so that control is never busy with it for long.
 * Lookups do not need it, they see expiries themselves; it makes room and keeps the count of pins honest.
 *
 * Its runs are also the clock by which clients are taken to be connected (entry.ts), and it clears what a worker that
 * died said of them, before the numbers of eras come round again.
 */
import type { PinCensus } from './census.ts';
import { type PinCounters, pinCounter } from './counters.ts';
import { dirtyFlag, PinEntry, removedFlag } from './entry.ts';
import { reportWord, slotsPerBucket, sweepWord } from './layout.ts';
import type { PinLocks } from './lock.ts';
import type { PinSlots } from './slots.ts';

export class PinSweep {
  readonly #slots: PinSlots;
  readonly #locks: PinLocks;
  readonly #census: PinCensus;
  readonly #counters: PinCounters;
  readonly #entry = new PinEntry();
  /** The bucket to go on with. */
  #bucket = 0;

  constructor(slots: PinSlots, locks: PinLocks, census: PinCensus, counters: PinCounters) {
    this.#slots = slots;
    this.#locks = locks;
    this.#census = census;
    this.#counters = counters;
  }

  /** Looks at the next `slotsMax` slots (rounded up to a bucket); returns the number of pins freed. */
  run(nowMs: number, slotsMax: number): number {
    const buckets = this.#slots.layout.slots / slotsPerBucket;
    const bucketsMax = Math.min(buckets, Math.ceil(slotsMax / slotsPerBucket));
    Atomics.add(this.#slots.words, sweepWord, 1);
    let freed = 0;
    for (let swept = 0; swept < bucketsMax; swept++) {
      freed += this.#sweepBucket(nowMs);
      this.#bucket = (this.#bucket + 1) % buckets;
    }
    return freed;
  }

  #sweepBucket(nowMs: number): number {
    const from = this.#bucket * slotsPerBucket;
    const group = this.#slots.groupOf(from);
    let freed = 0;
    for (let slot = from; slot < from + slotsPerBucket; slot++) {
      // A look without the lock first: it is wrong at worst by one sweep.
      if (!this.#load(slot) || !(this.#isFreeable(nowMs) || this.#hasLapsed())) continue;
      if (!this.#locks.acquire(group)) return freed;
      if (this.#load(slot)) freed += this.#tidy(slot, group, nowMs);
      this.#locks.release(group);
    }
    return freed;
  }

  #load(slot: number): boolean {
    if (!this.#slots.isUsed(slot)) return false;
    this.#entry.load(this.#slots.words, this.#slots.entryAt(slot));
    return true;
  }

  /** Under the lock, with the slot's entry loaded. @returns the number of pins freed: 0 or 1 */
  #tidy(slot: number, group: number, nowMs: number): number {
    if (this.#isFreeable(nowMs)) {
      this.#slots.free(slot);
      if ((this.#entry.flags & removedFlag) === 0) this.#census.drop(group);
      this.#counters.count(pinCounter.expired);
      return 1;
    }
    if (this.#hasLapsed()) {
      this.#entry.openFlows = 0;
      this.#entry.save(this.#slots.words, this.#slots.entryAt(slot));
    }
    return 0;
  }

  /** Expired or removed, and with nothing to report. */
  #isFreeable(nowMs: number): boolean {
    if (this.#entry.isLive(nowMs, this.#slots.sweep)) return false;
    return (this.#entry.flags & dirtyFlag) === 0 || Atomics.load(this.#slots.words, reportWord) === 0;
  }

  /** Says that its client is connected, and nobody has confirmed that for too long. */
  #hasLapsed(): boolean {
    return this.#entry.openFlows !== 0 && !this.#entry.isConnected(this.#slots.era);
  }
}
