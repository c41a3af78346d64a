/**
 * What workers do with the pin table, per flow and per datagram. Nothing here makes an object, waits for a
 * message or fails: where a pin cannot be written (a killed thread holds the lock), the flow goes where it was
 * going and that is counted.
 *
 * Readers take no lock. Writers lock the key's group for less than a microsecond.
 */
import type { Key } from '../key.ts';
import { PinAccess } from './access.ts';
import { pinCounter } from './counters.ts';
import { confirmedFlag, type PinReason, pinReasonNumbers, removedFlag } from './entry.ts';

export class PinDataPlane extends PinAccess {
  /** The id of the backend a client is pinned to; 0 if it has no pin, or one that has expired. */
  lookup(poolId: number, key: Key, nowMs: number): number {
    this.probe.aim(poolId, key);
    return this.read(nowMs) ? this.entry.backendId : 0;
  }

  /** A new flow's {@link prolong}: counted as a hit or a miss. */
  touch(poolId: number, key: Key, ttlMs: number, nowMs: number): number {
    const backendId = this.prolong(poolId, key, ttlMs, nowMs);
    this.counters.count(backendId === 0 ? pinCounter.misses : pinCounter.hits);
    return backendId;
  }

  /**
   * {@link lookup}, and a use: the pin lasts for another `ttlMs` from now. The new expiry is written only when
   * it moves by more than a sixteenth of the ttl, and never moves back.
   */
  prolong(poolId: number, key: Key, ttlMs: number, nowMs: number): number {
    const { entry, probe } = this;
    probe.aim(poolId, key);
    if (!this.read(nowMs)) return 0;
    const backendId = entry.backendId;
    if (!entry.isDueToSlide(ttlMs, nowMs) || !this.locks.acquire(probe.group)) return backendId;
    const slot = this.findLive(nowMs);
    if (slot >= 0) this.#slide(slot, ttlMs, nowMs);
    this.locks.release(probe.group);
    return slot >= 0 ? entry.backendId : backendId;
  }

  /**
   * Pins a client that has no pin. Whoever claims first wins, on whatever thread.
   * @returns the winner: `backendId`, or the backend the client was pinned to already (its expiry stays).
   */
  claim(
    poolId: number,
    key: Key,
    backendId: number,
    ttlMs: number,
    nowMs: number,
    reason: PinReason,
  ): number {
    const { probe, entry } = this;
    probe.aim(poolId, key);
    if (this.read(nowMs)) return entry.backendId;
    if (!this.locks.acquire(probe.group)) return this.#notStored(backendId);
    const found = this.slots.find(probe);
    let winner = backendId;
    if (found >= 0 && this.loadLive(found, nowMs)) {
      winner = entry.backendId;
    } else {
      const slot = this.evict(found, nowMs);
      if (slot >= 0) {
        this.#assign(backendId, ttlMs, nowMs, reason);
        this.place(slot, found);
        this.counters.count(pinCounter.claims);
      } else {
        this.#notStored(backendId);
      }
    }
    this.locks.release(probe.group);
    return winner;
  }

  /**
   * Moves a pin if it is still where the mover saw it. A confirmed pin stays confirmed. From 0 is a claim.
   * @returns the backend pinned to afterwards: `toBackendId` if it was moved, another if somebody was faster,
   * 0 if there is no pin (any more).
   */
  move(
    poolId: number,
    key: Key,
    fromBackendId: number,
    toBackendId: number,
    ttlMs: number,
    nowMs: number,
    reason: PinReason,
  ): number {
    if (fromBackendId === 0) return this.claim(poolId, key, toBackendId, ttlMs, nowMs, reason);
    const { probe, entry } = this;
    probe.aim(poolId, key);
    if (!this.locks.acquire(probe.group)) return this.#notStored(toBackendId);
    const slot = this.findLive(nowMs);
    const current = slot >= 0 ? entry.backendId : 0;
    const isMoved = slot >= 0 && current === fromBackendId;
    if (isMoved) {
      this.#assign(toBackendId, ttlMs, nowMs, reason);
      this.keep(slot);
      this.counters.count(pinCounter.moves);
    }
    this.locks.release(probe.group);
    return isMoved ? toBackendId : current;
  }

  /**
   * Notes that the backend has served the client, which is also a use. From then on the pin is reported to
   * control. Does nothing if the client is not (or no longer) pinned to this backend.
   */
  confirm(poolId: number, key: Key, backendId: number, ttlMs: number, nowMs: number): void {
    const { probe, entry } = this;
    probe.aim(poolId, key);
    if (!this.read(nowMs) || entry.backendId !== backendId) return;
    if (entry.isConfirmed && !entry.isDueToSlide(ttlMs, nowMs)) return;
    if (!this.locks.acquire(probe.group)) {
      this.#notStored(backendId);
      return;
    }
    const slot = this.findLive(nowMs);
    if (slot >= 0 && entry.backendId === backendId) {
      this.#served(backendId, ttlMs, nowMs);
      this.keep(slot);
    }
    this.locks.release(probe.group);
  }

