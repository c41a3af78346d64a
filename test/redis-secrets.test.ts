/**
 * Passwords and certificates that are renewed in place, or are missing for a while, in the forms Redis comes in: whoever
 * has lost its connections connects with what the files hold by then, or held last, and nobody reloads anything.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { parseRedisUrl } from '../src/config/redis-url.ts';
import type { RedisPlan } from '../src/core/cluster-plan.ts';
import {
  type Certificate,
  certificateName,
  copyOf,
  newCertificate,
  renewInPlace,
} from './support/certificates.ts';
import { askTcp } from './support/clients.ts';
import { type ClusterNode, inStep, startNode, stopNodes, until } from './support/cluster-node.ts';
import { admin, backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { type Redis, startRedis } from './support/redis.ts';
import { type RedisCluster, startRedisCluster } from './support/redis-cluster.ts';
import { startRedisSentinel } from './support/redis-sentinel.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers } from './support/servers.ts';
import { temporaryFile } from './support/temporary.ts';

afterEach(async () => {
  await stopNodes();
  await stopEverything();
  await stopServers();
});

type Pair = readonly [ClusterNode, ClusterNode];

/** Where no time-out is part of the story. */
const patient = { connectTimeoutMs: 5_000, commandTimeoutMs: 5_000 };

function pair(url: string, changes: Partial<RedisPlan>): Pair {
  const redis = { ...parseRedisUrl(url), ...patient, ...changes };
  return [startNode({ name: 'a', redis }), startNode({ name: 'b', redis })];
}

let clients = 0;
const newClients = (count: number): number[] => Array.from({ length: count }, () => ++clients);

/** Both are in step, and each follows what the other does; on every node of Redis and over every connection. */
async function shares([a, b]: Pair): Promise<void> {
  await inStep(a, b);
  for (const [from, to, backend] of [
    [a, b, 'b1'],
    [b, a, 'b2'],
  ] as const) {
    const ones = newClients(16);
    for (const client of ones) from.pin(client, backend);
    await until(
      () => `${to.name} follows ${from.name}: ${JSON.stringify(to.cluster.status().lastFault)}`,
      () => ones.every((client) => to.at(client) === backend),
    );
  }
}

/** Ends all connections of clients to a server. */
async function cut(...servers: readonly Redis[]): Promise<void> {
  for (const server of servers) await server.command('CLIENT', 'KILL', 'TYPE', 'normal');
}

/** Does what ends all connections, and waits until each instance has all of it back. */
async function comesBack(nodes: Pair, cutAll: () => Promise<unknown>): Promise<void> {
  const connected = (node: ClusterNode): number =>
    node.events.filter(({ event }) => event === 'cluster-connected').length;
  const before = nodes.map(connected);
  await cutAll();
  await until('connected again', () => nodes.every((node, index) => connected(node) > before[index]!));
  await shares(nodes);
}

/** Waits until both are away for this reason, and shows that both go on with what they have. */
async function awayFor(nodes: Pair, fault: string, words: RegExp): Promise<void> {
  for (const node of nodes) {
    const reason = (): string => JSON.stringify([node.cluster.state, node.cluster.status().lastFault]);
    await until(
      () => `${node.name} is away (${fault}, ${words}): ${reason()}`,
      () => {
        const { state, lastFault } = node.cluster.status();
        return state === 'away' && lastFault?.fault === fault && words.test(lastFault.message);
      },
    );
    const [one] = newClients(1);
    const live = node.live();
    node.pin(one!, 'b3');
    expect([node.live(), node.at(one!)]).toEqual([live + 1, 'b3']);
    expect(live).toBeGreaterThanOrEqual(32);
  }
}

/** All that was told and would be shown. */
function told(nodes: Pair): string {
  return JSON.stringify(nodes.map(({ cluster, events }) => [events, cluster.status()]));
}

function faults(nodes: Pair, fault: 'no-auth' | 'tls' | 'file'): number[] {
  return nodes.map(({ cluster }) => cluster.status().faults[fault]);
}

function quoted(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
}

function tlsOf({ caFile, certFile, keyFile }: Certificate): Partial<RedisPlan> {
  return { tls: { caFile, certFile, keyFile, serverName: certificateName } };
}

/** As when a whole site has got its new certificates. */
async function startAllAgain(cluster: RedisCluster): Promise<void> {
  const dead = [...cluster.nodes];
  await Promise.all(dead.map((node) => node.stop('SIGKILL')));
  await Promise.all(dead.map((node) => cluster.startAgain(node)));
}

