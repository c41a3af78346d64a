/**
 * A TCP server that answers no SYN: a listening socket whose thread sleeps, with its accept queue full. Linux
 * drops the SYNs that come then (net/ipv4/tcp_input.c, tcp_conn_request).
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

const sleepingListener = `
  const { createServer } = require('node:net');
  const { parentPort } = require('node:worker_threads');
  const server = createServer().listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

export interface Blackhole {
  readonly name: string;
  readonly address: string;
  close(): Promise<void>;
}

export async function openBlackhole(name: string): Promise<Blackhole> {
  const worker = new Worker(sleepingListener, { eval: true });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers: Socket[] = [];
  // One after another: the first that gets no answer shows that the queue is full.
  for (let isFull = false; !isFull; ) {
    if (fillers.length > 16) throw new Error('the accept queue never filled');
    const socket = connect(port, '127.0.0.1').on('error', () => {});
    fillers.push(socket);
    // In several steps: a loop that is late meets its timers before the news of a connection.
    for (let i = 0; i < 10 && socket.connecting; i++) await sleep(50);
    isFull = socket.connecting;
  }
  return {
    name,
    address: `127.0.0.1:${port}`,
    async close() {
      for (const socket of fillers) socket.destroy();
      await worker.terminate();
    },
  };
}
