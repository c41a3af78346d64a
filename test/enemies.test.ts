/**
 * Everything pinion speaks with turns hostile, one after the other, while real clients are served: they must not notice.
 * Long-lived TCP connections and UDP conversations go on without a wrong or missing answer, newcomers reach the backend
 * they are pinned to, and memory stays within bounds.
 *
 * Short here; `npm run test:enemies` gives each engine ten minutes (PINION_ENEMIES_SECONDS).
 */
import { writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { askTcp, askUdp, clientAddresses, inParallel } from './support/clients.ts';
import { admin, backendsOf, configText, listener, quickCheck, type Section } from './support/config.ts';
import { tcpEnemies, udpFlood } from './support/enemies/clients.ts';
import { again, type Enemy } from './support/enemies/enemy.ts';
import { httpEnemies } from './support/enemies/http.ts';
import { HostileRedis } from './support/enemies/redis.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, namedUdp, stopServers, tcpServer, udpServer } from './support/servers.ts';
import { askOverTcp, askOverUdp, type TrafficClient } from './support/traffic.ts';

const seconds = Number(process.env.PINION_ENEMIES_SECONDS ?? 40);
/** Beyond what it was before this enemy, and beyond rest after all of them: what heaps have grown to is not given back. Bytes. */
const memoryOfOneMax = 100 * 1024 * 1024;
const memoryOfAllMax = 160 * 1024 * 1024;
/** UDP newcomers without an answer, of all: beside a flood the kernel drops some datagrams. */
const lostShareMax = 0.01;
const [long, newcomers] = [clientAddresses(10), clientAddresses(40).slice(10)];

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

/** Backends that do to one client what no server should. */
async function badBackends(): Promise<Section> {
  const bad = await Promise.all([
    tcpServer((socket) => void socket.resetAndDestroy(), { name: 'resets' }),
    tcpServer((socket) => void socket.pause(), { name: 'reads-nothing' }),
    tcpServer(
      (socket) => {
        const more = (): void => {
          while (!socket.destroyed && socket.write(Buffer.alloc(65_536)));
          if (!socket.destroyed) socket.once('drain', more);
        };
        more();
      },
      { name: 'says-all' },
    ),
  ]);
  return { policy: 'round-robin', health: { type: 'none' }, backends: backendsOf(bad) };
}

/** What is done to the process itself, and what an operator may do to it. */
function processEnemies(pinion: Pinion, text: string): Enemy[] {
  const rooms = ['checks', 'front', 'cluster'].map((room) => ({
    name: `rooms: ${room} dies`,
    begin: async () =>
      again(1_500, () => void admin(pinion, 'POST', `/faults/rooms/${room}/throw`).catch(() => {})),
  }));
  return [
    ...rooms,
    {
      name: 'reloads of files that are none',
      begin: async () => {
        const files = ['[', 'listeners: 1', `${'- '.repeat(5_000)}`, `a: ${'&b '.repeat(999)}`, '\0\0'];
        let n = 0;
        const end = again(200, () => {
          writeFileSync(pinion.configPath, files[n++ % files.length]!);
          pinion.process.signal('SIGHUP');
        });
        return async () => {
          await end();
          writeFileSync(pinion.configPath, text);
          pinion.process.signal('SIGHUP');
        };
      },
    },
    {
      name: 'the process does not run for a while',
      begin: async () =>
        again(1_000, async () => {
          pinion.process.signal('SIGSTOP');
          await sleep(700);
          pinion.process.signal('SIGCONT');
        }),
    },
  ];
}

/** Real clients: those that stay, and those that come and go. */
async function realClients(pinion: Pinion) {
  const [tcp, udp] = [pinion.port('tcp'), pinion.port('udp')];
  // The greeting is not of the echo's kind: these stay on a listener of their own.
  const staying: TrafficClient[] = [
    ...(await inParallel(long, (from) => askOverTcp(pinion.port('echo'), from, 1_000))),
    ...(await inParallel(long, (from) => askOverUdp(pinion.port('udp-echo'), from, 200, 1_000))),
  ];
  const home = {
    tcp: await inParallel(newcomers, (from) => askTcp(tcp, from)),
    udp: await inParallel(newcomers, (from) => askUdp(udp, from)),
  };
  let turn = 0;
  let served = 0;
  const strayed: string[] = [];
  const lost: string[] = [];
  const end = again(25, async () => {
    const i = turn++ % newcomers.length;
    const from = newcomers[i]!;
    const came = await Promise.all([
      askTcp(tcp, from).catch((error: Error) => error.message),
      askUdp(udp, from).catch((error: Error) => error.message),
    ]);
    for (const [kind, name] of [['tcp', came[0]] as const, ['udp', came[1]] as const]) {
      const isLost = kind === 'udp' && /no answer/.test(name);
      if (name === home[kind][i]) served++;
      else (isLost ? lost : strayed).push(`${kind} ${from}: ${name} instead of ${home[kind][i]}`);
    }
  });
  return {
    /** All that stay have had an answer since, and nobody noticed anything. */
    async unharmed(what: string): Promise<void> {
      const before = staying.map(({ answers }) => answers);
      const servedBefore = served;
      const silent = (): string[] =>
        staying.flatMap(({ name, answers, outcome }, i) =>
          outcome === undefined && answers <= before[i]! + 3
            ? [`${i < long.length ? 'tcp' : 'udp'} ${name} ${answers - before[i]!} of ${answers}`]
            : [],
        );
      await eventually(`answers after ${what}`, () => silent().length === 0).catch((error: Error) => {
        throw new Error(`${error.message}: ${silent().join(', ')}`);
      });
      await eventually(`newcomers after ${what}`, () => served > servedBefore + 4 || strayed.length > 0);
      expect(strayed, what).toEqual([]);
      // Two at least: of a few hundred one is no share.
      if (lost.length > 2)
        expect(lost.length / turn, `${what}: ${lost.join(', ')}`).toBeLessThan(lostShareMax);
      const broken = staying.filter(({ wrong, outcome }) => wrong > 0 || outcome !== undefined);
      expect(
        broken.map(({ name, outcome, wrong }) => `${name} ${outcome} ${wrong}`),
        what,
      ).toEqual([]);
    },
    async leave(): Promise<void> {
      await end();
      await Promise.all(staying.map((client) => client.leave()));
    },
  };
}

requirePackage('redis')('enemies all around', () => {
  test.each(['epoll', 'portable'])(
    'are not noticed by clients (%s)',
    async (engine) => {
      const redis = await startRedis();
      const hostile = await HostileRedis.start(redis.port);
      const echo = await Promise.all(
        ['e1', 'e2'].map((name) => tcpServer((socket) => void socket.pipe(socket), { name })),
      );
      const udpEcho = await udpServer((message, _from, reply) => reply(message), { name: 'echo' });
      const tcp = {
        policy: 'round-robin',
        health: quickCheck,
        backends: backendsOf(await namedTcp(['a', 'b', 'c'])),
      };
      const udp = await namedUdp(['u1', 'u2', 'u3'], { checkable: true });
      const text = configText({
        engine,
        log: { flows: { level: 'off' } },
        limits: { flows: 4_000 },
        cluster: { name: 'enemies', instance: 'one', redis: hostile.url },
        listeners: [
          listener('tcp', 'tcp', 'tcp'),
          listener('udp', 'udp', 'udp'),
          listener('echo', 'tcp', 'echo'),
          listener('udp-echo', 'udp', 'udp-echo'),
          listener('bad', 'tcp', 'bad'),
        ],
        pools: {
          tcp,
          udp: { health: quickCheck, backends: backendsOf(udp) },
          echo: { health: quickCheck, backends: backendsOf(echo) },
          'udp-echo': { health: { type: 'none' }, backends: backendsOf([udpEcho]) },
          bad: await badBackends(),
        },
      });
      const pinion = await startPinion(text, { env: { PINION_TEST_FAULTS: '1' } });
      const inStep = () => pinion.metric('pinion_cluster_state', { state: 'in-step' });
      await eventually('in step', async () => (await inStep()) === 1);
      const clients = await realClients(pinion);
      const enemies = [
        ...httpEnemies(() => pinion.port('metrics')),
        ...hostile.enemies(),
        ...tcpEnemies(() => pinion.port('tcp')),
        ...tcpEnemies(() => pinion.port('bad')).map((enemy) => ({
          ...enemy,
          name: `${enemy.name}, bad servers`,
        })),
        udpFlood(() => pinion.port('udp')),
        ...processEnemies(pinion, text),
      ];
      await clients.unharmed('nothing yet');
      const rest = pinion.rssBytes();
      for (const enemy of enemies) {
        const before = pinion.rssBytes();
        const end = await enemy.begin();
        await sleep((seconds * 1_000) / enemies.length);
        expect(pinion.rssBytes() - before, `memory under ${enemy.name}`).toBeLessThan(memoryOfOneMax);
        expect(pinion.rssBytes() - rest, `memory after ${enemy.name}`).toBeLessThan(memoryOfAllMax);
        await end();
        await clients.unharmed(enemy.name);
      }
      await eventually('in step again', async () => (await inStep()) === 1, 60_000);
      await clients.leave();
      await hostile.stop();
      expect(pinion.events('failed')).toEqual([]);
      expect((await pinion.stop('SIGTERM')).code).toBe(0);
    },
    (seconds * 3 + 180) * 1_000,
  );
});