  /**
   * A flow of this client is served by a backend: {@link confirm}, and one more open flow. As long as there is one the
   * pin is not evicted. Where it is pinned to another backend it stays so; where it has no pin (any more), it gets one.
   * @param mayPin false: it gets none.
   * @returns whether the flow is counted: then {@link stay} and {@link leave} are to follow.
   */
  arrive(
    poolId: number,
    key: Key,
    backendId: number,
    ttlMs: number,
    nowMs: number,
    mayPin: boolean,
  ): boolean {
    const { probe, slots } = this;
    probe.aim(poolId, key);
    if (!mayPin && !this.read(nowMs)) return false;
    if (!this.locks.acquire(probe.group)) return false;
    const found = slots.find(probe);
    const isLive = found >= 0 && this.loadLive(found, nowMs);
    let slot = isLive ? found : -1;
    let isChanged = true;
    if (isLive) isChanged = this.#served(backendId, ttlMs, nowMs);
    else if (mayPin) slot = this.#pinServed(found, backendId, ttlMs, nowMs);
    if (slot >= 0) {
      this.entry.flowOpened(slots.era);
      if (isChanged) this.keep(slot);
      else this.entry.saveUse(slots.words, slots.entryAt(slot));
    }
    this.locks.release(probe.group);
    return slot >= 0;
  }

  /** A flow that has arrived is still open: {@link prolong}, and the pin is not evicted for another two minutes. */
  stay(poolId: number, key: Key, ttlMs: number, nowMs: number): void {
    const { entry, probe, slots } = this;
    probe.aim(poolId, key);
    if (!this.read(nowMs)) return;
    if (!entry.isDueToSlide(ttlMs, nowMs) && !entry.isDueToBeSeen(slots.era)) return;
    if (!this.locks.acquire(probe.group)) return;
    const slot = this.findLive(nowMs);
    if (slot >= 0) {
      entry.flowSeen(slots.era);
      if (entry.isDueToSlide(ttlMs, nowMs)) this.#slide(slot, ttlMs, nowMs);
      else entry.saveUse(slots.words, slots.entryAt(slot));
    }
    this.locks.release(probe.group);
  }

  /** A flow that has arrived is closed: its last use, and one open flow less. */
  leave(poolId: number, key: Key, ttlMs: number, nowMs: number): void {
    const { entry, probe, slots } = this;
    probe.aim(poolId, key);
    // Who cannot say it is taken to be there for two minutes more.
    if (!this.locks.acquire(probe.group)) return;
    const slot = slots.find(probe);
    if (slot >= 0) {
      const isLive = this.loadLive(slot, nowMs);
      entry.flowClosed();
      if (isLive && entry.isDueToSlide(ttlMs, nowMs)) this.#slide(slot, ttlMs, nowMs);
      else entry.saveUse(slots.words, slots.entryAt(slot));
      if (entry.openFlows === 0) this.census.reconsider(probe.group);
    }
    this.locks.release(probe.group);
  }

  /** Removes a pin if it is to `ifBackendId` (0: to whatever backend). False if there is no such pin. */
  remove(poolId: number, key: Key, ifBackendId: number, nowMs: number): boolean {
    const { probe, entry } = this;
    probe.aim(poolId, key);
    if (!this.locks.acquire(probe.group)) {
      this.#notStored(ifBackendId);
      return false;
    }
    const slot = this.findLive(nowMs);
    const isRemoved = slot >= 0 && (ifBackendId === 0 || entry.backendId === ifBackendId);
    if (isRemoved) {
      entry.flags |= removedFlag;
      if (this.isReporting && entry.hasNews) this.keep(slot);
      else this.slots.free(slot);
      this.census.drop(probe.group);
      this.counters.count(pinCounter.removals);
    }
    this.locks.release(probe.group);
    return isRemoved;
  }

  /** Under the lock, with a live pin in `entry`: a backend has served the client. @returns whether it is to be kept for that */
  #served(backendId: number, ttlMs: number, nowMs: number): boolean {
    const { entry } = this;
    const isFirst = !entry.isConfirmed && entry.backendId === backendId;
    if (isFirst) {
      this.counters.count(pinCounter.confirms);
      entry.flags |= confirmedFlag;
    }
    if (!isFirst && !entry.isDueToSlide(ttlMs, nowMs)) return false;
    entry.slide(ttlMs, nowMs);
    this.counters.count(pinCounter.slides);
    return true;
  }

  /** Under the lock: a pin for a client that is being served and has none. @returns its slot, not kept yet; -1: no room */
  #pinServed(found: number, backendId: number, ttlMs: number, nowMs: number): number {
    const slot = this.evict(found, nowMs);
    if (slot < 0) return -1;
    this.#assign(backendId, ttlMs, nowMs, 'policy');
    this.entry.flags |= confirmedFlag;
    this.place(slot, found);
    this.counters.count(pinCounter.claims);
    this.counters.count(pinCounter.confirms);
    return slot;
  }

  #slide(slot: number, ttlMs: number, nowMs: number): void {
    this.entry.slide(ttlMs, nowMs);
    this.keep(slot);
    this.counters.count(pinCounter.slides);
  }

  #assign(backendId: number, ttlMs: number, nowMs: number, reason: PinReason): void {
    const { entry } = this;
    entry.backendId = backendId;
    entry.setExpiry(ttlMs, nowMs);
    entry.reason = pinReasonNumbers[reason];
    entry.writer = 0;
  }

  #notStored(backendId: number): number {
    this.counters.count(pinCounter.notStored);
    return backendId;
  }
}
