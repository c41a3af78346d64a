import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { afterEach, expect, test } from 'vitest';
import { countWord, pinLayout } from '../src/core/pins/layout.ts';
import { type PinChange, PinTable } from '../src/core/pins/table.ts';
import {
  backendOf,
  type PinTask,
  type PinWorkerData,
  poolId,
  threadKey,
  threadTtlMs,
  variantOf,
  variants,
  wrongBackend,
  wrongPin,
} from './support/pin-table-worker.ts';

// Threads run the built code; this file runs the same code from its source, on the same memory.
const workerFile = new URL('../dist/test/support/pin-table-worker.js', import.meta.url);

const running = new Set<Worker>();
afterEach(async () => {
  await Promise.all([...running].map((worker) => worker.terminate()));
});

interface Started {
  readonly worker: Worker;
  /** The task's figure, if it has one. Rejects with what the thread found wrong. */
  readonly done: Promise<number>;
}

async function start(data: PinWorkerData): Promise<Started> {
  const worker = new Worker(workerFile, { workerData: data });
  running.add(worker);
  worker.on('exit', () => running.delete(worker));
  await once(worker, 'message');
  const done = new Promise<number>((resolve, reject) => {
    worker.on('message', (message) => typeof message === 'number' && resolve(message));
    worker.on('error', reject);
    worker.on('exit', () => resolve(0));
  });
  // Whoever awaits it later sees the error; until then it is not unhandled.
  done.catch(() => {});
  return { worker, done };
}

function boardOf(words: number): Int32Array {
  return new Int32Array(new SharedArrayBuffer(words * 4));
}

function release(board: Int32Array): void {
  Atomics.store(board, 0, 1);
  Atomics.notify(board, 0);
}

async function startAll(
  tasks: readonly PinTask[],
  table: PinTable,
  board: Int32Array,
  keys: number,
  rounds: number,
): Promise<Started[]> {
  const started = tasks.map((task, i) =>
    start({
      shared: table.shared,
      writerIndex: i + 1,
      task,
      keys,
      rounds,
      board: board.buffer as SharedArrayBuffer,
    }),
  );
  return Promise.all(started);
}

/** What a cluster would know that is told every change, and that checks that each fits on what it knew. */
class Follower {
  readonly backends = new Map<number, number>();
  readonly #table: PinTable;

  constructor(table: PinTable) {
    this.#table = table;
  }

  follow(max: number): number {
    return this.#table.drainChanges(max, (change) => this.#apply(change));
  }

  #apply({ w3: index, backendId, previousBackendId }: PinChange): void {
    expect(wrongBackend(index, backendId)).toBeUndefined();
    expect(previousBackendId).toBe(this.backends.get(index) ?? 0);
    if (backendId === 0) this.backends.delete(index);
    else this.backends.set(index, backendId);
  }

  /** Follows while threads write, until they are done, and then to the end. */
  async followUntil(finished: Promise<unknown>): Promise<void> {
    let isFinished = false;
    const mark = finished.finally(() => {
      isFinished = true;
    });
    while (!isFinished) {
      this.follow(500);
      await setImmediate();
    }
    await mark;
    while (this.follow(500) > 0);
    const confirmed = [...this.#table.entries(0)].filter(({ isConfirmed }) => isConfirmed);
    expect(this.backends).toEqual(new Map(confirmed.map((pin) => [pin.w3, pin.backendId])));
  }
}

/** Who is pinned where, by what touched slots say alone: as the kernel's worker keeps its maps (src/kernel/pin-maps.ts). */
class SlotReader {
  readonly backends = new Map<number, number>();
  readonly #keys = new Map<number, number>();
  readonly #table: PinTable;

  constructor(table: PinTable) {
    this.#table = table;
    table.follow();
    this.#read(Array.from({ length: table.slotCount }, (_, slot) => slot));
  }

  follow(): number {
    return this.#table.takeTouched(2_000, (slots) => this.#read(slots));
  }

