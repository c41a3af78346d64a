/**
 * The pin table: which backend each client is pinned to, in memory shared by all threads. Fixed size, no
 * messages, no clock of its own (callers pass milliseconds of one monotonic clock that all threads share).
 *
 *   worker --- lookup, touch, claim, move, confirm, remove ---> table <--- applyRemote --- control
 *          --- arrive, stay, leave --------------------------->
 *                                                                 |
 *                              drainChanges, entries, expire      +----------------------> control
 *                              follow, takeTouched, pinIn         +----------------------> the kernel's worker
 *
 * Promises: a key has one pin, whoever asks; a table takes `capacity` pins before it evicts any, and never more; a
 * pin is read whole or not at all; a change of a confirmed pin is reported, by itself or merged with later ones; the
 * pin of a client that is connected (arrive to leave) is not evicted.
 * Does not promise: that any other pin stays (victims.ts), that a newcomer gets one while all those it could take the
 * place of are of clients that are connected or await reporting, that an
 * eviction or expiry is reported (the cluster's copy of the pin outlives it and expires by itself), any
 * defence against clients that choose addresses of equal hash (they can only evict each other's group).
 */
import { isSameKey, type Key } from '../key.ts';
import { PinCensus } from './census.ts';
import { PinChanges } from './changes.ts';
import { type PinCounterName, PinCounters, pinCounter } from './counters.ts';
import { PinDataPlane } from './data-plane.ts';
import { confirmedFlag, pinReasonNumbers, removedFlag, ttlMsMax } from './entry.ts';
import {
  magic,
  magicWord,
  type PinLayout,
  type PinTableShared,
  pinLayout,
  reportWord,
  writersMax,
} from './layout.ts';
import { blocked, isHeld, PinLocks } from './lock.ts';
import { type Pin, pinAt, type RemotePin } from './record.ts';
import { type ChangeVisitor, PinReports } from './reports.ts';
import { PinSlots } from './slots.ts';
import { PinSweep } from './sweep.ts';

export type { PinReason } from './entry.ts';
export type { PinTableShared } from './layout.ts';
export type { Pin, PinChange, RemotePin } from './record.ts';

export interface PinTableStats extends Record<PinCounterName, number> {
  /** Pins, including those that have expired since the last sweep. */
  readonly live: number;
  /** What the table was made for. `live` is never more. */
  readonly capacity: number;
  readonly bytes: number;
}

export class PinTable extends PinDataPlane {
  readonly shared: PinTableShared;
  readonly #layout: PinLayout;
  readonly #reports: PinReports;
  readonly #sweep: PinSweep;
  /** Part of the capacity may be missing: see {@link PinCensus.settle}. */
  #isUnsettled = false;

  private constructor(shared: PinTableShared, layout: PinLayout, writerIndex: number) {
    const words = new Int32Array(shared.buffer, 0, layout.countersAt * 2);
    const slots = new PinSlots(words, layout);
    const locks = new PinLocks(words, layout.groupsAt, layout.groups, writerIndex);
    const changes = new PinChanges(words, layout, writerIndex);
    const counters = new PinCounters(shared.buffer, layout, writerIndex);
    const census = new PinCensus(words, layout);
    super(slots, locks, census, changes, counters);
    this.shared = shared;
    this.#layout = layout;
    this.#reports = new PinReports(slots, locks, census, changes, counters);
    this.#sweep = new PinSweep(slots, locks, census, counters);
  }

  /**
   * Control: a new table. Throws RangeError if `capacity` is not within 1 to `pinsMax`.
   * @param options.reportChanges see {@link reportChanges}.
   */
  static create(capacity: number, options: { readonly reportChanges: boolean }): PinTable {
    const layout = pinLayout(capacity);
    const table = new PinTable({ buffer: new SharedArrayBuffer(layout.bytes), capacity }, layout, 0);
    table.census.open();
    Atomics.store(table.slots.words, magicWord, magic);
    Atomics.store(table.slots.words, reportWord, options.reportChanges ? 1 : 0);
    return table;
  }

  /**
   * A worker: control's table. No two threads may have the same `writerIndex` (1 to 64) at one time. Throws
   * RangeError or TypeError if the index or the memory is not of this kind.
   */
  static attach(shared: PinTableShared, writerIndex: number): PinTable {
    const layout = pinLayout(shared.capacity);
    if (!Number.isInteger(writerIndex) || writerIndex < 1 || writerIndex >= writersMax) {
      throw new RangeError(`pin table writer ${writerIndex} is not within 1 to ${writersMax - 1}`);
    }
    if (shared.buffer.byteLength !== layout.bytes || new Int32Array(shared.buffer)[magicWord] !== magic) {
      throw new TypeError('not the memory of a pin table of this build');
    }
    return new PinTable(shared, layout, writerIndex);
  }

