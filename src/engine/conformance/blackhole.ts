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
  const { parentPort, workerData } = require('node:worker_threads');
  const { host, word, answer } = workerData;
  const server = createServer((socket) => {
    socket.on('error', () => {});
    if (answer !== undefined) socket.write(answer, () => socket.resetAndDestroy());
    parentPort.postMessage(socket.remotePort);
  });
  server.listen({ host, port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(word, 0, 0));
  });
`;

export async function openBlackhole(stage: Stage): Promise<Bind> {
  return (await openSleeper(stage)).bind;
}

/**
 * A blackhole that may wake: it then accepts whoever knocks again.
 * @param answer what it says to everybody, before it resets them
 */
export async function openSleeper(
  stage: Stage,
  answer?: string,
): Promise<{ readonly bind: Bind; wake(): void; accepted(): number }> {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const host = stage.scene.home('127.0.0.1');
  const worker = new Worker(sleepingListener, { eval: true, workerData: { host, word, answer } });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers: Socket[] = [];
  const fillerPorts = new Set<number | undefined>();
  const strangers = new Set<number>();
  worker.on('message', (remotePort: number) => strangers.add(remotePort));
  stage.onClose(async () => {
    for (const socket of fillers) socket.destroy();
    await worker.terminate();
  });
  // One after another: a SYN that finds the queue full is dropped, and that filler stays without an answer.
  for (;;) {
    const socket = connect(port, host);
    socket.on('error', () => {});
    fillers.push(socket);
    const connected = await Promise.race([
      once(socket, 'connect').then(() => true),
      new Promise<false>((resolve) => setTimeout(() => resolve(false), 300)),
    ]);
    fillerPorts.add(socket.localPort);
    if (!connected) {
      return {
        bind: loopback('127.0.0.1', port),
        wake: () => {
          Atomics.store(word, 0, 1);
          Atomics.notify(word, 0);
        },
        accepted: () => [...strangers].filter((remotePort) => !fillerPorts.has(remotePort)).length,
      };
    }
    if (fillers.length > 16) throw new Error('the accept queue never filled');
  }
}
