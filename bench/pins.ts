/**
 * How fast the pin table is: operations a second on a table of a million pins, with one, two and as many
 * threads as there are cores. `node dist/bench/pins.js [--json]`.
 *
 * Keys are made beforehand and in random order, so nearly every operation meets cold memory, as it would with
 * real clients. Each figure is the median of several runs, the sum over threads. It says nothing of latency.
 */
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { Address } from '../src/core/address.ts';
import { Key } from '../src/core/key.ts';
import { finishHash } from '../src/core/key-hash.ts';
import { PinTable, type PinTableShared } from '../src/core/pins/table.ts';

const pins = 1_000_000;
const keysPerThread = 100_000;
const runs = 7;
const ttlMs = 60_000;

const operations = ['lookup', 'miss', 'touch', 'slide', 'claim', 'confirm', 'remove'] as const;
type Operation = (typeof operations)[number];

export interface PinsBenchRow {
  readonly threads: number;
  readonly operation: Operation;
  readonly operationsPerSecond: number;
}

interface WorkerTask {
  readonly shared: PinTableShared;
  readonly writerIndex: number;
  /** Pins in the table before the first operation. */
  readonly present: number;
}

interface Order {
  readonly operation: Operation;
  readonly nowMs: number;
}

/** The key of a number: distinct for distinct numbers, as finishHash is a bijection. */
function benchKey(index: number): Key {
  return new Key('client-ip', Address.v4(finishHash(index), 0));
}

/** Runs all operations with each number of threads; takes about half a minute. */
export async function benchPins(): Promise<PinsBenchRow[]> {
  const rows: PinsBenchRow[] = [];
  for (const threads of new Set([1, 2, availableParallelism()])) rows.push(...(await benchThreads(threads)));
  return rows;
}

async function benchThreads(threads: number): Promise<PinsBenchRow[]> {
  const table = PinTable.create(pins, { reportChanges: true });
  // Room for what is claimed: a full table would be another story.
  const present = pins - threads * keysPerThread;
  for (let i = 0; i < present; i++) table.claim(1, benchKey(i), 1 + (i % 16), ttlMs, 0, 'policy');
  const workers: Worker[] = [];
  for (let i = 1; i <= threads; i++) {
    const task: WorkerTask = { shared: table.shared, writerIndex: i, present };
    workers.push(new Worker(fileURLToPath(import.meta.url), { workerData: task }));
  }
  await Promise.all(workers.map((worker) => reply(worker)));
  const rates = new Map<Operation, number[]>(operations.map((operation) => [operation, []]));
  let nowMs = 1;
  // The first two rounds warm the code up.
  for (let run = -2; run < runs; run++) {
    for (const operation of operations) {
      // A slide is a touch that comes late enough to move every expiry (a sixteenth of the ttl), yet all runs
      // together are shorter than a ttl, or pins nobody touches would expire.
      if (operation === 'slide') nowMs += ttlMs / 12;
      const replies = workers.map((worker) => reply(worker));
      for (const worker of workers) worker.postMessage({ operation, nowMs } satisfies Order);
      const perThread = await Promise.all(replies);
      if (run >= 0) rates.get(operation)?.push(perThread.reduce((sum, rate) => sum + rate, 0));
      while (table.drainChanges(10_000, () => {}) > 0);
    }
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  return operations.map((operation) => ({
    threads,
    operation,
    operationsPerSecond: Math.round(median(rates.get(operation) ?? [])),
  }));
}

async function reply(worker: Worker): Promise<number> {
  const [rate] = await once(worker, 'message');
  return rate;
}

function median(values: number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function work(task: WorkerTask): void {
  const table = PinTable.attach(task.shared, task.writerIndex);
  const present: Key[] = [];
  const absent: Key[] = [];
  for (let i = 0; i < keysPerThread; i++) {
    present.push(benchKey(Math.floor(Math.random() * task.present)));
    absent.push(benchKey(pins + task.writerIndex * keysPerThread + i));
  }
  const step: Record<Operation, (key: Key, nowMs: number) => unknown> = {
    lookup: (key, nowMs) => table.lookup(1, key, nowMs),
    miss: (key, nowMs) => table.lookup(1, key, nowMs),
    touch: (key, nowMs) => table.touch(1, key, ttlMs, nowMs),
    slide: (key, nowMs) => table.touch(1, key, ttlMs, nowMs),
    claim: (key, nowMs) => table.claim(1, key, 7, ttlMs, nowMs, 'policy'),
    confirm: (key, nowMs) => table.confirm(1, key, 7, ttlMs, nowMs),
    remove: (key, nowMs) => table.remove(1, key, 0, nowMs),
  };
  parentPort?.on('message', ({ operation, nowMs }: Order) => {
    const isOfPresent = operation === 'lookup' || operation === 'touch' || operation === 'slide';
    const keys = isOfPresent ? present : absent;
    const operate = step[operation];
    const startMs = performance.now();
    for (const key of keys) operate(key, nowMs);
    const elapsedMs = performance.now() - startMs;
    parentPort?.postMessage((keys.length * 1000) / elapsedMs);
  });
  parentPort?.postMessage(0);
}

if (!isMainThread && workerData?.writerIndex !== undefined) {
  work(workerData as WorkerTask);
} else if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const rows = await benchPins();
  if (process.argv.includes('--json')) {
    console.log(JSON.stringify(rows));
  } else {
    console.log('threads  operation      million/s  ns each, per thread');
    for (const { threads, operation, operationsPerSecond } of rows) {
      const millions = (operationsPerSecond / 1e6).toFixed(2).padStart(9);
      const nsEach = ((threads * 1e9) / operationsPerSecond).toFixed(0).padStart(6);
      console.log(`${String(threads).padStart(7)}  ${operation.padEnd(13)}${millions}  ${nsEach}`);
    }
  }
}
