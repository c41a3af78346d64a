/**
 * The entry of the thread whose data plane is the kernel: takes control's orders as any worker, and turns the loop that follows
 * conntrack and keeps the table. An ordinary Node thread: nothing here waits in a system call.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { kernelTurnMs } from '../core/limits.ts';
import { attachSharedMemory, sharedClock } from '../rooms/shared.ts';
import { Director } from '../worker/director.ts';
import type { WorkerData } from '../worker/entry.ts';
import type { MessageFromWorker } from '../worker/messages-from-worker.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import { obey } from '../worker/orders.ts';
import { openLinuxMeans } from './linux-means.ts';
import { claimTable } from './table-claim.ts';
import { KernelThread } from './thread.ts';

async function main(port: MessagePort, data: WorkerData): Promise<void> {
  const nowMs = sharedClock(data.shared.clockOriginMs);
  const post = (message: MessageFromWorker, transfer?: ArrayBuffer[]): void =>
    port.postMessage(message, transfer);
  const views = attachSharedMemory(data.shared, data.index);
  const director = new Director({ worker: data.index, ...views, nowMs, post });
  const table = data.kernelTable ?? 'pinion';
  const means = (await claimTable(table)) ? openLinuxMeans(table) : othersTable(table);
  const thread = new KernelThread({ ...views, director, means, table, nowMs });
  director.engine = thread.relay;
  const beats = new Int32Array(data.beats);
  const timer = setInterval(() => {
    Atomics.add(beats, 0, 1);
    thread.turn();
    director.tick();
  }, kernelTurnMs);
  // What koffi opened is closed by nobody else.
  process.once('exit', () => thread.close());
  port.on('message', (message: MessageToWorker) => {
    if (message.type === 'snapshot') thread.useSnapshot(message.snapshot);
    void thread.before(message).then(() => {
      if (!obey(message, director, post)) return thread.turn();
      clearInterval(timer);
      thread.close();
      port.close();
    });
  });
  post({ type: 'ready', engine: 'kernel', wakeDescriptor: -1 });
}

function othersTable(table: string): string {
  return `another instance on this host has the table inet ${table}; give each a file of its own name, or cluster.instance`;
}

if (parentPort !== null) await main(parentPort, workerData as WorkerData);
