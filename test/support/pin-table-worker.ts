/**
 * A thread that works on a pin table for pin-table-threads.test.ts. What a pin holds follows from the number of
 * its key, so that whoever reads a pin can tell whether all of it belongs together.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Address } from '../../src/core/address.ts';
import { isSameKey, Key } from '../../src/core/key.ts';
import { pinLayout } from '../../src/core/pins/layout.ts';
import { PinLocks } from '../../src/core/pins/lock.ts';
import { PinProbe } from '../../src/core/pins/probe.ts';
import { type Pin, PinTable, type PinTableShared } from '../../src/core/pins/table.ts';

export type PinTask = 'race' | 'moves' | 'owners' | 'churn' | 'crowd' | 'read' | 'forever' | 'seize';

export interface PinWorkerData {
  readonly shared: PinTableShared;
  /** 1 to 64. */
  readonly writerIndex: number;
  readonly task: PinTask;
  readonly keys: number;
  readonly rounds: number;
  /** Word 0: 1 starts the thread, 2 ends readers. Then one word for each key and thread (`race`) or key (`owners`). */
  readonly board: SharedArrayBuffer;
}

export const poolId = 9;
const families = 100;
export const variants = 600;

export function threadKey(index: number): Key {
  return new Key('flow', new Address(index, ~index, index * 3, index, index & 0xffff));
}

export function threadTtlMs(index: number): number {
  return 1_000_000 + index;
}

export function backendOf(index: number, variant: number): number {
  return 1 + (index % families) * variants + (variant % variants);
}

export function variantOf(backendId: number): number {
  return (backendId - 1) % variants;
}

/** What is wrong with a backend found for a key; undefined if nothing. */
export function wrongBackend(index: number, backendId: number): string | undefined {
  const isRight = backendId === 0 || Math.floor((backendId - 1) / variants) === index % families;
  return isRight ? undefined : `key ${index} has the backend ${backendId} of another key`;
}

/** What is wrong with a pin as listed; undefined if nothing. */
export function wrongPin(pin: Pin): string | undefined {
  const index = pin.w3;
  const key = threadKey(index);
  const isRight =
    pin.poolId === poolId &&
    isSameKey(pin, key) &&
    pin.ttlMs === threadTtlMs(index) &&
    pin.expiresAtMs >= pin.ttlMs &&
    pin.expiresAtMs < pin.ttlMs * 3;
  return isRight ? wrongBackend(index, pin.backendId) : `a torn pin: ${JSON.stringify(pin)}`;
}

interface Thread extends PinWorkerData {
  readonly table: PinTable;
  readonly words: Int32Array;
  /** A number from 0 to `below` - 1; each thread has its own sequence. */
  random(below: number): number;
}

function check(wrong: string | undefined): void {
  if (wrong !== undefined) throw new Error(wrong);
}

/** Claims every key, in the order all others do, and writes down who won. */
function race({ table, words, writerIndex, keys }: Thread): void {
  for (let i = 0; i < keys; i++) {
    const mine = backendOf(i, writerIndex);
    const winner = table.claim(poolId, threadKey(i), mine, threadTtlMs(i), 0, 'policy');
    words[1 + writerIndex * keys + i] = winner;
  }
}

/** Counts each key's variant up by compare-and-set, among other operations that leave the variant alone. */
function moves({ table, keys, rounds, random }: Thread): void {
  for (let round = 0; round < rounds; round++) {
    const i = random(keys);
    const key = threadKey(i);
    const ttlMs = threadTtlMs(i);
    const from = table.touch(poolId, key, ttlMs, round);
    check(from === 0 ? `key ${i} is lost` : wrongBackend(i, from));
    check(wrongBackend(i, table.claim(poolId, key, backendOf(i, 0), ttlMs, round, 'policy')));
    if (random(4) === 0) table.confirm(poolId, key, from, ttlMs, round);
    // A late touch, as of a clock far ahead, is one that writes.
    if (random(4) === 0) table.touch(poolId, key, ttlMs, random(1_000_000));
    check(
      wrongBackend(
        i,
        table.move(poolId, key, from, backendOf(i, variantOf(from) + 1), ttlMs, round, 'retry'),
      ),
    );
  }
}

/** Owns keys in turn: a key claimed is nobody else's until it is removed. */
function owners({ table, words, writerIndex, keys, rounds, random }: Thread): void {
  for (let round = 0; round < rounds; round++) {
    const i = random(keys);
    const key = threadKey(i);
    const mine = backendOf(i, writerIndex);
    const winner = table.claim(poolId, key, mine, threadTtlMs(i), 0, 'policy');
    check(wrongBackend(i, winner));
    if (winner !== mine) continue;
    const before = Atomics.compareExchange(words, 1 + i, 0, writerIndex);
    check(before === 0 ? undefined : `key ${i} was won by ${writerIndex} while ${before} had it`);
    if (random(2) === 0) table.confirm(poolId, key, mine, threadTtlMs(i), 0);
    check(table.lookup(poolId, key, 0) === mine ? undefined : `key ${i} was lost by its owner`);
    Atomics.store(words, 1 + i, 0);
    check(table.remove(poolId, key, mine, 0) ? undefined : `key ${i} was not its owner's to remove`);
  }
}

