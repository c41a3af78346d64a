/**
 * Control's side of changes: takes them out of the rings and rescans of changes.ts, one pin at a time, and
 * marks each pin as told. One thread only.
 */
import type { PinCensus } from './census.ts';
import type { PinChanges } from './changes.ts';
import { type PinCounters, pinCounter } from './counters.ts';
import { dirtyFlag, PinEntry, removedFlag } from './entry.ts';
import { slotsPerGroup, writersMax } from './layout.ts';
import type { PinLocks } from './lock.ts';
import { changeAt, type PinChange } from './record.ts';
import type { PinSlots } from './slots.ts';

export type ChangeVisitor = (change: PinChange) => void;

export class PinReports {
  readonly #slots: PinSlots;
  readonly #locks: PinLocks;
  readonly #census: PinCensus;
  readonly #changes: PinChanges;
  readonly #counters: PinCounters;
  readonly #entry = new PinEntry();

  constructor(
    slots: PinSlots,
    locks: PinLocks,
    census: PinCensus,
    changes: PinChanges,
    counters: PinCounters,
  ) {
    this.#slots = slots;
    this.#census = census;
    this.#locks = locks;
    this.#changes = changes;
    this.#counters = counters;
  }

  /** Hands over at most `max` changes; returns how many. */
  drain(max: number, visit: ChangeVisitor): number {
    let drained = 0;
    for (let writer = 0; writer < writersMax; writer++) {
      while (drained < max) {
        const slot = this.#changes.peek(writer);
        if (slot < 0) break;
        this.#changes.advance(writer);
        if (this.#report(slot, visit)) drained++;
      }
    }
    if (drained >= max) return drained;
    this.#changes.takeRescans((group) => {
      drained += this.#rescan(group, max - drained, visit);
    });
    return drained;
  }

  #rescan(group: number, max: number, visit: ChangeVisitor): number {
    let drained = 0;
    const end = (group + 1) * slotsPerGroup;
    for (let slot = end - slotsPerGroup; slot < end; slot++) {
      if (drained >= max) {
        this.#changes.askForRescan(group);
        return drained;
      }
      if (this.#looksUnreported(slot) && this.#report(slot, visit)) drained++;
    }
    return drained;
  }

  /**
   * A look without the lock. It misses no mark that was there when the rescan was taken: a dirty slot keeps its
   * tag and its mark through every write until control clears them, and a later mark asks for another rescan.
   */
  #looksUnreported(slot: number): boolean {
    if (!this.#slots.isUsed(slot)) return false;
    this.#entry.load(this.#slots.words, this.#slots.entryAt(slot));
    return this.#entry.isUnreported;
  }

  #report(slot: number, visit: ChangeVisitor): boolean {
    const group = this.#slots.groupOf(slot);
    if (!this.#locks.acquire(group)) {
      this.#changes.askForRescan(group);
      return false;
    }
    const change = this.#take(slot);
    this.#locks.release(group);
    if (change === undefined) return false;
    this.#counters.count(pinCounter.reported);
    visit(change);
    return true;
  }

  /** Under the lock: the slot's change, if it has one, which from here on counts as told. */
  #take(slot: number): PinChange | undefined {
    if (!this.#looksUnreported(slot)) return undefined;
    const entry = this.#entry;
    const { words } = this.#slots;
    const at = this.#slots.entryAt(slot);
    const backendId = entry.reportableId;
    const previousBackendId = entry.knownId;
    // Made and unmade between two drains: nobody else ever knew of it.
    const isNothing = backendId === 0 && previousBackendId === 0;
    const change = isNothing ? undefined : changeAt(words, at, entry);
    if ((entry.flags & removedFlag) !== 0) {
      this.#slots.free(slot);
    } else {
      entry.knownId = backendId;
      entry.slid = 0;
      entry.flags &= ~dirtyFlag;
      entry.save(words, at);
      this.#census.reconsider(this.#slots.groupOf(slot));
    }
    return change;
  }
}
