/** Limits on clients that several workers reach at once, on the shared memory they share in life. */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { Address } from '../src/core/address.ts';
import { ClientTable, flowsReached } from '../src/core/client-table.ts';
import { type ClientTableWorkerData, clientBoard, clients } from './support/client-table-worker.ts';

// Threads run the built code; this file runs the same code from its source, on the same memory.
const workerFile = new URL('../dist/test/support/client-table-worker.js', import.meta.url);
const threads = 4;
const flowsMax = 2;
const perSecond = 5_000;

test('no client has more flows than it may, no rate lets more through, and who dies leaves nothing', async () => {
  const table = ClientTable.create(threads);
  const board = new Int32Array(new SharedArrayBuffer(clientBoard.count * 4));
  const started = await Promise.all(
    Array.from({ length: threads }, async (_, worker) => {
      const workerData: ClientTableWorkerData = {
        worker,
        table: table.shared,
        rounds: 50_000,
        flowsMax,
        perSecond,
        board: board.buffer as SharedArrayBuffer,
        leavesOpen: worker === 0,
      };
      const thread = new Worker(workerFile, { workerData });
      await once(thread, 'message');
      return { exited: once(thread, 'exit') };
    }),
  );
  Atomics.store(board, clientBoard.start, 1);
  Atomics.notify(board, clientBoard.start);
  await Promise.all(started.map(({ exited }) => exited));

  const most = Array.from({ length: clients }, (_, client) => board[clientBoard.most + client]!);
  expect(Math.max(...most)).toBeLessThanOrEqual(flowsMax);
  // Their clock stands still: exactly one second's worth.
  expect(board[clientBoard.passed]).toBe(perSecond);

  const take = (client: number): number => {
    const address = Address.v4(0x0a000000 + client, 0);
    return table.take(3, 'client', address, { flows: flowsMax, newFlowsPerSecond: 0 }, true, 1);
  };
  const slot = take(0);
  expect([slot >= 0, take(0)], 'one of two was left by the thread that died').toEqual([true, flowsReached]);
  table.give(slot);
  table.clearAllOf(0);
  for (let client = 0; client < clients; client++) {
    const slots = [take(client), take(client), take(client)];
    expect(slots).toEqual([slots[0], slots[0], flowsReached]);
    expect(slots[0]).toBeGreaterThanOrEqual(0);
  }
});