/** Claims keys of which there are more than slots: slots change hands all the time. */
function churn({ table, keys, rounds, random, writerIndex }: Thread): void {
  for (let round = 0; round < rounds; round++) {
    const i = random(keys);
    const mine = backendOf(i, writerIndex);
    check(wrongBackend(i, table.claim(poolId, threadKey(i), mine, threadTtlMs(i), round, 'policy')));
  }
}

/**
 * Clients that come and go, of which there are more than pins, and some that stay and are looked for now and then.
 * @returns how often those that stay were found
 */
function crowd({ table, keys, rounds, random, writerIndex }: Thread): number {
  const staying = 100;
  const serve = (i: number): boolean => {
    const winner = table.claim(poolId, threadKey(i), backendOf(i, writerIndex), threadTtlMs(i), 0, 'policy');
    check(wrongBackend(i, winner));
    return table.arrive(poolId, threadKey(i), winner, threadTtlMs(i), 0, true);
  };
  const first = (writerIndex - 1) * staying;
  const held: number[] = [];
  let found = 0;
  for (let round = 0; round < rounds; round++) {
    // Those that stay come among the others: where all await reporting, one may have to come again.
    if (held.length < staying && serve(first + held.length)) held.push(first + held.length);
    const i = staying * 3 + random(keys - staying * 3);
    if (serve(i)) table.leave(poolId, threadKey(i), threadTtlMs(i), 0);
    if (random(8) === 0) table.remove(poolId, threadKey(i), 0, 0);
    const one = held[round % held.length];
    if (one === undefined) continue;
    const isPinned = table.lookup(poolId, threadKey(one), 0) !== 0;
    check(isPinned ? undefined : `client ${one} is connected and lost its pin`);
    found++;
  }
  return found;
}

/** Reads until told to end. @returns how many pins it found */
function read({ table, words, keys, random }: Thread): number {
  let found = 0;
  while (Atomics.load(words, 0) !== 2) {
    for (let n = 0; n < 1000; n++) {
      const i = random(keys);
      const backendId = table.lookup(poolId, threadKey(i), 0);
      check(wrongBackend(i, backendId));
      if (backendId !== 0) found++;
    }
    for (const pin of table.entries(0)) check(wrongPin(pin));
  }
  return found;
}

/** All operations on few keys, until it is killed. */
function forever({ table, keys, random, writerIndex }: Thread): void {
  parentPort?.postMessage('running');
  for (;;) {
    const i = random(keys);
    const key = threadKey(i);
    const ttlMs = threadTtlMs(i);
    const mine = backendOf(i, writerIndex);
    const winner = table.claim(poolId, key, mine, ttlMs, 0, 'policy');
    table.confirm(poolId, key, winner, ttlMs, 0);
    if (random(2) === 0 && table.arrive(poolId, key, winner, ttlMs, 0, true)) {
      table.stay(poolId, key, ttlMs, 0);
      table.leave(poolId, key, ttlMs, 0);
    }
    check(
      wrongBackend(i, table.move(poolId, key, winner, backendOf(i, random(variants)), ttlMs, 0, 'retry')),
    );
    if (random(4) === 0) table.remove(poolId, key, 0, 0);
  }
}

/** Takes the lock of key 0 and keeps it. */
function seize({ shared, writerIndex }: Thread): void {
  const layout = pinLayout(shared.capacity);
  const words = new Int32Array(shared.buffer);
  const { group } = new PinProbe(layout.groups).aim(poolId, threadKey(0));
  check(new PinLocks(words, layout.groupsAt, layout.groups, writerIndex).acquire(group) ? undefined : 'held');
  parentPort?.postMessage('seized');
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

const tasks: Readonly<Record<PinTask, (thread: Thread) => unknown>> = {
  race,
  moves,
  owners,
  churn,
  crowd,
  read,
  forever,
  seize,
};

/** A linear congruential generator (D. Knuth, The Art of Computer Programming, volume 2, 3.3.4, line 26). */
function randomOf(seed: number): (below: number) => number {
  let state = Math.imul(seed, 0x9e3779b1);
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    return Math.floor(((state >>> 0) / 2 ** 32) * below);
  };
}

if (workerData?.task !== undefined && parentPort !== null) {
  const data = workerData as PinWorkerData;
  const table = PinTable.attach(data.shared, data.writerIndex);
  const words = new Int32Array(data.board);
  parentPort.postMessage('ready');
  // All start together.
  Atomics.wait(words, 0, 0);
  const figure = tasks[data.task]({ ...data, table, words, random: randomOf(data.writerIndex) });
  parentPort.postMessage(typeof figure === 'number' ? figure : 0);
}
