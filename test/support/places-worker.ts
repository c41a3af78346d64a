/**
 * A thread that opens and ends flows as fast as it can, for places-threads.test.ts: it takes a place of the instance and
 * of the listener, has a backend chosen, and notes on the board how many were at that backend, and open, with it.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Address } from '../../src/core/address.ts';
import { BackendStates } from '../../src/core/backend-states.ts';
import { Chooser } from '../../src/core/choose.ts';
import { Counters, type CountersShared } from '../../src/core/counters.ts';
import { Key } from '../../src/core/key.ts';
import { PinTable, type PinTableShared } from '../../src/core/pins/table.ts';
import type { FlowLimit } from '../../src/core/places.ts';
import { createPolicy } from '../../src/core/policy/create.ts';
import type { PoolView } from '../../src/core/snapshot.ts';

export interface PlacesWorkerData {
  readonly worker: number;
  readonly pool: PoolView;
  readonly states: SharedArrayBuffer;
  readonly counters: CountersShared;
  readonly pins: PinTableShared;
  readonly rounds: number;
  readonly limit: FlowLimit;
  /** See {@link boardWords}. */
  readonly board: SharedArrayBuffer;
  /** It leaves with a flow open, as a thread that dies does. */
  readonly leavesOneOpen: boolean;
}

/** Word 0 starts the threads. Then how many are open now; the most there were; and the same of each backend by its id. */
export const boardWords = {
  start: 0,
  open: 1,
  mostOpen: 2,
  backend: 10,
  mostOfBackend: 20,
  count: 30,
} as const;

function enter(board: Int32Array, now: number, most: number): void {
  const open = Atomics.add(board, now, 1) + 1;
  for (let seen = Atomics.load(board, most); seen < open; seen = Atomics.load(board, most)) {
    Atomics.compareExchange(board, most, seen, open);
  }
}

function run(data: PlacesWorkerData): void {
  const board = new Int32Array(data.board);
  const counters = new Counters(data.counters, data.worker);
  const chooser = new Chooser(
    data.pool,
    createPolicy(data.pool, () => 0.5),
    new BackendStates(data.states),
    counters,
    PinTable.attach(data.pins, data.worker + 1),
  );
  Atomics.wait(board, boardWords.start, 0);
  const { places } = counters;
  // Turned away is not counted as a round: a thread may sleep with the last place in its hands.
  for (let round = 0; round < data.rounds; ) {
    if (places.takeFlow(data.limit) !== undefined) continue;
    enter(board, boardWords.open, boardWords.mostOpen);
    round++;
    const key = new Key('client-ip', Address.v4(0x0a000000 + (round % 50), 0));
    const request = { key, pinTtlMs: 1_000, claimTtlMs: 1_000, failed: [], candidateId: 0 };
    const choice = chooser.choose(request, 0);
    if (choice !== undefined) {
      const { id } = choice.backend;
      enter(board, boardWords.backend + id, boardWords.mostOfBackend + id);
      if (data.leavesOneOpen && round === data.rounds) break;
      Atomics.sub(board, boardWords.backend + id, 1);
      places.giveBackend(id);
    }
    Atomics.sub(board, boardWords.open, 1);
    places.giveFlow(0);
  }
}

if (parentPort !== null) {
  parentPort.postMessage('here');
  run(workerData as PlacesWorkerData);
}