requirePackage('redis')('secrets that are renewed in place', () => {
  test('Sentinel: the password of the servers, that of the Sentinels, and a failover with both', async () => {
    const sentinel = await startRedisSentinel({ server: 'server-one', sentinel: 'sentinel-one' });
    const { primary, replica } = sentinel;
    const passwordFile = temporaryFile('server', 'server-one\n');
    const sentinelPasswordFile = temporaryFile('sentinel', 'sentinel-one\n');
    const nodes = pair(sentinel.url, { passwordFile, sentinelPasswordFile });
    await shares(nodes);

    await sentinel.changeServerPassword('server-two');
    writeFileSync(passwordFile, 'server-two\n');
    await comesBack(nodes, () => cut(primary));

    await sentinel.changeSentinelPassword('sentinel-two');
    writeFileSync(sentinelPasswordFile, 'sentinel-two\n');
    await comesBack(nodes, () => cut(primary));
    expect([faults(nodes, 'no-auth'), faults(nodes, 'file')]).toEqual([
      [0, 0],
      [0, 0],
    ]);

    // In the wrong order: away, until the file says so too.
    await sentinel.changeServerPassword('server-three');
    await cut(primary);
    await awayFor(nodes, 'no-auth', quoted(`refused the password in ${passwordFile} `));
    await comesBack(nodes, async () => writeFileSync(passwordFile, 'server-three\n'));
    await sentinel.changeSentinelPassword('sentinel-three');
    await cut(primary);
    await awayFor(nodes, 'no-auth', quoted(`refused the password in ${sentinelPasswordFile} `));
    await comesBack(nodes, async () => writeFileSync(sentinelPasswordFile, 'sentinel-three\n'));

    await comesBack(nodes, async () => {
      await primary.stop('SIGKILL');
      await until('away', () => nodes.every(({ cluster }) => cluster.state === 'away'));
      await until('failed over', async () => (await sentinel.primaryPort()) === replica.port, 60_000);
    });
    expect(told(nodes)).not.toMatch(/(server|sentinel)-(one|two|three)/);
  });

  test('Redis Cluster through TLS: authority, certificate and key, by those of another authority', async () => {
    const [one, two, three] = [await newCertificate(), await newCertificate(), await newCertificate()];
    const [servers, ours] = [copyOf(one), copyOf(one)];
    const cluster = await startRedisCluster({ replicas: 0, tls: servers });
    const nodes = pair(cluster.url, tlsOf(ours));
    await shares(nodes);

    renewInPlace(servers, two);
    renewInPlace(ours, two);
    await comesBack(nodes, () => startAllAgain(cluster));
    expect([faults(nodes, 'tls'), faults(nodes, 'file')]).toEqual([
      [0, 0],
      [0, 0],
    ]);

    // One after the other: each step is told, and the last one is enough.
    renewInPlace(servers, three);
    await startAllAgain(cluster);
    await awayFor(nodes, 'tls', /certificate/);
    renewInPlace(ours, three, ['caFile']);
    await awayFor(nodes, 'tls', /unknown ca/);
    renewInPlace(ours, three, ['certFile']);
    // It does not go with the key that is still the one before, so both of before stay.
    await awayFor(nodes, 'tls', /unknown ca/);
    expect(faults(nodes, 'file')).toEqual([0, 0]);
    await comesBack(nodes, async () => renewInPlace(ours, three, ['keyFile']));
    expect(told(nodes)).not.toMatch(/PRIVATE KEY/);
  });
});

