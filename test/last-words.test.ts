/**
 * Row 59: a backend that answers and closes while its client still sends (413, "too many connections"). Its kernel sends a reset behind
 * the answer, and the answer arrives all the same: as often as through HAProxy, measured in the same run.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { Worker } from 'node:worker_threads';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { outliveFailure } from '../src/engine/portable/outlive.ts';
import { configText, listener, noCheck } from './support/config.ts';
import { startHaproxy } from './support/haproxy.ts';
import { startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { runToEnd, stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFile } from './support/temporary.ts';

const answer = `HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4000\r\n\r\n${'x'.repeat(4_000)}`;
const uploads = 60;
const uploadBytes = 400 * 65_536;

/** In a thread of its own, so that it answers while this one sends. */
const server = `
  const { createServer } = require('node:net');
  const { parentPort, workerData } = require('node:worker_threads');
  createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.pause();
      socket.write(workerData.answer, () => setTimeout(() => socket.destroy(), workerData.pauseMs));
    });
  }).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port); });
`;

const workers: Worker[] = [];

/** Its port. */
async function serve(pauseMs: number): Promise<number> {
  const worker = new Worker(server, { eval: true, workerData: { answer, pauseMs } });
  workers.push(worker);
  return ((await once(worker, 'message')) as [number])[0];
}

/** Sends all it has, come what may, and reads until there is no more: true if the whole answer was among it. */
function upload(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  outliveFailure(socket, ({ syscall }) => syscall === 'write');
  const block = Buffer.alloc(65_536, 'u');
  let text = '';
  let sentBytes = 0;
  const send = (): void => {
    while (sentBytes < uploadBytes && !socket.errored) {
      sentBytes += block.length;
      if (!socket.write(block)) return;
    }
  };
  socket.on('connect', send).on('drain', send);
  socket.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  return new Promise((resolve) => {
    const done = (): void => {
      socket.destroy();
      resolve(text === answer);
    };
    socket.on('end', done).on('error', done);
  });
}

async function answersThrough(port: number): Promise<number> {
  let answers = 0;
  for (let i = 0; i < uploads; i++) if (await upload(port)) answers++;
  return answers;
}

const configOf = (engine: string, backend: number): string =>
  configText({
    engine,
    listeners: [listener('front', 'tcp', 'pool')],
    pools: { pool: { health: noCheck, backends: [{ name: 'a', address: `127.0.0.1:${backend}` }] } },
  });

afterAll(async () => {
  await stopEverything();
  for (const worker of workers) await worker.terminate();
});

requirePackage('haproxy')('beside HAProxy', () => {
  test.each([0, 20])('an answer followed by a reset %i ms later arrives as often', async (pauseMs) => {
    const backend = await serve(pauseMs);
    const port = await freePort();
    const config = `
global
  nbthread 1
defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen front
  bind 127.0.0.1:${port}
  server only 127.0.0.1:${backend}
`;
    await startHaproxy({ config, port });
    const throughHaproxy = await answersThrough(port);
    for (const engine of ['epoll', 'portable']) {
      const pinion = await startPinion(configOf(engine, backend));
      const answers = await answersThrough(pinion.port('front'));
      expect(answers, `${engine}, HAProxy: ${throughHaproxy}`).toBeGreaterThanOrEqual(throughHaproxy);
    }
  });
});

requirePackage('curl')('with curl', () => {
  let backend: number;
  let file: string;

  beforeAll(async () => {
    backend = await serve(0);
    file = temporaryFile('upload', 'u'.repeat(20_000_000));
  });

  test.each(['epoll', 'portable'])('%s: an upload that is refused is told so', async (engine) => {
    const pinion = await startPinion(configOf(engine, backend));
    const url = `http://127.0.0.1:${pinion.port('front')}/`;
    const codes: string[] = [];
    for (let i = 0; i < 10; i++) {
      // Whatever curl says of the upload, which was cut short: it has heard the answer.
      const args = ['-c', `curl -s -o /dev/null -w '%{http_code}' -H 'Expect:' -T ${file} ${url}; true`];
      codes.push(await runToEnd({ command: 'sh', args }));
    }
    expect(codes).toEqual(Array.from({ length: 10 }, () => '413'));
  });
});
