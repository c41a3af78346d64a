/** UDP clients whose address changes, before real sockets: by a token, and by the connection id of QUIC. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { rebindSilenceMs } from '../src/core/limits.ts';
import { configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { stopServers, udpServer } from './support/servers.ts';

const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await stopEverything();
  await stopServers();
});

async function place(ip: string, port: number) {
  const socket = createSocket('udp4');
  sockets.push(socket);
  let count = 0;
  socket.on('message', () => count++);
  socket.bind(0, ip);
  await once(socket, 'listening');
  return {
    heard: () => count,
    /** Sends, and waits for the answer here. */
    async ask(bytes: Uint8Array): Promise<void> {
      const before = count;
      socket.send(bytes, port, '127.0.0.1');
      await eventually('an answer', () => count > before);
    },
  };
}

const serverId = 'a1a2a3a4a5a6a7a8';
const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/ /g, ''), 'hex');
// RFC 9000 section 17: a first packet, its answer in which the server chooses an id, and packets to that id.
const initial = Buffer.concat([bytes('c0 00000001 08 0102030405060708 02 c1c2 00'), Buffer.alloc(1_200)]);
const answer = bytes(`c0 00000001 02 c1c2 08 ${serverId} 00`);
const short = bytes(`40 ${serverId} 0011223344`);

test.each([
  [
    'portable',
    'a token',
    { payload: { offset: 1, length: 8 } },
    bytes('01 6162636465666768 00'),
    bytes('02 6162636465666768'),
  ],
  ['epoll', 'quic', 'quic', initial, short],
])(
  '%s, %s: the conversation goes on from another address, and a forger moves nobody',
  async (engine, _, rebind, first, next) => {
    const server = await udpServer((message, _from, reply) =>
      reply(message.length > 1_000 ? answer : bytes('40 00')),
    );
    const pinion = await startPinion(
      configText({
        engine,
        workers: 1,
        log: { flows: { level: 'info' } },
        listeners: [listener('in', 'udp', 'p', { rebind, timeouts: { idle: '3s' } })],
        pools: { p: { health: noCheck, backends: [{ name: 'b', address: server.address }] } },
      }),
    );
    const port = pinion.port('in');
    const [home, abroad, forger] = [
      await place('127.9.0.1', port),
      await place('127.9.0.2', port),
      await place('127.9.0.3', port),
    ];
    await home.ask(first);
    // Two answers, of which the forger is told the first.
    await forger.ask(next);
    await home.ask(next);
    await forger.ask(next);
    expect(home.heard()).toBe(4);
    await home.ask(next);
    expect(await pinion.metric('pinion_listener_rebinds_total')).toBe(0);
    await abroad.ask(next);
    // It has to have been silent at home.
    await sleep(rebindSilenceMs + 10);
    await abroad.ask(next);
    expect(await pinion.metric('pinion_listener_rebinds_total')).toBe(1);
    expect(await pinion.metric('pinion_listener_rebind_tries_total')).toBe(4);
    expect(await pinion.metric('pinion_listener_flows_total')).toBe(1);
    const record = await pinion.waitForLog(({ event }) => event === 'flow');
    expect([record.client, record.movedTo]).toEqual([
      expect.stringMatching(/^127\.9\.0\.1:/),
      expect.stringMatching(/^127\.9\.0\.2:/),
    ]);
  },
);
