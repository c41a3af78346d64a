/**
 * Which pin makes room for a new one: one that has expired, else of those nobody was served by yet (unconfirmed) the
 * one unused for longest, else of those whose clients have left. Never one whose client is connected now, and none
 * with a change control has yet to be told of: then the newcomer goes without a pin.
 *
 * There are two wants. Both buckets of a key may be full: then the pin must be in one of them. Or the table may have
 * all its pins: then any pin of the group will do. The key's own buckets come first, and others only where no pin in
 * those can be spared: a slot that goes from an unconfirmed pin to the next keeps every bucket supplied with one, so
 * that a flood of them a hundred times the size of a full table pushes out the stalest tenth of the others, once.
 *
 * All of it needs the group's lock.
 */
import type { PinCensus } from './census.ts';
import { dirtyFlag, eraOf, PinEntry, removedFlag } from './entry.ts';
import { bucketsPerGroup, reportWord, slotsPerBucket } from './layout.ts';
import type { PinProbe } from './probe.ts';
import type { PinSlots } from './slots.ts';

/** Ranks, lowest first to go. */
const expired = 0;
const unconfirmed = 1;
const left = 2;
const nobody = 3;

export class PinVictims {
  readonly #slots: PinSlots;
  readonly #census: PinCensus;
  readonly #entry = new PinEntry();
  #best = -1;
  #bestRank = nobody;
  #bestUsedAtMs = 0;

  constructor(slots: PinSlots, census: PinCensus) {
    this.#slots = slots;
    this.#census = census;
  }

  /** A slot of the key's two buckets, both full; it may be that of a removed pin, which counts no more. -1: none. */
  inBuckets(probe: PinProbe, nowMs: number): number {
    this.#start();
    this.#look(probe.bucketA, true, nowMs);
    this.#look(probe.bucketB, true, nowMs);
    return this.#best;
  }

  /** The slot of a pin of the key's group, the key's own buckets first. -1: none. */
  inGroup(probe: PinProbe, nowMs: number): number {
    if (this.#census.isExhausted(probe.group)) return -1;
    this.#start();
    const base = probe.group * bucketsPerGroup;
    this.#look(probe.bucketA, false, nowMs);
    this.#look(probe.bucketB, false, nowMs);
    for (let step = 1; step < bucketsPerGroup && this.#best < 0; step++) {
      const bucket = base + ((probe.bucketB + step) % bucketsPerGroup);
      if (bucket !== probe.bucketA) this.#look(bucket, false, nowMs);
    }
    if (this.#best < 0) this.#census.markExhausted(probe.group);
    return this.#best;
  }

  /** Of what was found last: it had not expired. */
  get wasLive(): boolean {
    return this.#bestRank !== expired;
  }

  #start(): void {
    this.#best = -1;
    this.#bestRank = nobody;
    this.#bestUsedAtMs = 0;
  }

  #look(bucket: number, mayBeRemoved: boolean, nowMs: number): void {
    const { words, sweep } = this.#slots;
    const mayDropDirty = Atomics.load(words, reportWord) === 0;
    const end = (bucket + 1) * slotsPerBucket;
    for (let slot = end - slotsPerBucket; slot < end && this.#bestRank !== expired; slot++) {
      if (!this.#slots.isUsed(slot)) continue;
      const entry = this.#entry;
      entry.load(words, this.#slots.entryAt(slot));
      if ((entry.flags & dirtyFlag) !== 0 && !mayDropDirty) continue;
      if ((entry.flags & removedFlag) !== 0 && !mayBeRemoved) continue;
      this.#weigh(slot, rankOf(entry, sweep, nowMs));
    }
  }

  #weigh(slot: number, rank: number): void {
    const { usedAtMs } = this.#entry;
    if (rank > this.#bestRank || rank === nobody) return;
    if (rank === this.#bestRank && usedAtMs >= this.#bestUsedAtMs) return;
    this.#best = slot;
    this.#bestRank = rank;
    this.#bestUsedAtMs = usedAtMs;
  }
}

function rankOf(entry: PinEntry, sweep: number, nowMs: number): number {
  if (!entry.isLive(nowMs, sweep)) return expired;
  if (entry.isConnected(eraOf(sweep))) return nobody;
  return entry.isConfirmed ? left : unconfirmed;
}
