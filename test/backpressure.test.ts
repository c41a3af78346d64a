/**
 * A slow reader stops a fast sender through TCP and not through memory: a gigabyte is offered, the process stays
 * as large as it was, and the bytes arrive whole when the reader speeds up. Both directions.
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tcpClient } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { stopServers, type TestServer, tcpServer } from './support/servers.ts';
import { receiveStream, sendStream } from './support/stream.ts';

const offeredBytes = 1_000_000_000;
const growthBytesMax = 16_000_000;
/** What the kernel may hold on the way (two connections, two buffers each, 6 MB by default) with room to spare. */
const stalledBytesMax = 64_000_000;

let pinion: Pinion;
let backend: TestServer;

beforeAll(async () => {
  backend = await tcpServer((socket) => socket.pause());
  pinion = await startPinion(
    configText({
      listeners: [listener('front', 'tcp', 'pool')],
      pools: { pool: { health: noCheck, backends: backendsOf([backend]) } },
    }),
  );
});

afterAll(async () => {
  await stopEverything();
  await stopServers();
});

/** Both ends of one relayed connection, neither of them reading. */
async function openPair(): Promise<{ readonly client: Socket; readonly server: Socket }> {
  const known = new Set(backend.sockets);
  const { socket } = await tcpClient(pinion.port('front'));
  socket.removeAllListeners('data').pause();
  const server = await eventually('the connection at the backend', () =>
    [...backend.sockets].find((one) => !known.has(one)),
  );
  return { client: socket, server };
}

/** Highest resident size from now until `stop` is called. */
function watchSize(): { stop(): number } {
  let peak = pinion.rssBytes();
  const timer = setInterval(() => {
    peak = Math.max(peak, pinion.rssBytes());
  }, 20);
  return {
    stop() {
      clearInterval(timer);
      return Math.max(peak, pinion.rssBytes());
    },
  };
}

describe.each([
  { direction: 'client to backend', from: 'client', to: 'server' },
  { direction: 'backend to client', from: 'server', to: 'client' },
] as const)('a gigabyte from $direction', ({ from, to }) => {
  test('waits in the sender while the reader is slow, and arrives whole', async () => {
    // Warm-up: code is compiled and buffers are pooled once, whatever comes after.
    const warm = await openPair();
    const warmed = receiveStream(warm[to]);
    warm[to].resume();
    const sent = sendStream(warm[from], 300_000_000);
    expect(await warmed.done).toBe(await sent.done);
    warm[to].end();
    await settled('memory', () => Math.round(pinion.rssBytes() / 1_000_000));

    const before = pinion.rssBytes();
    const size = watchSize();
    const pair = await openPair();
    const reader = pair[to];
    const sending = sendStream(pair[from], offeredBytes);
    const receiving = receiveStream(reader);
    const stalledAt = await settled('the sender', () => sending.sentBytes);
    expect(stalledAt).toBeLessThan(stalledBytesMax);
    expect(receiving.receivedBytes, 'nobody reads').toBe(0);

    for (let step = 0; step < 100; step++) {
      reader.resume();
      await sleep(2);
      reader.pause();
      await sleep(10);
    }
    expect(receiving.receivedBytes).toBeGreaterThan(0);
    expect(sending.sentBytes - receiving.receivedBytes, 'on the way').toBeLessThan(stalledBytesMax);
    reader.resume();
    expect(await receiving.done).toBe(await sending.done);
    expect(receiving.receivedBytes).toBe(offeredBytes);
    reader.end();
    const peak = size.stop();
    expect(peak - before, `from ${before} to ${peak} bytes`).toBeLessThan(growthBytesMax);
  });
});
