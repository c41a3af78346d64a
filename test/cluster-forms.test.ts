/** Redis in all its forms: unix socket, TLS, an ACL user with the rights the manual names, Sentinel, Redis Cluster. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { RedisStore } from '../src/cluster/redis-store.ts';
import { parseRedisUrl } from '../src/config/redis-url.ts';
import { clusterPlan, type RedisPlan } from '../src/core/cluster-plan.ts';
import { certificateName, newCertificate } from './support/certificates.ts';
import {
  type ClusterNode,
  clientKey,
  inStep,
  poolId,
  startNode,
  stopNodes,
  until,
} from './support/cluster-node.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { type Redis, startRedis } from './support/redis.ts';
import { startRedisCluster } from './support/redis-cluster.ts';
import { startRedisSentinel } from './support/redis-sentinel.ts';
import { requirePackage } from './support/require-package.ts';
import { temporaryFile, temporaryFolder } from './support/temporary.ts';

afterEach(async () => {
  await stopNodes();
  await stopEverything();
});

const all = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

/** Where no time-out is part of the story. */
const patient = { connectTimeoutMs: 5_000, commandTimeoutMs: 5_000 };

function pair(url: string, changes: Partial<RedisPlan> = {}): [ClusterNode, ClusterNode] {
  const redis = { ...parseRedisUrl(url), connectTimeoutMs: 500, commandTimeoutMs: 400, ...changes };
  return [startNode({ name: 'a', redis }), startNode({ name: 'b', redis })];
}

function follows(node: ClusterNode, clients: readonly number[], backend: string): Promise<void> {
  return until(
    () =>
      `${node.name} has all on ${backend}: ${node.cluster.state} ${JSON.stringify(node.cluster.status().lastFault)}`,
    () => clients.every((client) => node.at(client) === backend),
  );
}

async function shares(a: ClusterNode, b: ClusterNode): Promise<void> {
  await inStep(a, b);
  for (const client of all(50)) a.pin(client, 'b1');
  await follows(b, all(50), 'b1');
  b.move(7, 'b1', 'b2');
  await follows(a, [7], 'b2');
}

