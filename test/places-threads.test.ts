/** Limits that several workers reach at once, on the shared memory they share in life. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import type { FlowLimit } from '../src/core/places.ts';
import type { PoolView } from '../src/core/snapshot.ts';
import { poolPlan } from '../src/engine/conformance/listener.ts';
import { createSharedMemory } from '../src/rooms/shared.ts';
import { boardWords, type PlacesWorkerData } from './support/places-worker.ts';

// Threads run the built code; this file runs the same code from its source, on the same memory.
const workerFile = new URL('../dist/test/support/places-worker.js', import.meta.url);
const target = { kind: 'inet', ip: '127.0.0.1', port: 1 } as const;
const threads = 3;
const noLimit: FlowLimit = {
  listenerId: 0,
  isUdp: false,
  listenerMax: 1_000,
  reserve: 0,
  flowsMax: 1_000,
  commonMax: 1_000,
  udpCommonMax: 1_000,
};

function poolOf(maxConnections: number): PoolView {
  return {
    id: 1,
    version: 1,
    plan: poolPlan({ policy: 'least-connections' }),
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

const stories: readonly [string, Partial<FlowLimit> & { readonly maxConnections?: number }][] = [
  ['max_connections of a backend', { maxConnections: 1 }],
  ['limits.flows of the instance', { flowsMax: 2 }],
  ['limits.flows of a listener', { listenerMax: 2 }],
  ["a listener's reserve with what is common", { reserve: 1, commonMax: 1 }],
  ["a reserve with UDP's part of what is common", { reserve: 1, isUdp: true, udpCommonMax: 1 }],
];
/** What each of them allows at once, one less than there are threads. */
const most = 2;

test.each(stories)(
  '%s is never exceeded by workers that take at once, and is used up to the last',
  async (_, { maxConnections = 0, ...limits }) => {
    const { states, counters, pins } = createSharedMemory(threads, 1_024);
    const pool = poolOf(maxConnections);
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
          rounds: 15_000,
          limit: { ...noLimit, ...limits },
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
    const seen = maxConnections > 0 ? [1, 2].map((id) => board[boardWords.mostOfBackend + id]) : [];
    expect(seen).toEqual(maxConnections > 0 ? [1, 1] : []);
    if (maxConnections === 0) expect(board[boardWords.mostOpen]).toBe(most);

    // What is counted is what is open: at most the one that the first thread left when it died.
    const left = board[boardWords.open]!;
    expect(counters.flows()).toBe(left);
    expect(counters.listener(0, 'active')).toBe(left);
    expect(counters.backend(1, 'active') + counters.backend(2, 'active')).toBe(left);
    counters.clearOpenOf(0);
    expect([counters.flows(), counters.listener(0, 'active')]).toEqual([0, 0]);
    expect([counters.backend(1, 'active'), counters.backend(2, 'active')]).toEqual([0, 0]);
  },
);