  /**
   * Control: whether changes are kept for {@link drainChanges}. On: somebody must drain them, as pins with
   * undrained changes are not evicted; pins confirmed while it was off are all reported, and what one that drained
   * before and died had begun to take out. Off: a full table may evict any pin.
   */
  reportChanges(isOn: boolean): void {
    Atomics.store(this.slots.words, reportWord, isOn ? 1 : 0);
    if (!isOn) return;
    for (let group = 0; group < this.#layout.groups; group++) this.changes.askForRescan(group);
  }

  /**
   * Control: hands over what changed since it was last asked: pins confirmed, moved, removed, or slid by a
   * quarter of their ttl. Several changes of one pin are one.
   * @param visit is called without any lock held; it may use the table.
   * @returns the number of changes, at most `max`; if it is `max`, more may be waiting.
   */
  drainChanges(max: number, visit: ChangeVisitor): number {
    return this.#reports.drain(max, visit);
  }

  /**
   * Control: writes down what a peer says of a key, whatever is here, and does not report it. Two exceptions:
   * a peer that only repeats what the cluster knew before a change made here does not undo that change, which
   * is still to be compared with just that; and the expiry of a pin to the same backend is not moved back.
   * @returns false if it could not be stored, or has expired.
   */
  applyRemote(key: Key, remote: RemotePin, nowMs: number): boolean {
    if (remote.backendId !== 0 && remote.expiresAtMs <= nowMs) return false;
    const { group } = this.probe.aim(remote.poolId, key);
    let isDone = false;
    if (this.locks.acquire(group)) {
      isDone = remote.backendId === 0 ? this.#removeRemote() : this.#setRemote(remote, nowMs);
      this.locks.release(group);
    }
    this.counters.count(isDone ? pinCounter.remotes : pinCounter.notStored);
    return isDone;
  }

  #removeRemote(): boolean {
    const { probe, entry, slots } = this;
    const slot = slots.find(probe);
    if (slot < 0) return true;
    entry.load(slots.words, slots.entryAt(slot));
    if (this.#isEcho(0)) return true;
    slots.free(slot);
    if ((entry.flags & removedFlag) === 0) this.census.drop(probe.group);
    return true;
  }

  #setRemote(remote: RemotePin, nowMs: number): boolean {
    const { probe, entry } = this;
    const found = this.slots.find(probe);
    const isLive = found >= 0 && this.loadLive(found, nowMs);
    const isRemoved = found >= 0 && (entry.flags & removedFlag) !== 0;
    if ((isLive || isRemoved) && this.#isEcho(remote.backendId)) return true;
    const isSame = isLive && entry.backendId === remote.backendId;
    if (isSame && entry.expiresAtMs > remote.expiresAtMs) {
      this.#agree(found, remote);
      return true;
    }
    const slot = isLive ? found : this.evict(found, nowMs);
    if (slot < 0) return false;
    entry.reset(probe.kind, false);
    entry.backendId = remote.backendId;
    entry.knownId = remote.backendId;
    entry.flags = confirmedFlag;
    entry.ttlMs = Math.min(remote.ttlMs, ttlMsMax);
    entry.expiresAtMs = Math.floor(remote.expiresAtMs);
    entry.reason = pinReasonNumbers[remote.reason];
    entry.writer = remote.writer;
    this.place(slot, found);
    return true;
  }

  /** The peers have the same backend and an earlier expiry: what was used here since is still to be told, if it is much. */
  #agree(slot: number, remote: RemotePin): void {
    const { entry } = this;
    entry.knownId = remote.backendId;
    entry.flags |= confirmedFlag;
    entry.reason = pinReasonNumbers[remote.reason];
    entry.writer = remote.writer;
    entry.slidSince(remote.expiresAtMs);
    this.keep(slot);
  }

