/**
 * The process around the engine under test: its main thread only carries messages between the suite (IPC) and
 * the engine's thread. Started with the engine's name; it ends with its parent.
 */
import { closeSync, writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import type { FromEngine, ToEngine } from './messages.ts';

const worker = new Worker(new URL('./worker.js', import.meta.url), {
  workerData: { engine: process.argv[2] },
});
const one = new Uint8Array(new BigUint64Array([1n]).buffer);
let wakeDescriptor: number | undefined;

worker.on('message', (event: FromEngine) => {
  if (event.type === 'started') wakeDescriptor = event.wakeDescriptor;
  if (event.type === 'stopped' && wakeDescriptor !== undefined) {
    closeSync(wakeDescriptor);
    wakeDescriptor = undefined;
  }
  process.send?.(event);
});
worker.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
process.on('message', (message: ToEngine) => {
  worker.postMessage(message);
  if (wakeDescriptor !== undefined) writeSync(wakeDescriptor, one);
});
// SIGKILL, not exit: exit waits for a thread that may sit in a system call.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
