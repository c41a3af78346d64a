/** Limits that several workers reach at once, on the shared memory they share in life. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import type { PoolView } from '../src/core/snapshot.ts';
import { createSharedMemory } from '../src/rooms/shared.ts';
import { boardWords, type PlacesWorkerData } from './support/places-worker.ts';

// Threads run the built code; this file runs the same code from its source, on the same memory.
const workerFile = new URL('../dist/test/support/places-worker.js', import.meta.url);
const target = { kind: 'inet', ip: '127.0.0.1', port: 1 } as const;
const threads = 3;

function poolOf(maxConnections: number): PoolView {
  return {
    id: 1,
    version: 1,
    plan: {
      name: 'pool',
      policy: 'least-connections',
      bound: undefined,
      tableSize: 251,
      identity: 'name',
      health: { type: 'none', intervalMs: 1000, timeoutMs: 1000, fall: 3, rise: 2, port: undefined },
      passive: { failures: 0, ejectMs: 0 },
      onDown: { action: 'close', graceMs: 0 },
      onAddressChange: { action: 'keep', graceMs: 0 },
      tries: 1,
      failOpen: false,
    },
    backends: [1, 2].map((id) => ({
      id,
      name: `b${id}`,
      target,
      addressText: 'a',
      weight: 1,
      maxConnections,
    })),
  };
}

test.each([
  ['max_connections of a backend', { maxConnections: 1, flowsMax: 1_000, listenerMax: 1_000 }, 2],
  ['limits.flows of the instance', { maxConnections: 0, flowsMax: 2, listenerMax: 1_000 }, 2],
  ['limits.flows of a listener', { maxConnections: 0, flowsMax: 1_000, listenerMax: 2 }, 2],
] as const)(
  '%s is never exceeded by workers that take at once, and is used up to the last',
  async (_, max, most) => {
    const { states, counters, pins } = createSharedMemory(threads, 1_024);
    const pool = poolOf(max.maxConnections);
    for (const { id } of pool.backends) {
      states.setUp(id, true);
      states.setWeight(id, 1);
    }
    const board = new Int32Array(new SharedArrayBuffer(boardWords.count * 4));
    const started = await Promise.all(
      Array.from({ length: threads }, async (_, worker) => {
        const workerData: PlacesWorkerData = {
          worker,
          pool,
          states: states.shared,
          counters: counters.shared,
          pins: pins.shared,
          rounds: 30_000,
          flowsMax: max.flowsMax,
          listenerMax: max.listenerMax,
          board: board.buffer as SharedArrayBuffer,
          leavesOneOpen: worker === 0,
        };
        const thread = new Worker(workerFile, { workerData });
        await once(thread, 'message');
        return { exited: once(thread, 'exit') };
      }),
    );
    Atomics.store(board, boardWords.start, 1);
    Atomics.notify(board, boardWords.start);
    await Promise.all(started.map(({ exited }) => exited));

    // As many at once as the limit says: no more, and (threads met there) no fewer.
    const seen = max.maxConnections > 0 ? [1, 2].map((id) => board[boardWords.mostOfBackend + id]) : [];
    expect(seen).toEqual(max.maxConnections > 0 ? [1, 1] : []);
    if (max.maxConnections === 0) expect(board[boardWords.mostOpen]).toBe(most);

    // What is counted is what is open: at most the one that the first thread left when it died.
    const left = board[boardWords.open]!;
    expect(counters.flows()).toBe(left);
    expect(counters.listener(0, 'active')).toBe(left);
    expect(counters.backend(1, 'active') + counters.backend(2, 'active')).toBe(left);
    counters.places.giveAllOf(0);
    expect([counters.flows(), counters.listener(0, 'active')]).toEqual([0, 0]);
    expect([counters.backend(1, 'active'), counters.backend(2, 'active')]).toEqual([0, 0]);
  },
);
