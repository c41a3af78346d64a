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
  { timeout: 300_000 },
  async (engine, _, rebind, first, next) => {
    const story = async (): Promise<'told' | 'late'> => {
      const server = await udpServer((message, _from, reply) =>
        reply(message.length > 1_000 ? answer : bytes('40 00')),
      );
      const pinion = await startPinion(
        configText({
          engine,
          workers: 1,
          log: { flows: { level: 'info' } },
          listeners: [listener('in', 'udp', 'p', { rebind, timeouts: { idle: '15s' } })],
          pools: { p: { health: noCheck, backends: [{ name: 'b', address: server.address }] } },
        }),
      );
      const port = pinion.port('in');
      const [home, abroad, forger] = [
        await place('127.9.0.1', port),
        await place('127.9.0.2', port),
        await place('127.9.0.3', port),
      ];
      // Whoever was heard at home lately is not believed to be elsewhere. A step that took longer proves nothing.
      let homeAtMs = performance.now();
      let isLate = false;
      const atHome = async (datagram: Uint8Array): Promise<void> => {
        homeAtMs = performance.now();
        await home.ask(datagram);
      };
      const elsewhere = async (at: typeof abroad): Promise<void> => {
        await at.ask(next);
        isLate ||= performance.now() - homeAtMs > rebindSilenceMs;
      };
      await atHome(first);
      // Two answers, of which the forger is told the first.
      await elsewhere(forger);
      await atHome(next);
      await elsewhere(forger);
      if (isLate) return 'late';
      expect(home.heard()).toBe(4);
      await atHome(next);
      await elsewhere(abroad);
      if (isLate) return 'late';
      // It has to have been silent at home.
      await sleep(rebindSilenceMs + 10);
      await abroad.ask(next);
      await expect.poll(() => pinion.metric('pinion_listener_rebinds_total')).toBe(1);
      await expect.poll(() => pinion.metric('pinion_listener_rebind_tries_total')).toBe(4);
      await expect.poll(() => pinion.metric('pinion_listener_flows_total')).toBe(1);
      const record = await pinion.waitForLog(({ event }) => event === 'flow');
      expect([record.client, record.movedTo]).toEqual([
        expect.stringMatching(/^127\.9\.0\.1:/),
        expect.stringMatching(/^127\.9\.0\.2:/),
      ]);
      return 'told';
    };
    let tries = 0;
    while ((await story()) === 'late') expect(++tries, 'a machine that is always late').toBeLessThan(20);
  },
);
