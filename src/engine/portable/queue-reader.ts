/** The entry of the thread that reads the kernel's queues for kernel-queues.ts: sockets come, bytes go back, in the same order. */
import { parentPort } from 'node:worker_threads';
import { readQueuedBytes } from './proc-net-tcp.ts';

parentPort!.on('message', (keys: readonly string[]) => parentPort!.postMessage(readQueuedBytes(keys)));
