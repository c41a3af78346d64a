/**
 * What stands in Redis's place is no Redis, refuses us, says nothing, or says too much: pinion starts in time, says which it
 * is, serves its clients, and stays within its memory. And a fuzz of its way to Redis in all three forms
 * (test/support/redis-fuzz.ts): short here, 100,000 requests each with PINION_LONG (`npm run test:long`).
 */
import { existsSync } from 'node:fs';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { openBlackhole } from './support/blackhole.ts';
import { askTcp } from './support/clients.ts';
import { admin, backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { runToEnd, stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers, tcpServer } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';
import { askOverTcp } from './support/traffic.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const engines = ['epoll', 'portable'] as const;
const isLong = process.env.PINION_LONG !== undefined;
/** What engine a story is told on: by turns, and all on both in the long form. */
const isTurnOf = (engine: string, index: number): boolean =>
  isLong || engine === engines[index % engines.length];
/** A start waits two seconds for a Redis that does not answer, and fifteen for one that is being read. */
const startMsMax = 10_000;
const memoryBeyondRestMax = 100 * 1024 * 1024;

async function pinionWith(engine: string, redis: unknown): Promise<Pinion> {
  const echo = await tcpServer((socket) => void socket.pipe(socket), { name: 'echo' });
  return startPinion(
    configText({
      engine,
      workers: 1,
      cluster: { name: 'c', instance: 'one', redis },
      listeners: [listener('tcp', 'tcp', 'tcp'), listener('echo', 'tcp', 'echo')],
      pools: {
        tcp: { health: noCheck, backends: backendsOf(await namedTcp(['a', 'b'])) },
        echo: { health: noCheck, backends: backendsOf([echo]) },
      },
    }),
  );
}

/** Milliseconds from the first line of the log to the one that says `ready`. */
function startMs(pinion: Pinion): number {
  const at = (event: string): number => Number(pinion.events(event)[0]!.time);
  return at('ready') - at('starting');
}

interface ClusterStatus {
  readonly state: string;
  readonly lastFault?: { readonly fault: string; readonly message: string };
}

async function clusterStatus(pinion: Pinion): Promise<ClusterStatus> {
  return ((await admin(pinion, 'GET', '/status')).body as { cluster: ClusterStatus }).cluster;
}

/** Says why, in the log and in the status, and no part of it died. */
async function saysAway(pinion: Pinion, fault: string, message: RegExp): Promise<void> {
  const away = await pinion.waitForLog(({ event }) => event === 'cluster-away');
  expect([away.fault, away.message]).toEqual([fault, expect.stringMatching(message)]);
  expect(away.msg).toMatch(/^pins are not shared, clients are served: /);
  await expect.poll(async () => (await clusterStatus(pinion)).state).toBe('away');
  expect(await askTcp(pinion.port('tcp'), '127.0.0.1')).toMatch(/^[ab]$/);
  expect(pinion.events('room-died')).toEqual([]);
  expect(pinion.events('failed')).toEqual([]);
}

const onData =
  (answer: (socket: Socket) => void) =>
  (socket: Socket): void => {
    socket.on('error', () => {});
    socket.once('data', () => answer(socket));
  };

/** A byte, and a while later the next, of a reply that is in order so far. */
function drip(socket: Socket): void {
  const timer = setInterval(() => socket.write('x'), 300);
  socket.on('close', () => clearInterval(timer));
  socket.write('$100000\r\n');
}

const standIns: readonly [string, (socket: Socket) => void, string, RegExp][] = [
  [
    'a web server',
    onData((socket) => void socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
    'protocol',
    /^127\.0\.0\.1:\d+ does not speak Redis$/,
  ],
  [
    'a server that speaks first',
    (socket) => {
      socket.on('error', () => {});
      socket.write('220 mail.example ESMTP\r\n');
    },
    'protocol',
    /^127\.0\.0\.1:\d+ does not speak Redis$/,
  ],
  [
    'a server that says what it hears',
    (socket) => {
      socket.on('error', () => {});
      socket.pipe(socket);
    },
    'protocol',
    /answered a script with what it does not return$/,
  ],
  ['silence', onData(() => {}), 'timeout', /timed out|did not answer within/],
  ['a byte now and then', onData(drip), 'timeout', /timed out|did not answer within/],
  [
    'a Redis of the future',
    onData((socket) => void socket.write('%1\r\n+server\r\n+redis\r\n')),
    'protocol',
    /does not speak Redis$/,
  ],
];

const otherForms: readonly [string, string, string, (socket: Socket) => void, string, RegExp][] = [
  ['Sentinels that say nothing', 'redis+sentinel', '/main', onData(() => {}), 'timeout', /no Sentinel says/],
  [
    'a Sentinel that knows nobody of this name',
    'redis+sentinel',
    '/main',
    onData((socket) => void socket.write('*-1\r\n')),
    'away',
    /knows no primary called main/,
  ],
  [
    'nodes that know of no slots',
    'redis+cluster',
    '',
    onData((socket) => void socket.write('*0\r\n')),
    'cluster-down',
    /knows of no node that serves slots/,
  ],
  [
    'a web server in place of a Redis Cluster',
    'redis+cluster',
    '',
    onData((socket) => void socket.end('HTTP/1.0 400 Bad\r\n\r\n')),
    'protocol',
    /does not speak Redis/,
  ],
];

describe.each(engines)('in place of Redis (%s)', (engine) => {
  test.each(standIns.filter((_, i) => isTurnOf(engine, i)))('%s', async (_, serve, fault, message) => {
    const server = await tcpServer(serve);
    const pinion = await pinionWith(engine, `redis://${server.address}`);
    expect(startMs(pinion)).toBeLessThan(startMsMax);
    await saysAway(pinion, fault, message);
    await pinion.stop();
  });

  test('a black hole', async () => {
    const hole = await openBlackhole('hole');
    const pinion = await pinionWith(engine, `redis://${hole.address}`);
    expect(startMs(pinion)).toBeLessThan(startMsMax);
    await saysAway(pinion, 'timeout', /did not accept the connection within 2000 ms$/);
    await pinion.stop();
    await hole.close();
  });

  test('silence where TLS is to begin', async () => {
    const server = await tcpServer((socket) => void socket.on('error', () => {}));
    const pinion = await pinionWith(engine, `rediss://${server.address}`);
    expect(startMs(pinion)).toBeLessThan(startMsMax);
    await saysAway(pinion, 'timeout', /did not agree on TLS within 2000 ms$/);
    await pinion.stop();
  });

  test.each(otherForms.filter((_, i) => isTurnOf(engine, i)))(
    '%s',
    async (_, scheme, path, serve, fault, message) => {
      const server = await tcpServer(serve);
      const pinion = await pinionWith(engine, `${scheme}://${server.address}${path}`);
      expect(startMs(pinion)).toBeLessThan(startMsMax);
      await saysAway(pinion, fault, message);
      await pinion.stop();
    },
  );
});

requirePackage('redis')('a Redis that refuses us', () => {
  test.each(engines)('wants a password, and gets a wrong one (%s)', async (engine) => {
    const redis = await startRedis({ args: ['--requirepass', 'right'] });
    const none = await pinionWith(engine, redis.url);
    await saysAway(
      none,
      'no-auth',
      new RegExp(
        `^redis 127\\.0\\.0\\.1:${redis.port} wants a password; set cluster\\.redis\\.password_file$`,
      ),
    );
    await none.stop();
    const file = temporaryFile('password', 'wrong\n');
    const wrong = await pinionWith(engine, { url: redis.url, password_file: file });
    await saysAway(
      wrong,
      'no-auth',
      new RegExp(
        `^redis 127\\.0\\.0\\.1:${redis.port} refused the password in ${file} \\(user default\\): WRONGPASS`,
      ),
    );
    await wrong.stop();
  });
});

/** As much as is taken, until the connection ends. */
function flood(socket: Socket, first: string, part: string): void {
  const bytes = Buffer.alloc(64 * 1024, part);
  const more = (): void => {
    while (!socket.destroyed && socket.write(bytes));
    if (!socket.destroyed) socket.once('drain', more);
  };
  socket.write(first);
  more();
}

const tooMuch: readonly [string, (socket: Socket) => void, string][] = [
  ['a text of 600 MB', (socket) => flood(socket, '$600000000\r\n', 'x'), 'too-large'],
  ['a line without end', (socket) => flood(socket, '+', 'x'), 'too-large'],
  ['a list without end', (socket) => flood(socket, '*2147483647\r\n', '$1\r\nx\r\n'), 'too-large'],
  ['a list of many nothings', (socket) => flood(socket, '*50000\r\n', '*0\r\n'), 'protocol'],
  ['lists in lists', (socket) => flood(socket, '', '*1\r\n'), 'protocol'],
  [
    'answers that just fit',
    (socket) => flood(socket, '', `$${60_000}\r\n${'x'.repeat(60_000)}\r\n`),
    'protocol',
  ],
];

describe.each(engines)('more than Redis says (%s)', (engine) => {
  test.each(tooMuch.filter((_, i) => isTurnOf(engine, i)))('%s', async (_, answer, fault) => {
    const server = await tcpServer(onData(answer));
    const pinion = await pinionWith(engine, `redis://${server.address}`);
    const client = await askOverTcp(pinion.port('echo'), '127.0.0.1', 1_000);
    const rest = pinion.rssBytes();
    const isSaid = async () => (await pinion.metric('pinion_cluster_faults_total', { fault })) ?? 0;
    for (let i = 0; i < 30; i++) {
      expect(pinion.rssBytes() - rest).toBeLessThan(memoryBeyondRestMax);
      await sleep(100);
    }
    await expect.poll(isSaid).toBeGreaterThan(1);
    const before = client.answers;
    await eventually('answers go on', () => client.answers > before + 10);
    expect([client.wrong, client.outcome]).toEqual([0, undefined]);
    expect(pinion.events('room-died')).toEqual([]);
    await client.leave();
    await pinion.stop();
  });
});

interface Fuzzed {
  readonly asked: number;
  readonly answered: number;
  readonly fulfilled: number;
  readonly thrown: readonly unknown[];
}

describe('a way to Redis that meets lies', () => {
  const requests = isLong ? 100_000 : 6_000;

  test.each(['single', 'sentinel', 'cluster'])(
    'throws nothing outside of its promises: %s',
    async (form) => {
      const file = [process.env.PINION_BUILD ?? fileURLToPath(new URL('../dist', import.meta.url))]
        .map((build) => `${build}/test/support/redis-fuzz.js`)
        .find((path) => existsSync(path));
      expect(file, 'dist/test/support/redis-fuzz.js, from `npm run build`').toBeDefined();
      const seed = String(isLong ? Math.floor(Math.random() * 2 ** 31) : 1);
      for (const lies of ['2', '15']) {
        const args = [file!, form, seed, String(requests / 2), lies];
        const output = await runToEnd({ command: process.execPath, args, name: `fuzz ${form} ${seed}` });
        const fuzzed = JSON.parse(output.trim().split('\n').at(-1)!) as Fuzzed;
        expect(fuzzed.thrown, `seed ${seed}, lies ${lies}`).toEqual([]);
        expect(fuzzed.asked).toBeGreaterThanOrEqual(requests / 2);
        expect(fuzzed.answered).toBeGreaterThan(requests / 50);
        if (lies === '2') expect(fuzzed.fulfilled).toBeGreaterThan(requests / 100);
      }
    },
    isLong ? 3_600_000 : 240_000,
  );
});