requirePackage('redis')('Redis in all its forms', () => {
  test('a unix socket, and another database', async () => {
    const path = join(temporaryFolder('socket'), 'redis.sock');
    const redis = await startRedis({ args: ['--unixsocket', path] });
    await until('the socket is there', () => existsSync(path));
    await shares(...pair(`unix:${path}?db=3`));
    expect(await redis.command('-n', '0', 'DBSIZE')).toBe('0');
  });

  test('TLS with a certificate authority of our own, and a refusal without it', async () => {
    const { caFile, certFile, keyFile } = await newCertificate();
    const tlsPort = await freePort();
    await startRedis({
      args: [
        '--tls-port',
        String(tlsPort),
        '--tls-cert-file',
        certFile,
        '--tls-key-file',
        keyFile,
        '--tls-ca-cert-file',
        caFile,
        '--tls-auth-clients',
        'no',
      ],
    });
    const url = `rediss://127.0.0.1:${tlsPort}`;
    const tls = { caFile, certFile: undefined, keyFile: undefined, serverName: certificateName };
    await shares(...pair(url, { tls, connectTimeoutMs: 2_000 }));
    const stranger = startNode({ name: 'c', redis: { ...parseRedisUrl(url), connectTimeoutMs: 2_000 } });
    await until('refused', () => stranger.cluster.status().faults.tls > 0);
    expect(stranger.cluster.state).toBe('away');
  });

  test('a user with exactly the rights the manual names, its password in a file that changes', async () => {
    const manual = readFileSync(new URL('../docs/CLUSTER.md', import.meta.url), 'utf8');
    const line = /^ACL SETUSER pinion (.*)$/m.exec(manual)?.[1];
    expect(line, 'the ACL line of docs/CLUSTER.md').toBeDefined();
    const words = line!.replaceAll('game-eu', 'test').replace('>PASSWORD', '>first').split(' ');
    const redis = await startRedis();
    await redis.command('ACL', 'SETUSER', 'pinion', ...words);
    const passwordFile = temporaryFile('password', 'first\n');
    const [a, b] = pair(redis.url, { username: 'pinion', passwordFile, ...patient });
    a.counts.push(['arena', 'b1', 3]);
    a.flows.push({
      id: '1',
      client: '10.0.0.1:1',
      listener: 'l',
      pool: 'arena',
      backend: 'b1',
      ageMs: 5_000,
      bytesIn: 1,
      bytesOut: 1,
    });
    await shares(a, b);
    await until('flows', async () => (await b.cluster.connections()).length === 1);
    await until('counts', () => b.states.peerFlows(b.backendId('b1')) === 3);
    await redis.command('FLUSHALL');
    await until('read again', () => a.events.filter((one) => one.event === 'cluster-resynced').length > 1);
    for (const node of [a, b]) expect(node.cluster.status().faults['no-permission']).toBe(0);
    // The password is changed: in Redis, then in the file. The connections are closed, as a restart would.
    await redis.command('ACL', 'SETUSER', 'pinion', 'resetpass', '>second');
    writeFileSync(passwordFile, 'second\n');
    await redis.command('CLIENT', 'KILL', 'USER', 'pinion');
    await until('back', () => a.events.filter((one) => one.event === 'cluster-connected').length > 1);
    await inStep(a, b);
  });

  test('Redis Cluster: a password in a file that changes, and a failover after it', async () => {
    const redis = await startRedisCluster();
    const everywhere = (nodes: readonly Redis[], ...words: readonly string[]): Promise<unknown> =>
      Promise.all(nodes.map((node) => node.command(...words)));
    await everywhere(redis.nodes, 'ACL', 'SETUSER', 'pinion', 'on', '>first', '~*', '&*', '+@all');
    const passwordFile = temporaryFile('password', 'first\n');
    const [a, b] = pair(redis.url, { username: 'pinion', passwordFile });
    await shares(a, b);
    await everywhere(redis.nodes, 'ACL', 'SETUSER', 'pinion', 'resetpass', '>second');
    writeFileSync(passwordFile, 'second\n');
    // Connections stay authenticated, but a look at the slots needs a new one, with the new password.
    const [first, ...others] = redis.nodes;
    await first!.stop('SIGKILL');
    await until('noticed', () => a.cluster.state !== 'in-step');
    for (const client of all(50)) a.pin(100 + client, 'b2');
    await until(
      'in step again',
      () => a.cluster.state === 'in-step' && b.cluster.state === 'in-step',
      60_000,
    );
    await follows(
      b,
      all(50).map((client) => 100 + client),
      'b2',
    );
    // And all at once, as after a restart.
    await everywhere(others, 'CLIENT', 'KILL', 'USER', 'pinion');
    for (const client of all(50)) a.pin(200 + client, 'b3');
    await follows(
      b,
      all(50).map((client) => 200 + client),
      'b3',
    );
    await inStep(a, b);
  });

  test('a user that may not do enough is told apart from a wrong password', async () => {
    const redis = await startRedis();
    await redis.command('ACL', 'SETUSER', 'poor', 'on', '>p', '~*', '+ping', '+eval', '+evalsha', '+get');
    const [a] = pair(redis.url, { username: 'poor', password: 'p' });
    await until('said', () => a.cluster.status().faults['no-permission'] > 0);
    expect(a.cluster.status().faults['no-auth']).toBe(0);
  });

  // ioredis goes on in database 0: two instances shared nothing, and both said in-step.
  test('a database that cannot be selected is waited for, and no other is used instead', async () => {
    const redis = await startRedis();
    await redis.command('ACL', 'SETUSER', 'pinion', 'on', '>p', '~*', '&*', '+@all', '-select');
    const [a, b] = pair(`${redis.url}/2`, { username: 'pinion', password: 'p', ...patient });
    const refusals = (): number => a.cluster.status().faults['no-permission'];
    await until('refused, and refused again', () => refusals() > 2);
    expect(a.cluster.state).toBe('away');
    // Many connects, and each time the reason, not what asking a closed connection gives.
    const { faults, lastFault } = a.cluster.status();
    expect([lastFault?.fault, faults.away]).toEqual(['no-permission', 0]);
    await redis.command('ACL', 'SETUSER', 'pinion', '+select');
    await shares(a, b);
    expect(await redis.command('DBSIZE')).toBe('0');
  });

  test('row 23: Sentinel: the primary is killed, the pair follows to the new one with every pin', async () => {
    const sentinel = await startRedisSentinel();
    const [a, b] = pair(sentinel.url);
    await shares(a, b);
    const pins = async (): Promise<number> =>
      (await sentinel.replica.command('--scan', '--pattern', '*:pin:*')).split('\n').length;
    await until('the replica has all', async () => (await pins()) === 50);
    await sentinel.primary.stop('SIGKILL');
    await until('noticed', () => a.cluster.state === 'away' && b.cluster.state === 'away');
    a.pin(200, 'b3');
    expect(a.at(3)).toBe('b1');
    await until('failed over', async () => (await sentinel.primaryPort()) === sentinel.replica.port, 60_000);
    await inStep(a, b);
    await follows(b, [200], 'b3');
    for (const client of all(50)) expect(b.at(client)).toBe(client === 7 ? 'b2' : 'b1');
    await until('Redis has all', async () => (await pins()) === 51);
  });

  // ioredis gives a connection up for good when it is told to reconnect while it asks the Sentinels where to: an
  // instance that was slow to find the new primary said in-step and heard of nothing for ever.
  test('row 23: Sentinel: a reader that hears nothing is told to reconnect while it looks for the primary', async () => {
    const sentinel = await startRedisSentinel();
    const store = new RedisStore(
      clusterPlan({ name: 'test', instance: 'a', redis: parseRedisUrl(sentinel.url) }),
    );
    store.command.on('error', () => {});
    store.follower.on('error', () => {});
    try {
      const isReady = (): boolean => store.follower.isUsable;
      await until('reading', isReady);
      let looks = 0;
      store.follower.primaries()[0]!.redis.on('connecting', () => {
        looks++;
        store.reconnectFollower();
        setTimeout(() => store.reconnectFollower(), 1);
      });
      store.reconnectFollower();
      await until('looking', () => looks > 0);
      await until('reading again', isReady, 10_000);
    } finally {
      store.close();
    }
  });

  test('row 23: Sentinel: the primary is stopped, not killed, and comes back as a replica', async () => {
    const sentinel = await startRedisSentinel();
    const [a, b] = pair(sentinel.url);
    await shares(a, b);
    sentinel.primary.process.signal('SIGSTOP');
    await until('failed over', async () => (await sentinel.primaryPort()) === sentinel.replica.port, 60_000);
    await inStep(a, b);
    sentinel.primary.process.signal('SIGCONT');
    a.move(1, 'b1', 'b3');
    await follows(b, [1], 'b3');
    await until('one truth', async () => (await b.cluster.shared(poolId, clientKey(1)))?.backend === 'b3');
  });

  test('row 23: Redis Cluster: a reader is told to reconnect while all its nodes are on their way back', async () => {
    const cluster = await startRedisCluster();
    const store = new RedisStore(
      clusterPlan({ name: 'test', instance: 'a', redis: parseRedisUrl(cluster.url) }),
    );
    store.command.on('error', () => {});
    store.follower.on('error', () => {});
    try {
      const isReading = (): Promise<boolean> =>
        store.follower
          .ask(store.keys.members, (redis) => redis.xread('STREAMS', store.keys.members, '0'))
          .then(
            () => true,
            () => false,
          );
      await until('reading', isReading);
      for (const { redis } of store.follower.primaries()) {
        redis.options.retryStrategy = () => 300;
        redis.disconnect(true);
      }
      await until('nobody is there', async () => !(await isReading()));
      store.reconnectFollower();
      await until('reading again', isReading, 10_000);
    } finally {
      store.close();
    }
  });

  // Every node has a new address, as after containers were made anew; the startup list names old and new.
  test('row 23: Redis Cluster: when no node is where it was, the nodes of the configuration are asked anew', async () => {
    const [old, young] = [await startRedisCluster(), await startRedisCluster()];
    const places = [...old.nodes.slice(0, 2), ...young.nodes.slice(0, 2)].map(
      ({ port }) => `127.0.0.1:${port}`,
    );
    // Which node is asked first is left to chance: the new ones do not answer yet.
    for (const node of young.nodes) node.process.signal('SIGSTOP');
    const [a, b] = pair(`redis+cluster://${places.join(',')}`);
    await shares(a, b);
    for (const node of young.nodes) node.process.signal('SIGCONT');
    for (const node of old.nodes) await node.stop('SIGKILL');
    await until('noticed', () => a.has('cluster-away') && b.has('cluster-away'));
    a.pin(100, 'b3');
    await inStep(a, b);
    await follows(b, [100], 'b3');
  });

  test('row 23: Redis Cluster: one primary is killed, its shards follow to the replica', async () => {
    const cluster = await startRedisCluster();
    const [a, b] = pair(cluster.url);
    await shares(a, b);
    expect(a.cluster.status().liveShards).toBe(16);
    await cluster.nodes[0]!.stop('SIGKILL');
    await until('noticed', () => a.cluster.state !== 'in-step');
    for (const client of all(300).slice(100)) a.pin(client, 'b2');
    expect(a.at(3)).toBe('b1');
    await until(
      'in step again',
      () => a.cluster.state === 'in-step' && b.cluster.state === 'in-step',
      60_000,
    );
    await follows(b, all(300).slice(100), 'b2');
    for (const client of all(50)) expect(b.at(client)).toBe(client === 7 ? 'b2' : 'b1');
  });
});
