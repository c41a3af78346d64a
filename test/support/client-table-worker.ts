/**
 * A thread that opens and ends flows of a few clients, and asks for rates, as fast as it can, for client-table-threads.test.ts. It notes
 * on the board how many flows of each client were open at once.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Address } from '../../src/core/address.ts';
import { ClientTable, type ClientTableShared } from '../../src/core/client-table.ts';

export interface ClientTableWorkerData {
  readonly worker: number;
  readonly table: ClientTableShared;
  readonly rounds: number;
  readonly flowsMax: number;
  readonly perSecond: number;
  /** See {@link clientBoard}. */
  readonly board: SharedArrayBuffer;
  /** It leaves with a flow of each client open, as a thread that dies does. */
  readonly leavesOpen: boolean;
}

export const clients = 4;
/** Word 0 starts the threads; then what has passed of a rate, and of each client: open now, and the most there were. */
export const clientBoard = {
  start: 0,
  passed: 1,
  open: 2,
  most: 2 + clients,
  count: 2 + 2 * clients,
} as const;

function enter(board: Int32Array, client: number): void {
  const open = Atomics.add(board, clientBoard.open + client, 1) + 1;
  const most = clientBoard.most + client;
  for (let seen = Atomics.load(board, most); seen < open; seen = Atomics.load(board, most)) {
    Atomics.compareExchange(board, most, seen, open);
  }
}

function run(data: ClientTableWorkerData): void {
  const board = new Int32Array(data.board);
  const table = new ClientTable(data.table, data.worker);
  const limits = { flows: data.flowsMax, newFlowsPerSecond: 0 };
  const take = (client: number): number =>
    table.take(3, 'client', Address.v4(0x0a000000 + client, 0), limits, true, 1);
  Atomics.wait(board, clientBoard.start, 0);
  for (let round = 0; round < data.rounds; round++) {
    const client = round % clients;
    if (table.passNewFlow(3, data.perSecond, 1)) Atomics.add(board, clientBoard.passed, 1);
    const slot = take(client);
    if (slot < 0) continue;
    enter(board, client);
    Atomics.sub(board, clientBoard.open + client, 1);
    table.give(slot);
  }
  for (let client = 0; data.leavesOpen && client < clients; client++) {
    while (take(client) < 0);
  }
}

if (parentPort !== null) {
  parentPort.postMessage('here');
  run(workerData as ClientTableWorkerData);
}