  /** First who has left these slots, then who is in them. */
  #read(slots: readonly number[]): void {
    const pins = slots.map((slot) => this.#table.pinIn(slot, 0));
    for (const [i, slot] of slots.entries()) {
      const [pin, known] = [pins[i], this.#keys.get(slot)];
      if (known === undefined || pin === 'blocked' || pin?.w3 === known) continue;
      this.#keys.delete(slot);
      this.backends.delete(known);
    }
    for (const [i, slot] of slots.entries()) {
      const pin = pins[i];
      if (pin === undefined || pin === 'blocked') continue;
      expect(wrongPin(pin)).toBeUndefined();
      this.#keys.set(slot, pin.w3);
      this.backends.set(pin.w3, pin.backendId);
    }
  }

  /** Follows until it is done, and to the end: then all is known. */
  async followUntil(finished: Promise<unknown>): Promise<void> {
    let isFinished = false;
    const mark = finished.finally(() => {
      isFinished = true;
    });
    while (!isFinished) {
      this.follow();
      await setImmediate();
    }
    await mark;
    this.expectAll();
  }

  expectAll(): void {
    while (this.#table.areTouched) this.follow();
    const pins = [...this.#table.entries(0)].map(({ w3, backendId }) => [w3, backendId] as const);
    expect(this.backends).toEqual(new Map(pins));
  }
}

test('of many claims for one key exactly one wins, and all learn which', async () => {
  const keys = 30_000;
  const table = PinTable.create(keys, { reportChanges: true });
  const board = boardOf(1 + 5 * keys);
  const threads = await startAll(['race', 'race', 'race', 'race'], table, board, keys, 1);
  release(board);
  await Promise.all(threads.map(({ done }) => done));
  const winners = new Set<number>();
  for (let i = 0; i < keys; i++) {
    const learnt = [1, 2, 3, 4].map((writer) => board[1 + writer * keys + i]!);
    expect(new Set(learnt).size).toBe(1);
    expect(wrongBackend(i, learnt[0]!)).toBeUndefined();
    expect(table.lookup(poolId, threadKey(i), 0)).toBe(learnt[0]);
    winners.add(variantOf(learnt[0]!));
  }
  expect([...winners].every((variant) => variant >= 1 && variant <= 4)).toBe(true);
  expect(table.stats()).toMatchObject({ live: keys, claims: keys, notStored: 0, evictions: 0 });
});

// Few keys in one group: all threads meet at one lock. Many: they meet in the same entry now and then.
test.each([
  [20, 40_000],
  [5000, 40_000],
])('moves of %d keys are none lost and none torn', async (keys, rounds) => {
  const table = PinTable.create(keys, { reportChanges: true });
  for (let i = 0; i < keys; i++) {
    table.claim(poolId, threadKey(i), backendOf(i, 0), threadTtlMs(i), 0, 'policy');
  }
  const board = boardOf(1);
  const threads = await startAll(['moves', 'moves', 'moves', 'read'], table, board, keys, rounds);
  release(board);
  const follower = new Follower(table);
  const writers = Promise.all(threads.slice(0, 3).map(({ done }) => done));
  await follower.followUntil(Promise.race([writers, threads[3]!.done]));
  Atomics.store(board, 0, 2);
  await Promise.all(threads.map(({ done }) => done));

  const pins = [...table.entries(0)];
  expect(pins.map(wrongPin).filter((wrong) => wrong !== undefined)).toEqual([]);
  expect(pins.length).toBe(keys);
  const { moves, live, notStored, evictions, blockedReads } = table.stats();
  // Each move counted one key's variant up by one: a move that overwrote another would be missing here.
  const counted = pins.reduce((sum, pin) => sum + variantOf(pin.backendId), 0);
  expect(counted % variants).toBe(moves % variants);
  expect(moves).toBeGreaterThan(rounds);
  expect({ live, notStored, evictions, blockedReads }).toEqual({
    live: keys,
    notStored: 0,
    evictions: 0,
    blockedReads: 0,
  });
});

test.each([
  [10, 30_000],
  [3000, 100_000],
])('a pin of %d keys that are made and removed has one owner at a time', async (keys, rounds) => {
  const table = PinTable.create(3000, { reportChanges: true });
  const board = boardOf(1 + keys);
  const threads = await startAll(['owners', 'owners', 'owners', 'read'], table, board, keys, rounds);
  release(board);
  const follower = new Follower(table);
  const writers = Promise.all(threads.slice(0, 3).map(({ done }) => done));
  await follower.followUntil(Promise.race([writers, threads[3]!.done]));
  Atomics.store(board, 0, 2);
  await Promise.all(threads.map(({ done }) => done));
  const { claims, removals, live, notStored } = table.stats();
  expect({ live, removals, notStored }).toEqual({ live: 0, removals: claims, notStored: 0 });
  expect(claims).toBeGreaterThan(rounds / 2);
  expect(follower.backends.size).toBe(0);
});

test('readers never take one key for another while slots change hands', async () => {
  const keys = 1500;
  const table = PinTable.create(675, { reportChanges: false });
  const board = boardOf(1);
  const threads = await startAll(['churn', 'churn', 'read', 'read'], table, board, keys, 400_000);
  const reader = new SlotReader(table);
  release(board);
  const writers = Promise.all(threads.slice(0, 2).map(({ done }) => done));
  await reader.followUntil(Promise.race([writers, threads[2]!.done, threads[3]!.done]));
  Atomics.store(board, 0, 2);
  const figures = await Promise.all(threads.map(({ done }) => done));
  for (const pin of table.entries(0)) expect(wrongPin(pin)).toBeUndefined();
  const { claims, evictions, live, notStored, blockedReads } = table.stats();
  expect(evictions + live).toBe(claims);
  expect(evictions).toBeGreaterThan(100_000);
  expect(figures[2]! + figures[3]!, 'pins read').toBeGreaterThan(10_000);
  expect({ notStored, blockedReads }).toEqual({ notStored: 0, blockedReads: 0 });
});

// One group, where all threads meet at one lock, and several, where they meet at what is left of the capacity.
test.each([
  [675, 2_000, 30_000],
  [5_000, 12_000, 30_000],
])(
  'a table of %d pins never has more, and clients that are connected keep theirs',
  async (capacity, keys, rounds) => {
    const table = PinTable.create(capacity, { reportChanges: true });
    const { groups, groupsAt } = pinLayout(capacity);
    const words = new Int32Array(table.shared.buffer);
    const board = boardOf(1);
    const threads = await startAll(['crowd', 'crowd', 'crowd', 'read'], table, board, keys, rounds);
    release(board);
    const writers = Promise.all(threads.slice(0, 3).map(({ done }) => done));
    let isFinished = false;
    const mark = Promise.race([writers, threads[3]!.done]).finally(() => {
      isFinished = true;
    });
    let most = 0;
    while (!isFinished) {
      table.drainChanges(1000, () => {});
      most = Math.max(most, Atomics.load(words, groupsAt + countWord));
      await setImmediate();
    }
    await mark;
    Atomics.store(board, 0, 2);
    await Promise.all(threads.map(({ done }) => done));
    const { live, claims, evictions, removals } = table.stats();
    expect(live).toBe([...table.entries(0)].length);
    expect(live).toBeLessThanOrEqual(capacity);
    expect(live + evictions + removals).toBe(claims);
    expect(evictions).toBeGreaterThan(rounds / 4);
    // All of the capacity is there for whoever comes.
    while (table.drainChanges(1000, () => {}) > 0);
    for (let i = 0; i < capacity; i++)
      table.claim(poolId, threadKey(keys + i), 1, threadTtlMs(i), 0, 'policy');
    expect(table.stats().live).toBe(capacity);
    // A sum over several groups, taken while they change, is none of any moment: theirs is taken at the end alone.
    if (groups === 1) expect(most).toBe(capacity);
  },
);

test('threads killed while they write leave a table the others can use', async () => {
  const keys = 40;
  const table = PinTable.create(keys, { reportChanges: true });
  const board = boardOf(1);
  release(board);
  const follower = new Follower(table);
  const reader = new SlotReader(table);
  const data = { shared: table.shared, keys, rounds: 0, board: board.buffer as SharedArrayBuffer } as const;
  const survivor = await start({ ...data, writerIndex: 2, task: 'forever' });
  let locksLeft = 0;
  for (let kill = 0; kill < 30; kill++) {
    const { worker } = await start({ ...data, writerIndex: 1, task: 'forever' });
    for (let n = 0; n < kill * 20; n++) table.lookup(poolId, threadKey(n % keys), 0);
    await worker.terminate();
    locksLeft += table.releaseLocksOf(1);
    expect(table.releaseLocksOf(1)).toBe(0);
    const before = table.stats().notStored;
    for (let i = 0; i < keys; i++) {
      const winner = table.claim(poolId, threadKey(i), backendOf(i, 0), threadTtlMs(i), 0, 'policy');
      expect(wrongBackend(i, winner)).toBeUndefined();
    }
    expect(table.stats().notStored).toBe(before);
    for (const pin of table.entries(0)) expect(wrongPin(pin)).toBeUndefined();
    follower.follow(1000);
    reader.follow();
  }
  await survivor.worker.terminate();
  await survivor.done;
  table.releaseLocksOf(2);
  reader.expectAll();
  while (follower.follow(1000) > 0);
  const pins = [...table.entries(0)];
  expect(table.stats().live).toBe(pins.length);
  expect(pins.length).toBeLessThanOrEqual(table.shared.capacity);
  const confirmed = pins.filter(({ isConfirmed }) => isConfirmed);
  expect(follower.backends).toEqual(new Map(confirmed.map((pin) => [pin.w3, pin.backendId])));
  // Not always, but if threads died in a lock, this run has shown that it can be released.
  expect(locksLeft).toBeLessThanOrEqual(30);
  // Whatever they were in the middle of counting, nothing of the capacity is lost.
  table.expire(0, 16);
  for (const pin of pins) table.remove(poolId, threadKey(pin.w3), 0, 0);
  while (table.drainChanges(1000, () => {}) > 0);
  for (let i = 0; i < keys; i++) table.claim(poolId, threadKey(1000 + i), 1, threadTtlMs(i), 0, 'policy');
  expect(table.stats()).toMatchObject({ live: keys, capacity: keys });
});

test('a thread killed with a lock in its hands stops nobody for good', async () => {
  const table = PinTable.create(1, { reportChanges: true });
  const key = threadKey(0);
  table.claim(poolId, key, backendOf(0, 1), threadTtlMs(0), 0, 'policy');
  const board = boardOf(1);
  release(board);
  const shared = {
    shared: table.shared,
    keys: 1,
    rounds: 0,
    board: board.buffer as SharedArrayBuffer,
  } as const;
  const { worker } = await start({ ...shared, writerIndex: 7, task: 'seize' });
  await once(worker, 'message');
  await worker.terminate();
  // Who is pinned is found all the same; who is to be moved stays.
  expect(table.lookup(poolId, key, 0)).toBe(backendOf(0, 1));
  expect(table.move(poolId, key, backendOf(0, 1), backendOf(0, 2), threadTtlMs(0), 0, 'retry')).toBe(
    backendOf(0, 2),
  );
  expect(table.stats()).toMatchObject({ notStored: 1, moves: 0, blockedReads: 0 });
  expect(table.releaseLocksOf(7)).toBe(1);
  expect(table.claim(poolId, key, backendOf(0, 2), threadTtlMs(0), 0, 'policy')).toBe(backendOf(0, 1));
  expect(table.move(poolId, key, backendOf(0, 1), backendOf(0, 3), threadTtlMs(0), 0, 'retry')).toBe(
    backendOf(0, 3),
  );
  expect(table.stats().notStored).toBe(1);
});
