/**
 * Reloads while clients ask without a rest: good ones that change weights, limits, checks, backends and listeners beside them, and bad ones
 * that change nothing. No flow that a reload does not mean breaks, nothing wrong arrives, and nothing is left behind.
 * PINION_LONG=1: 500 connections and 500 conversations, 200 good reloads and 50 bad ones, and a thousand for the leaks.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { askTcp } from './support/clients.ts';
import { backendsOf, configText, noCheck, type Section } from './support/config.ts';
import { eventually, lower } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers, type TestServer, tcpServer, udpServer } from './support/servers.ts';
import { askOverTcp, askOverUdp, type TrafficClient } from './support/traffic.ts';

const isLong = process.env.PINION_LONG === '1';
const clientsOfEach = isLong ? 500 : 100;
const goodReloads = isLong ? 200 : 40;
const badReloads = isLong ? 50 : 10;
const leakReloads = isLong ? 1_000 : 100;

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

/** A valid file, another one for each number; what is asked for by the clients stays. */
function configOf(
  engine: string,
  number: number,
  ports: readonly [number, number, number],
  servers: Servers,
): string {
  const [tcp, udp, beside] = ports;
  const even = number % 2 === 0;
  const listeners: Section[] = [
    {
      name: 'tcp',
      bind: `tcp://127.0.0.1:${tcp}`,
      pool: 'tcp',
      limits: { flows_per_client: even ? 0 : 5_000 },
    },
    { name: 'udp', bind: `udp://127.0.0.1:${udp}`, pool: 'udp', timeouts: { idle: even ? '1m' : '2m' } },
    { name: `beside-${number % 3}`, bind: `tcp://127.0.0.1:${beside}`, pool: 'tcp' },
  ];
  const weigh = (all: readonly TestServer[]): Section[] =>
    backendsOf(all).map((backend, i) => ({ ...backend, weight: 1 + ((number + i) % 3) }));
  return configText({
    engine,
    listeners,
    pools: {
      tcp: {
        health: even ? noCheck : { type: 'tcp', interval: '5s', timeout: '5s' },
        backends: weigh(servers.tcp),
      },
      udp: { health: noCheck, policy: even ? 'maglev' : 'rendezvous', backends: weigh(servers.udp) },
      ...(even ? { spare: { health: noCheck, backends: [{ name: 'x', address: '127.0.0.1:9' }] } } : {}),
    },
  });
}

interface Servers {
  readonly tcp: readonly TestServer[];
  readonly udp: readonly TestServer[];
}

const bad = [
  'listeners: [',
  'listeners: []\npools: {}\n',
  'listeners: [ { name: tcp, bind: "tcp://127.0.0.1:1", pool: nowhere } ]\npools: {}\n',
  '\u0000',
];

/** Puts a file in the place of the present one, asks for a reload and waits for its answer. */
async function answerTo(pinion: Pinion, text: string, event: 'reloaded' | 'reload-refused'): Promise<void> {
  const before = pinion.events(event).length;
  writeFileSync(`${pinion.configPath}.next`, text);
  renameSync(`${pinion.configPath}.next`, pinion.configPath);
  pinion.process.signal('SIGHUP');
  await eventually(`${event} once more`, () => pinion.events(event).length > before);
}

function addressOf(i: number): string {
  return `127.8.${i >> 8}.${(i & 255) + 1}`.replace(/256$/, '0');
}

test.each(['epoll', 'portable'])(
  'no flow breaks while the file changes again and again: %s',
  async (engine) => {
    const echoes = Array.from({ length: 3 }, async (_, i) => ({
      tcp: await tcpServer((socket) => socket.pipe(socket), { name: `t${i}` }),
      udp: await udpServer((message, _from, reply) => reply(message), { name: `u${i}` }),
    }));
    const made = await Promise.all(echoes);
    const servers = { tcp: made.map(({ tcp }) => tcp), udp: made.map(({ udp }) => udp) };
    const ports = [await freePort(), await freePort('udp'), await freePort()] as const;
    const pinion = await startPinion(configOf(engine, 0, ports, servers));
    const clients: TrafficClient[] = [];
    for (let i = 0; i < clientsOfEach; i++) {
      clients.push(
        await askOverTcp(ports[0], addressOf(i), 64),
        await askOverUdp(ports[1], addressOf(i), 64, 2_000),
      );
    }
    const every = Math.floor(goodReloads / badReloads);
    for (let i = 1; i <= goodReloads; i++) {
      await answerTo(pinion, configOf(engine, i, ports, servers), 'reloaded');
      if (i % every === 0) await answerTo(pinion, bad[(i / every) % bad.length]!, 'reload-refused');
    }
    const before = clients.map(({ answers }) => answers);
    await eventually('another answer to each client', () =>
      clients.every(({ answers }, i) => answers > before[i]!),
    );
    expect(clients.filter(({ outcome, wrong }) => outcome !== undefined || wrong > 0)).toEqual([]);
    expect(pinion.events('reload-refused')).toHaveLength(badReloads);
    await Promise.all(clients.map((client) => client.leave()));
  },
);

test('reloads leave no descriptor and no memory behind', async () => {
  const servers = { tcp: await namedTcp(['a', 'b']), udp: [] };
  const ports = [await freePort(), await freePort('udp'), await freePort()] as const;
  const withUdp = {
    ...servers,
    udp: await Promise.all([udpServer((message, _from, reply) => reply(message), { name: 'u' })]),
  };
  const pinion = await startPinion(configOf('epoll', 0, ports, withUdp));
  const reloads = async (count: number): Promise<void> => {
    for (let i = 1; i <= count; i++)
      await answerTo(pinion, configOf('epoll', i % 6, ports, withUdp), 'reloaded');
  };
  // The first ones warm caches up, and compile.
  await reloads(leakReloads);
  const descriptors = await lower(() => pinion.descriptors());
  const bytes = pinion.rssBytes();
  await reloads(leakReloads);
  expect(await askTcp(ports[0])).toMatch(/[ab]/);
  expect(await lower(() => pinion.descriptors())).toBeLessThanOrEqual(descriptors + 2);
  expect(pinion.rssBytes() - bytes).toBeLessThan(40 * 1024 * 1024);
});

test('--watch: a file that has changed is in use without a word, and a bad one changes nothing', async () => {
  const [a, b] = await namedTcp(['a', 'b']);
  const port = await freePort();
  const fileWith = (server: TestServer): string =>
    configText({
      listeners: [{ name: 'front', bind: `tcp://127.0.0.1:${port}`, pool: 'pool' }],
      pools: { pool: { health: noCheck, backends: backendsOf([server]) } },
    });
  const pinion = await startPinion(fileWith(a!), { args: ['--watch'] });
  expect(await askTcp(port)).toBe('a');
  writeFileSync(pinion.configPath, fileWith(b!));
  await pinion.waitForLog(({ event }) => event === 'reloaded');
  await eventually('the other backend', async () => (await askTcp(port)) === 'b');
  writeFileSync(pinion.configPath, 'listeners: [');
  await pinion.waitForLog(({ event }) => event === 'reload-refused');
  expect(await askTcp(port)).toBe('b');
  // The same bytes once more are no change.
  writeFileSync(pinion.configPath, 'listeners: [');
  writeFileSync(pinion.configPath, fileWith(b!));
  await eventually('the good file again', () => pinion.events('reloaded').length === 2);
  await sleep(1_500);
  expect([pinion.events('reloaded').length, pinion.events('reload-refused').length]).toEqual([2, 1]);
});
