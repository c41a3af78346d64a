/**
 * A backend that answers no SYN, on loopback: a listening socket whose thread sleeps, with its accept queue
 * filled. Linux drops the SYNs that come when the queue is full (net/ipv4/tcp_input.c, tcp_conn_request).
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { Bind } from '../../core/plan.ts';
import { loopback } from './messages.ts';
import type { Stage } from './stage.ts';

const sleepingListener = `
  const { createServer } = require('node:net');
  const { parentPort } = require('node:worker_threads');
  const server = createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

export async function openBlackhole(stage: Stage): Promise<Bind> {
  const worker = new Worker(sleepingListener, { eval: true });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers: Socket[] = [];
  stage.onClose(async () => {
    for (const socket of fillers) socket.destroy();
    await worker.terminate();
  });
  // One after another: a SYN that finds the queue full is dropped, and that filler stays without an answer.
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    fillers.push(socket);
    const connected = await Promise.race([
      once(socket, 'connect').then(() => true),
      new Promise<false>((resolve) => setTimeout(() => resolve(false), 300)),
    ]);
    if (!connected) return loopback('127.0.0.1', port);
    if (fillers.length > 16) throw new Error('the accept queue never filled');
  }
}