  /** True if `backendId` is what a change made here, and not reported yet, is to replace. `entry` is loaded. */
  #isEcho(backendId: number): boolean {
    const { entry } = this;
    const here = (entry.flags & removedFlag) !== 0 ? 0 : entry.backendId;
    return backendId === entry.knownId && here !== entry.knownId;
  }

  /** Places for pins, more than it takes. */
  get slotCount(): number {
    return this.#layout.slots;
  }

  /**
   * Control: the live pins, each whole, while others go on writing. A pin made meanwhile may be missing, one
   * removed and made again may come twice. Pins behind the lock of a thread that was killed are left out.
   * @param from of the slots `from` to `to` only: looking through those of a large table takes half a second
   */
  *entries(nowMs: number, from = 0, to = this.#layout.slots): Generator<Pin, void, undefined> {
    const end = Math.min(to, this.#layout.slots);
    for (let slot = from; slot < end; slot++) {
      const pin = this.slots.isUsed(slot) ? this.#readSlot(slot, nowMs) : undefined;
      if (pin !== undefined) yield pin;
    }
  }

  /** One thread: from now on slots are noted for {@link takeTouched} when what is in them changes. */
  follow(): void {
    this.slots.touches.follow();
  }

  /** Whether {@link takeTouched} has anything to show. */
  get areTouched(): boolean {
    return this.slots.touches.areAny;
  }

  /**
   * The thread that {@link follow}s: shows the slots whose pin was made, moved, used, removed, evicted, or freed after it
   * expired, since they were shown last. That a pin expires is no change: see {@link Pin.expiresAtMs}.
   * @param max of slots, about: no further group of slots is begun then
   * @param visit is called without any lock held, with slots of one group; it may use the table
   * @returns how many were shown
   */
  takeTouched(max: number, visit: (slots: readonly number[]) => void): number {
    return this.slots.touches.take(this.locks, max, visit);
  }

  /**
   * The live pin in a slot, whole; undefined: there is none. `blocked`: a thread that has no processor, or was killed, is writing
   * near it; it is noted for {@link takeTouched}, to be read again.
   */
  pinIn(slot: number, nowMs: number): Pin | undefined | 'blocked' {
    const { slots, locks } = this;
    const group = slots.groupOf(slot);
    while (slots.isUsed(slot)) {
      const stamp = locks.glance(group);
      if (isHeld(stamp)) {
        slots.touches.note(slot);
        return 'blocked';
      }
      const pin = this.#readSlotAt(slot, nowMs);
      if (locks.unchanged(group, stamp)) return pin;
    }
    return undefined;
  }

  /** The live pin of one key, whole; undefined if it has none. */
  pin(poolId: number, key: Key, nowMs: number): Pin | undefined {
    this.probe.aim(poolId, key);
    const slot = this.slots.find(this.probe);
    const pin = slot < 0 ? undefined : this.#readSlot(slot, nowMs);
    // Another thread may have given the slot to another key meanwhile.
    const isItsOwn = pin?.poolId === poolId && isSameKey(pin, key);
    return isItsOwn ? pin : undefined;
  }

  #readSlot(slot: number, nowMs: number): Pin | undefined {
    const { slots, locks } = this;
    const group = slots.groupOf(slot);
    for (;;) {
      const stamp = locks.stamp(group);
      if (stamp === blocked || !slots.isUsed(slot)) return undefined;
      const pin = this.#readSlotAt(slot, nowMs);
      // Not for ever: each turn is one finished write to this group between two words of this code.
      if (locks.unchanged(group, stamp)) return pin;
    }
  }

  /** What is read is whole if nobody has written to the group meanwhile. */
  #readSlotAt(slot: number, nowMs: number): Pin | undefined {
    const { slots, entry } = this;
    entry.load(slots.words, slots.entryAt(slot));
    return entry.isLive(nowMs, slots.sweep) ? pinAt(slots.words, slots.entryAt(slot), entry) : undefined;
  }

  /**
   * Control, once a second: frees expired pins among the next `maxEntriesToScan` slots; a full turn is `capacity` / 0.66 slots.
   * @returns the number of pins freed.
   */
  expire(nowMs: number, maxEntriesToScan: number): number {
    if (this.#isUnsettled) this.#isUnsettled = !this.census.settle(this.locks);
    return this.#sweep.run(nowMs, maxEntriesToScan);
  }

  /**
   * Control: a worker has died (its `exit` was seen, no successor has its index yet): frees the lock it held.
   * What it was writing at that moment is either there or not.
   * @returns the number of locks: 0 or 1.
   */
  releaseLocksOf(writerIndex: number): number {
    const released = this.locks.releaseOwnedBy(writerIndex, (group) => {
      this.census.restore(group, this.slots.countIn(group));
      // Its change may be marked and not queued, or made and not marked.
      this.changes.askForRescan(group);
      this.slots.touches.noteAll(group);
    });
    if (released > 0) this.#isUnsettled = !this.census.settle(this.locks);
    return released;
  }

  /** Totals over all threads since the table was made; exact only while nobody writes. */
  stats(): PinTableStats {
    const { capacity, bytes } = this.#layout;
    return { live: this.census.total(), capacity, bytes, ...this.counters.totals() };
  }
}