requirePackage('redis')('a file that is missing', () => {
  /** Takes each file away in turn and ends the connections: they come back with what it said. */
  async function missesEach(
    nodes: Pair,
    files: readonly string[],
    cutAll: () => Promise<unknown>,
  ): Promise<void> {
    for (const file of files) {
      renameSync(file, `${file}.away`);
      await cutAll();
      await shares(nodes);
      // Opened for writing, and not written yet.
      writeFileSync(file, '');
      await cutAll();
      await shares(nodes);
      renameSync(`${file}.away`, file);
    }
    expect(faults(nodes, 'file')).toEqual([0, 0]);
  }

  test('one server', async () => {
    const redis = await startRedis({
      args: ['--requirepass', 'the-secret'],
      access: () => ['--no-auth-warning', '-a', 'the-secret'],
    });
    const passwordFile = temporaryFile('password', 'the-secret\n');
    const nodes = pair(redis.url, { passwordFile });
    await shares(nodes);
    await missesEach(nodes, [passwordFile], () => cut(redis));
    expect(told(nodes)).not.toContain('the-secret');
  });

  test('Sentinel', async () => {
    const sentinel = await startRedisSentinel({ server: 'the-secret', sentinel: 'the-other' });
    const passwordFile = temporaryFile('server', 'the-secret\n');
    const sentinelPasswordFile = temporaryFile('sentinel', 'the-other\n');
    const nodes = pair(sentinel.url, { passwordFile, sentinelPasswordFile });
    await shares(nodes);
    await missesEach(nodes, [passwordFile, sentinelPasswordFile], () => cut(sentinel.primary));
    expect(told(nodes)).not.toMatch(/the-secret|the-other/);
  });

  test('Redis Cluster through TLS', async () => {
    const ours = await newCertificate();
    const cluster = await startRedisCluster({ replicas: 0, tls: copyOf(ours) });
    const nodes = pair(cluster.url, tlsOf(ours));
    await shares(nodes);
    await missesEach(nodes, [ours.caFile, ours.certFile, ours.keyFile], () => cut(...cluster.nodes));
    expect(told(nodes)).not.toMatch(/PRIVATE KEY/);
  });

  test('the whole command, with a check that needs one as well: told once, shown, and served as before', async () => {
    const redis = await startRedis({
      args: ['--requirepass', 'the-secret'],
      access: () => ['--no-auth-warning', '-a', 'the-secret'],
    });
    const [file, checked] = [
      temporaryFile('password', 'the-secret\n'),
      temporaryFile('checked', 'the-secret\n'),
    ];
    const servers = await namedTcp(['one', 'two']);
    const health = { type: 'redis', password_file: checked, interval: '3s', timeout: '3s', fall: 1 };
    const pinion = await startPinion(
      configText({
        workers: 1,
        cluster: { name: 'c', instance: 'a', redis: { url: redis.url, password_file: file } },
        listeners: [
          listener('front', 'tcp', 'pool', { affinity: { key: 'client-ip', ttl: '10m' } }),
          listener('store', 'tcp', 'redis'),
        ],
        pools: {
          pool: { health: noCheck, backends: backendsOf(servers) },
          redis: { health, backends: [{ name: 'r', address: `127.0.0.1:${redis.port}` }] },
        },
      }),
      { env: { PINION_TEST_FAULTS: '1' } },
    );
    const port = pinion.port('front');
    const cluster = async () => {
      const { body } = await admin(pinion, 'GET', '/status');
      return (body as { cluster: { state: string; lastFault?: { fault: string; message: string } } }).cluster;
    };
    const inStepAgain = () => eventually('in step', async () => (await cluster()).state === 'in-step');
    await inStepAgain();
    const place = await askTcp(port, '127.0.0.2');

    renameSync(file, `${file}.away`);
    writeFileSync(checked, '');
    await cut(redis);
    for (const [room, name, message] of [
      ['cluster', file, `${file} cannot be read: ENOENT`],
      ['checks', checked, `${checked} has no password in its first line`],
    ])
      expect(
        await pinion.waitForLog((record) => record.event === 'file-failed' && record.file === name),
      ).toMatchObject({
        level: 40,
        room,
        message,
        isKept: true,
        msg: expect.stringContaining('stays in use'),
      });
    // With what the file said.
    await inStepAgain();
    const { body } = await admin(pinion, 'GET', '/v1/status');
    const { banners, pools } = body as {
      banners: { code: string; about: string }[];
      pools: { pool: string; state: string }[];
    };
    const files = banners.filter(({ code }) => code === 'file').map(({ about }) => about);
    expect(files.sort()).toEqual([file, checked].sort());
    expect(pools.map(({ state }) => state)).toEqual(['up', 'up']);
    await expect.poll(() => pinion.metric('pinion_files_unusable')).toBe(2);
    expect(await askTcp(port, '127.0.0.2')).toBe(place);

    // A room that dies meanwhile: its next thread begins with what the files said.
    for (const room of ['cluster', 'checks']) {
      await admin(pinion, 'POST', `/faults/rooms/${room}/exit`);
      await eventually(`${room} is back and says it too`, () => {
        const isOf = (record: { readonly [field: string]: unknown }): boolean => record.room === room;
        return (
          pinion.events('room-restarted').some(isOf) && pinion.events('file-failed').filter(isOf).length === 2
        );
      });
    }
    expect(pinion.events('file-failed').map(({ isKept }) => isKept)).toEqual([true, true, true, true]);
    await inStepAgain();
    await eventually('both are shown', async () => (await pinion.metric('pinion_files_unusable')) === 2);
    const again = (await admin(pinion, 'GET', '/v1/status')).body as typeof body & {
      pools: { state: string }[];
    };
    expect(again.pools.map(({ state }) => state)).toEqual(['up', 'up']);
    expect(await askTcp(port, '127.0.0.2')).toBe(place);

    renameSync(`${file}.away`, file);
    writeFileSync(checked, 'the-secret\n');
    await eventually('told', () => pinion.events('file-restored').length === 2);
    await expect.poll(() => pinion.metric('pinion_files_unusable')).toBe(0);
    await expect.poll(() => pinion.metric('pinion_file_failures_total')).toBe(4);
    expect(['file-failed', 'backend-down', 'reloaded'].map((event) => pinion.events(event).length)).toEqual([
      4, 0, 0,
    ]);
    await pinion.stop();
    expect(pinion.process.output()).not.toContain('the-secret');
  });
});
