/** The shared memory every thread of one instance sees. Made by control, posted to each worker at its start. */
import { BackendStates } from '../core/backend-states.ts';
import { Counters, type CountersShared } from '../core/counters.ts';
import { DialTable } from '../core/dial-table.ts';
import { workersMax } from '../core/limits.ts';
import { PinTable, type PinTableShared } from '../core/pins/table.ts';

export interface SharedMemory {
  readonly pins: PinTableShared;
  readonly states: SharedArrayBuffer;
  readonly counters: CountersShared;
  readonly dials: SharedArrayBuffer;
  /** CLOCK_MONOTONIC, in milliseconds, that all threads count from. */
  readonly clockOriginMs: number;
}

export interface SharedViews {
  readonly pins: PinTable;
  readonly states: BackendStates;
  readonly counters: Counters;
  readonly dials: DialTable;
}

export function createSharedMemory(workers: number, pinsMax: number): SharedViews & { shared: SharedMemory } {
  const pins = PinTable.create(pinsMax, { reportChanges: false });
  const states = new BackendStates();
  const counters = Counters.create(workers, Math.floor(Math.random() * 2 ** 32));
  const dials = new DialTable();
  const clockOriginMs = Number(process.hrtime.bigint()) / 1e6;
  return {
    pins,
    states,
    counters,
    dials,
    shared: {
      pins: pins.shared,
      states: states.shared,
      counters: counters.shared,
      dials: dials.shared,
      clockOriginMs,
    },
  };
}

/** The rooms that write pins take the places after those of the workers. */
export const sharingWriters = { cluster: workersMax, front: workersMax + 1 } as const;

/** @param worker its number from 0, or a room's of {@link sharingWriters}, which reads the counters only */
export function attachSharedMemory(shared: SharedMemory, worker: number): SharedViews {
  return {
    pins: PinTable.attach(shared.pins, worker + 1),
    states: new BackendStates(shared.states),
    counters: new Counters(shared.counters, worker < workersMax ? worker : 0),
    dials: new DialTable(shared.dials),
  };
}

const clockReadings = 16;

/**
 * Milliseconds since control started, equal in every thread. `performance.now()` is cheap but counts from its own
 * thread's start, so its offset to the system's monotonic clock is taken once.
 */
export function sharedClock(clockOriginMs: number): () => number {
  // Both are read as one: a thread that is kept from running in between would be behind the others for good.
  let offset = 0;
  let leastMs = Number.POSITIVE_INFINITY;
  for (let i = 0; i < clockReadings; i++) {
    const before = performance.now();
    const monotonic = Number(process.hrtime.bigint()) / 1e6;
    const after = performance.now();
    if (after - before >= leastMs) continue;
    leastMs = after - before;
    offset = monotonic - (before + after) / 2 - clockOriginMs;
  }
  // The global is a getter: asked for once.
  const ownClock = performance;
  return () => ownClock.now() + offset;
}
