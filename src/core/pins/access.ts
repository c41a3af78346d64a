/**
 * Reading and writing the pin of one key: what the operations of data-plane.ts and of control have in
 * common. `probe` says where the key's pin may be, `entry` holds its value; both belong to this thread and are
 * good until the next operation.
 *
 *   read      without a lock: look, and look again if somebody wrote meanwhile
 *   write     lock, find the pin again, change `entry`, keep (or evict, place), release
 */
import { keyKinds } from '../key-kinds.ts';
import type { PinCensus } from './census.ts';
import type { PinChanges } from './changes.ts';
import { type PinCounters, pinCounter } from './counters.ts';
import { dirtyFlag, isTold, PinEntry, removedFlag } from './entry.ts';
import { idLengthsWord, reportWord } from './layout.ts';
import { isHeld, type PinLocks } from './lock.ts';
import { PinProbe } from './probe.ts';
import type { PinSlots } from './slots.ts';
import { PinVictims } from './victims.ts';

/** Reads that lost to a writer each time; each was beaten by a finished write, so this many in a row is absurd. */
const readsMax = 100_000;
const quicIdKind = keyKinds['quic-id'].number;

export abstract class PinAccess {
  protected readonly slots: PinSlots;
  protected readonly locks: PinLocks;
  protected readonly changes: PinChanges;
  protected readonly counters: PinCounters;
  protected readonly census: PinCensus;
  protected readonly victims: PinVictims;
  protected readonly probe: PinProbe;
  protected readonly entry = new PinEntry();

  constructor(
    slots: PinSlots,
    locks: PinLocks,
    census: PinCensus,
    changes: PinChanges,
    counters: PinCounters,
  ) {
    this.slots = slots;
    this.census = census;
    this.victims = new PinVictims(slots, census);
    this.locks = locks;
    this.changes = changes;
    this.counters = counters;
    this.probe = new PinProbe(slots.layout.groups);
  }

  protected get isReporting(): boolean {
    return Atomics.load(this.slots.words, reportWord) !== 0;
  }

  /**
   * How long the connection ids of QUIC are that servers have been pinned by here or at a peer: bit n for n bytes, 17 for more than 16.
   * What clients choose for themselves has any length and does not count.
   */
  get quicIdLengths(): number {
    return Atomics.load(this.slots.words, idLengthsWord);
  }

  /**
   * Without the lock: loads the probe's pin into `entry`; false if there is no live one. Beside a holder that has no
   * processor, or was killed, it reads all the same: a slot that changes hands gets its new key before its new value,
   * so a value is this key's if the key is still there afterwards. Of a pin that is just being written each word is
   * old or new, which for its backend and its expiry is as good as having come a little earlier or later.
   */
  protected read(nowMs: number): boolean {
    const { slots, locks, probe, entry } = this;
    for (let reads = 0; reads < readsMax; reads++) {
      const stamp = locks.glance(probe.group);
      const slot = slots.find(probe);
      if (slot >= 0) entry.load(slots.words, slots.entryAt(slot));
      const isWhole = slot < 0 || !isHeld(stamp) || slots.holds(slot, probe);
      if (isWhole && locks.unchanged(probe.group, stamp))
        return slot >= 0 && entry.isLive(nowMs, slots.sweep);
    }
    this.counters.count(pinCounter.blockedReads);
    return false;
  }

  /** Under the lock: finds the probe's pin and loads it into `entry`; -1 if there is no live one. */
  protected findLive(nowMs: number): number {
    const slot = this.slots.find(this.probe);
    return slot >= 0 && this.loadLive(slot, nowMs) ? slot : -1;
  }

  protected loadLive(slot: number, nowMs: number): boolean {
    this.entry.load(this.slots.words, this.slots.entryAt(slot));
    return this.entry.isLive(nowMs, this.slots.sweep);
  }

  /**
   * Under the lock: a slot for a new pin of the probe's key, with `entry` reset for it; -1 if there is none.
   * @param found the slot of this key if it has one, with a pin that has expired or was removed.
   */
  protected evict(found: number, nowMs: number): number {
    const { slots, probe, entry, census } = this;
    const free = found >= 0 ? -1 : slots.freeSlot(probe);
    let slot = found >= 0 ? found : free;
    if (slot < 0) slot = this.victims.inBuckets(probe, nowMs);
    if (slot < 0) return -1;
    if (slot !== free) entry.load(slots.words, slots.entryAt(slot));
    const wasRemoved = slot !== free && (entry.flags & removedFlag) !== 0;
    // A pin that goes leaves its place in the count to the new one.
    if (slot !== free && !wasRemoved) this.#countGone(entry.isLive(nowMs, slots.sweep));
    else if (!census.add(probe.group)) slot = this.#evictInGroup(slot, nowMs);
    if (slot < 0) return -1;
    if (slot !== found) entry.openFlows = 0;
    entry.reset(probe.kind, slot === found && wasRemoved);
    return slot;
  }

  /**
   * Takes another pin's place in the count. @returns the slot to use: the other's own if the key may be there, so that
   * every bucket keeps what can be spared in it; else `slot`, and the other's is freed. -1: none can be spared.
   */
  #evictInGroup(slot: number, nowMs: number): number {
    const { slots, victims, probe } = this;
    const victim = victims.inGroup(probe, nowMs);
    if (victim < 0) return -1;
    this.#countGone(victims.wasLive);
    if (!slots.isUsed(slot) && probe.mayBeIn(victim)) return victim;
    slots.free(victim);
    return slot;
  }

  #countGone(wasLive: boolean): void {
    this.counters.count(wasLive ? pinCounter.evictions : pinCounter.expired);
  }

  /** Under the lock: writes `entry` to what {@link evict} found for the probe's key. */
  protected place(slot: number, found: number): void {
    const { slots, probe, entry } = this;
    // In its old slot it stays visible: a rescan that looks without the lock must not miss a dirty one.
    if (slot === found) this.#save(slot);
    else slots.occupy(slot, probe, entry);
    if (probe.kind === quicIdKind && isTold(entry.reason))
      Atomics.or(slots.words, idLengthsWord, 1 << (probe.scope & 0xff));
  }

  /** Under the lock: writes `entry` back to its slot and queues it for control if that is news. */
  protected keep(slot: number): void {
    const { entry } = this;
    const isNews = (entry.flags & dirtyFlag) === 0 && entry.hasNews && this.isReporting;
    if (isNews) entry.flags |= dirtyFlag;
    this.#save(slot);
    if (isNews && !this.changes.note(slot, this.probe.group)) this.counters.count(pinCounter.ringOverflows);
  }

  /** A later expiry is noted as well: who has just seen it expire must hear that it has not. */
  #save(slot: number): void {
    const { slots, entry } = this;
    entry.save(slots.words, slots.entryAt(slot));
    slots.touches.note(slot);
  }
}
