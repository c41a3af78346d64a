/**
 * The checks of game servers through a running pinion, on both engines: a server that answers as its kind does is up, and one that
 * answers anything else is down.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { admin, configText, listener } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { a2sAnswer, bedrockAnswer, minecraftAnswer, quake3Answer } from './support/games.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';

const open: { close(): void }[] = [];
/** What the servers do; all of them at once. */
let isWell = true;

afterEach(async () => {
  await stopEverything();
  for (const one of open.splice(0)) one.close();
});

async function udpGame(answer: (asked: Buffer) => Buffer): Promise<number> {
  const socket = createSocket('udp4');
  socket.on('message', (asked, from) =>
    socket.send(isWell ? answer(asked) : 'what?', from.port, from.address),
  );
  socket.bind(0, '127.0.0.1');
  open.push(socket);
  await once(socket, 'listening');
  return socket.address().port;
}

async function tcpGame(answer: () => Buffer): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end(isWell ? answer() : 'HTTP/1.1 400 Bad Request\r\n'.repeat(9)));
  }).listen(0, '127.0.0.1');
  open.push(server);
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

test.each(['epoll', 'portable'])('%s: a2s, bedrock, quake3 and minecraft, up and down', async (engine) => {
  isWell = true;
  const ports = {
    a2s: await udpGame(() => a2sAnswer(3, 16)),
    bedrock: await udpGame((asked) => bedrockAnswer(asked, 2, 10)),
    quake3: await udpGame(() => quake3Answer(1)),
    minecraft: await tcpGame(() => minecraftAnswer(3, 20)),
  };
  const health = { interval: '1s', timeout: '1s', fall: 1, rise: 1 };
  const pools = Object.fromEntries(
    Object.entries(ports).map(([type, port]) => [
      type,
      { health: { ...health, type }, backends: [{ name: 'a', address: `127.0.0.1:${port}` }] },
    ]),
  );
  const listeners = Object.keys(ports).map((type) =>
    listener(type, type === 'minecraft' ? 'tcp' : 'udp', type),
  );
  const pinion = await startPinion(configText({ engine, workers: 1, listeners, pools }));
  const become = (verdict: string): Promise<unknown> =>
    eventually(`all ${verdict}`, async () => {
      const { backends } = (await admin(pinion, 'GET', '/status')).body as {
        backends: { up: boolean; reason: string | null }[];
      };
      return backends.length === 4 && backends.every(({ up, reason }) => (up ? 'up' : reason) === verdict);
    });
  await become('up');
  isWell = false;
  await become('check-failed');
  await expect
    .poll(() => new Set(pinion.events('backend-down').map(({ pool }) => pool)))
    .toEqual(new Set(Object.keys(ports)));
  isWell = true;
  await become('up');
});
