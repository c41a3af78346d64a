/**
 * Two instances' cluster sides in one process, each with its own pin table, and a real Redis that is made to fail in
 * every way of RELIABILITY rows 20 to 32. What a row promises is asserted on the tables, states and events.
 */
import { afterEach, expect, test } from 'vitest';
import type { ClaimOutcome } from '../src/cluster/claims.ts';
import type { RedisStore } from '../src/cluster/redis-store.ts';
import { parseRedisUrl } from '../src/config/redis-url.ts';
import type { RedisPlan } from '../src/core/cluster-plan.ts';
import {
  type ClusterNode,
  clientKey,
  inStep,
  poolId,
  startNode,
  stopNodes,
  until,
} from './support/cluster-node.ts';
import { startNodeProcess, stopNodeProcesses } from './support/node-process.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { debugArgs, type Redis, startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';

afterEach(async () => {
  await stopNodes();
  stopNodeProcesses();
  await stopEverything();
});

function plan(redis: Redis | string, changes: Partial<RedisPlan> = {}): RedisPlan {
  const url = typeof redis === 'string' ? redis : redis.url;
  return { ...parseRedisUrl(url), connectTimeoutMs: 2_000, commandTimeoutMs: 5_000, ...changes };
}

/** Where Redis hangs, and what it costs is the story. */
const brief = { commandTimeoutMs: 300 };

function pair(redis: Redis | string, changes: Partial<RedisPlan> = {}): [ClusterNode, ClusterNode] {
  return [
    startNode({ name: 'a', redis: plan(redis, changes) }),
    startNode({ name: 'b', redis: plan(redis, changes) }),
  ];
}

const all = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

function follows(node: ClusterNode, clients: readonly number[], backend: string): Promise<void> {
  return until(
    () =>
      `${node.name} has all ${clients.length} on ${backend}: ${clients.filter((one) => node.at(one) !== backend).slice(0, 5)} are not (${node.cluster.state}, ${JSON.stringify(node.cluster.status().faults)})`,
    () => clients.every((client) => node.at(client) === backend),
  );
}

function claim(
  node: ClusterNode,
  client: number,
  backend: string,
  publish = true,
): Promise<[ClaimOutcome, string]> {
  const request = {
    poolId,
    key: clientKey(client),
    backendId: node.backendId(backend),
    claimTtlMs: 60_000,
    deadlineMs: 5_000,
    publish,
  };
  return new Promise((resolve) => {
    node.cluster.claim(request, (outcome, backendId) => {
      const name = ['b1', 'b2', 'b3'].find((one) => node.backendId(one) === backendId)!;
      resolve([outcome, name]);
    });
  });
}

requirePackage('redis')('a pair that shares its pins through one Redis', () => {
  test('pins, moves and removals made on one instance are followed by the other', async () => {
    const [a, b] = pair(await startRedis());
    await inStep(a, b);
    for (const client of all(500)) a.pin(client, 'b1');
    await follows(b, all(500), 'b1');
    b.move(4, 'b1', 'b3');
    await follows(a, [4], 'b3');
    a.pins.remove(poolId, clientKey(5), 0, a.nowMs());
    await until('removed', () => b.at(5) === undefined);
    // Nobody lost track: each shard was read once, at first contact.
    expect([a.cluster.status().gaps, b.cluster.status().gaps]).toEqual([16, 16]);
    expect(await a.hand.list({ client: '10.0.0.4' }, 10)).toMatchObject([
      { backend: 'b3', writer: 'b', reason: 'backend-down' },
    ]);
  });

  test('of two first claims one wins, and the loser corrects its table', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    for (const client of all(300)) {
      a.pin(client, 'b1');
      b.pin(client, 'b2');
    }
    await until('they agree', () =>
      all(300).every((client) => a.at(client) !== undefined && a.at(client) === b.at(client)),
    );
    const keys = await redis.command('--scan', '--pattern', '*:pin:*');
    expect(keys.split('\n')).toHaveLength(300);
  });

  test('pins slide: a refresh on one instance keeps the pin on both', async () => {
    const [a, b] = pair(await startRedis());
    await inStep(a, b);
    a.pin(1, 'b1', 8_000);
    await follows(b, [1], 'b1');
    const endMs = performance.now() + 17_000;
    await until('kept', () => {
      a.pins.touch(poolId, clientKey(1), 8_000, a.nowMs());
      expect(a.at(1)).toBe('b1');
      return performance.now() > endMs;
    });
    expect(b.at(1)).toBe('b1');
  });

  test('before-dial: the first claim wins on both, asking publishes nothing', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    expect(await claim(a, 1, 'b1', false)).toEqual(['free', 'b1']);
    expect(await redis.command('--scan', '--pattern', '*:pin:*')).toBe('');
    const answers = await Promise.all([claim(a, 1, 'b1'), claim(b, 1, 'b2')]);
    expect(answers.map(([outcome]) => outcome).sort()).toEqual(['lost', 'won']);
    expect(answers[0]![1]).toBe(answers[1]![1]);
    expect((await claim(b, 1, 'b3', false))[1]).toBe(answers[0]![1]);
  });

  test('before-dial: a client whose first choice cannot be dialled stays where it was served', async () => {
    const [a, b] = pair(await startRedis());
    await inStep(a, b);
    expect(await claim(a, 1, 'b1')).toEqual(['won', 'b1']);
    // As a worker goes on: follows the pin, its dial fails, the next backend serves.
    expect(a.at(1)).toBe('b1');
    a.move(1, 'b1', 'b2');
    a.pins.confirm(poolId, clientKey(1), a.backendId('b2'), 600_000, a.nowMs());
    await follows(b, [1], 'b2');
    expect(a.at(1)).toBe('b2');
  });

  test('before-dial: at most claimsWaitingMax wait, and none beyond its deadline', async () => {
    const redis = await startRedis();
    const a = startNode({
      name: 'a',
      redis: plan(redis, { commandTimeoutMs: 5_000 }),
      plan: { claimsWaitingMax: 3 },
    });
    await inStep(a);
    redis.process.signal('SIGSTOP');
    const outcomes: ClaimOutcome[] = [];
    for (const client of all(5)) {
      const request = {
        poolId,
        key: clientKey(client),
        backendId: a.backendId('b1'),
        claimTtlMs: 1_000,
        deadlineMs: 50,
        publish: true,
      };
      a.cluster.claim(request, (outcome) => outcomes.push(outcome));
    }
    expect(outcomes).toEqual(['full', 'full']);
    await until('all have an answer', () => outcomes.length === 5);
    expect(outcomes.slice(2)).toEqual(['timeout', 'timeout', 'timeout']);
    redis.process.signal('SIGCONT');
  });

  test('counts and rows of the connection table are shared, and vanish with their instance', async () => {
    const redis = plan(await startRedis());
    // Nobody is missed who only beats late.
    const start = (name: string) => startNode({ name, redis, plan: { leaseMs: 10_000 } });
    const [a, b] = [start('a'), start('b')];
    await inStep(a, b);
    a.counts.push(['arena', 'b1', 17], ['arena', 'unheard-of', 4]);
    a.flows.push({
      id: '1',
      client: '10.0.0.9:1234',
      listener: 'l',
      pool: 'arena',
      backend: 'b1',
      ageMs: 2_000,
      bytesIn: 5,
      bytesOut: 6,
    });
    a.flows.push({
      id: '2',
      client: '10.0.0.9:1235',
      listener: 'l',
      pool: 'arena',
      backend: 'b1',
      ageMs: 10,
      bytesIn: 0,
      bytesOut: 0,
    });
    await until('b counts them', () => b.states.peerFlows(b.backendId('b1')) === 17);
    await until('b sees the row', async () => (await b.cluster.connections()).length === 1);
    expect((await b.cluster.connections())[0]).toMatchObject({
      instance: 'a',
      client: '10.0.0.9:1234',
      backend: 'b1',
      bytesIn: 5,
    });
    await a.stop();
    await until('gone', () => b.states.peerFlows(b.backendId('b1')) === 0);
    expect(await b.cluster.connections()).toEqual([]);
    expect(b.has('instance-left')).toBe(true);
    expect(b.has('instance-lost')).toBe(false);
  });

  test('the connection table is there between one telling and the next, and is told anew when it was evicted', async () => {
    const redis = await startRedis();
    // As by default, the lease is no longer than the time between two tellings.
    const lease = { leaseMs: 1_500, heartbeatMs: 300 };
    const a = startNode({ name: 'a', redis: plan(redis), plan: lease });
    const flow = { listener: 'l', pool: 'arena', backend: 'b1', ageMs: 60_000, bytesIn: 5, bytesOut: 6 };
    a.flows.push({ ...flow, id: '1', client: '10.0.0.9:1' }, { ...flow, id: '2', client: '10.0.0.9:2' });
    await inStep(a);
    await until('told', async () => (await a.cluster.connections()).length === 2);
    const tellings = async (): Promise<number> =>
      Number(/pexpire:calls=(\d+)/.exec(await redis.command('INFO', 'commandstats'))?.[1]);
    const first = await tellings();
    await until('told three times more', async () => {
      expect(await a.cluster.connections()).toHaveLength(2);
      return (await tellings()) >= first + 6;
    });
    await redis.command('DEL', '{pinion:test}:flows:a');
    await until('told anew', async () => (await a.cluster.connections()).length === 2);
  });

  test('pins by hand hold on all instances', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    for (const client of all(20)) a.pin(client, client < 10 ? 'b1' : 'b2');
    await follows(b, all(10), 'b1');
    await follows(b, all(20).slice(10), 'b2');
    expect(await b.hand.set('arena', clientKey(3), 'b3', 60_000)).toBe('shared');
    await follows(a, [3], 'b3');
    expect(await b.hand.set('arena', clientKey(3), 'nobody', 60_000)).toBeUndefined();
    expect(await a.hand.move({ backend: 'b2' }, 'b1')).toEqual({ moved: 10, left: 0 });
    await follows(
      b,
      all(20).filter((client) => client !== 3),
      'b1',
    );
    expect(await a.hand.delete({ client: '10.0.0.0/29' })).toBe(8);
    await until('b has twelve', () => b.live() === 12);
    expect(await a.cluster.shared(poolId, clientKey(12))).toMatchObject({
      backend: 'b1',
      writer: 'a',
      reason: 'operator',
      generation: 2,
    });
  });
});

requirePackage('redis')('what an operator does to many pins', () => {
  test('moves and removals of more pins than the journal holds are told whole', async () => {
    const redis = await startRedis();
    const a = startNode({ name: 'a', redis: plan(redis), plan: { journalPinsMax: 160 } });
    const b = startNode({ name: 'b', redis: plan(redis) });
    await inStep(a, b);
    for (const client of all(1_000)) a.pin(client, 'b1');
    await follows(b, all(1_000), 'b1');
    expect(await a.hand.move({ backend: 'b1' }, 'b2')).toEqual({ moved: 1_000, left: 0 });
    await follows(b, all(1_000), 'b2');
    expect(await a.hand.delete({ pool: 'arena' })).toBe(1_000);
    await until('b has none', () => b.live() === 0);
    expect([a.live(), a.cluster.status().journalDropped]).toEqual([0, 0]);
  });

  test('moves stand that are made while the keys are read again', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    for (const client of all(100)) a.pin(client, 'b1');
    await follows(b, all(100), 'b1');
    // A hole in each stream, as after a failover that lost some; news in each, so that it is noticed.
    for (let shard = 0; shard < 16; shard++)
      await redis.command('XADD', `{pinion:test:${shard}}:changes`, '*', 'x', 'y');
    for (const client of all(64)) b.pin(1_000 + client, 'b1');
    await until('reading again', () => a.cluster.state === 'resyncing');
    expect(await a.hand.move({ client: '10.0.0.0/25' }, 'b2')).toEqual({ moved: 100, left: 0 });
    await inStep(a, b);
    await follows(b, all(100), 'b2');
    await follows(a, all(100), 'b2');
  });
});

requirePackage('redis')('without Redis, row by row', () => {
  test('row 20: down at start: serves alone, says so, and shares what it has when Redis comes', async () => {
    const port = await freePort();
    const [a, b] = pair(`redis://127.0.0.1:${port}`);
    for (const client of all(50)) a.pin(client, 'b1');
    await until('said', () => a.has('cluster-fault'));
    expect(a.cluster.state).toBe('away');
    expect(a.at(7)).toBe('b1');
    expect(await claim(a, 99, 'b2')).toEqual(['away', 'b2']);
    await startRedis({ port });
    await inStep(a, b);
    await follows(b, all(50), 'b1');
  });

  test('row 21: dies: the table goes on; what changed meanwhile is told when it is back', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    for (const client of all(50)) a.pin(client, 'b1');
    await follows(b, all(50), 'b1');
    await redis.stop('SIGKILL');
    await until('both know', () => a.has('cluster-away') && b.has('cluster-away'));
    for (const client of all(50)) expect(b.at(client)).toBe('b1');
    a.move(1, 'b1', 'b2');
    a.pin(100, 'b3');
    expect(a.at(1)).toBe('b2');
    await startRedis({ port: redis.port });
    await inStep(a, b);
    await follows(b, [1], 'b2');
    await follows(b, [100], 'b3');
    await follows(b, all(50).slice(2), 'b1');
  });

  test.each([
    [
      'SIGSTOP',
      (redis: Redis) => redis.process.signal('SIGSTOP'),
      (redis: Redis) => redis.process.signal('SIGCONT'),
    ],
    ['CLIENT PAUSE', (redis: Redis) => redis.command('CLIENT', 'PAUSE', '8000', 'ALL'), () => undefined],
  ])(
    'row 22: hangs (%s): nobody waits beyond the command timeout, memory is bounded',
    async (_, hang, release) => {
      const redis = await startRedis();
      const [a, b] = pair(redis, brief);
      await inStep(a, b);
      await hang(redis);
      await until('away', () => a.has('cluster-away') && b.has('cluster-away'));
      expect(a.cluster.status().faults.timeout).toBeGreaterThan(0);
      expect(await claim(a, 1, 'b1')).toEqual(['away', 'b1']);
      for (const client of all(200)) a.pin(client, 'b2');
      await until('in the journal', () => a.cluster.status().journal === 200);
      await release(redis);
      await inStep(a, b);
      await follows(b, all(200), 'b2');
      // Redis may have done what it was asked before the pause, so b may know before a has been answered.
      await until('nothing left to tell', () => a.cluster.status().journal === 0);
    },
  );

  test('row 22: a journal that is full drops the oldest, and a sweep makes up for it', async () => {
    const redis = await startRedis();
    const a = startNode({ name: 'a', redis: plan(redis, brief), plan: { journalPinsMax: 160 } });
    const b = startNode({ name: 'b', redis: plan(redis, brief) });
    await inStep(a, b);
    redis.process.signal('SIGSTOP');
    await until('away', () => a.cluster.state === 'away');
    for (const client of all(1_000)) a.pin(client, 'b1');
    await until('full', () => a.cluster.status().journalDropped > 500);
    expect(a.cluster.status().journal).toBeLessThanOrEqual(160);
    redis.process.signal('SIGCONT');
    await inStep(a, b);
    await follows(b, all(1_000), 'b1');
  });

  test('row 23: READONLY: the connection is given up, nothing is lost when the server is a primary again', async () => {
    const primary = await startRedis();
    const other = await startRedis();
    const [a, b] = pair(primary);
    await inStep(a, b);
    for (const client of all(20)) a.pin(client, 'b1');
    await follows(b, all(20), 'b1');
    await primary.command('REPLICAOF', other.host, String(other.port));
    await until('noticed', () => a.cluster.status().faults['read-only'] > 0 && a.cluster.state === 'away');
    a.pin(21, 'b2');
    // As a replica it took over the other's emptiness: back as a primary it has nothing.
    await primary.command('REPLICAOF', 'NO', 'ONE');
    await inStep(a, b);
    await follows(b, [21], 'b2');
    const pins = async (): Promise<string> => primary.command('--scan', '--pattern', '*:pin:*');
    await until('all are published again', async () => (await pins()).split('\n').length === 21);
  });

  test('row 24: FLUSHALL: what the instances know is published again', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    for (const client of all(100)) a.pin(client, 'b1');
    await follows(b, all(100), 'b1');
    await redis.command('FLUSHALL');
    await until('noticed', () => a.events.filter((one) => one.event === 'cluster-resynced').length > 1);
    await inStep(a, b);
    await until(
      'all are back',
      async () =>
        (await redis.command('DBSIZE')) !== '' &&
        (await redis.command('--scan', '--pattern', '*:pin:*')).split('\n').length === 100,
    );
    for (const client of all(100)) expect(b.at(client)).toBe('b1');
  });

  test('row 24: evicted keys are put back by the sweep', async () => {
    const redis = await startRedis();
    const a = startNode({ name: 'a', redis: plan(redis), plan: { sweepMs: 300 } });
    await inStep(a);
    for (const client of all(10)) a.pin(client, 'b1');
    await until('written', () => a.cluster.status().pinsWritten >= 10);
    const keys = (await redis.command('--scan', '--pattern', '*:pin:*')).split('\n');
    await redis.command('DEL', ...keys.slice(0, 4));
    await until('put back', async () => (await redis.command('EXISTS', ...keys)) === '10');
  });

  test('row 25: SCRIPT FLUSH goes unnoticed', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    await redis.command('SCRIPT', 'FLUSH');
    for (const client of all(30)) a.pin(client, 'b2');
    await follows(b, all(30), 'b2');
    expect(a.has('cluster-away')).toBe(false);
    expect(a.cluster.status().lastFault).toBeUndefined();
  });

  test('row 26: out of memory: said, counted, and made up for when there is room', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction');
    await redis.command('CONFIG', 'SET', 'maxmemory', '1');
    a.pin(1, 'b1');
    await until('noticed', () => a.cluster.status().faults['out-of-memory'] > 0);
    await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    await inStep(a, b);
    await follows(b, [1], 'b1');
    const said = a.events.filter((one) => one.event === 'cluster-fault' && one.fault === 'out-of-memory');
    expect(said).toHaveLength(1);
  });

  test('row 26: BUSY is survived', async () => {
    const redis = await startRedis({ args: ['--lua-time-limit', '50'] });
    const [a, b] = pair(redis, { commandTimeoutMs: 2_000 });
    await inStep(a, b);
    void redis.command('EVAL', 'while true do end', '0').catch(() => {});
    await until('busy', () => a.cluster.status().faults.busy > 0);
    await until('killed', async () => (await redis.command('SCRIPT', 'KILL').catch(String)) !== '');
    await inStep(a, b);
    a.pin(1, 'b2');
    await follows(b, [1], 'b2');
  });

  test('row 26: MISCONF (Redis cannot save, so it takes no writes) is told apart and survived', async () => {
    const redis = await startRedis({ args: ['--dir', '/proc', '--save', '3600', '1000000'] });
    const [a, b] = pair(redis);
    await inStep(a, b);
    await redis.command('BGSAVE');
    await until('refusing', async () => (await redis.command('SET', 'x', 'y')).includes('MISCONF'));
    a.pin(1, 'b1');
    await until('cannot persist', () => a.cluster.status().faults['cannot-persist'] > 0);
    await redis.command('CONFIG', 'SET', 'stop-writes-on-bgsave-error', 'no');
    await inStep(a, b);
    await follows(b, [1], 'b1');
  });

  test('row 26: LOADING (Redis reads its file) is told apart and survived', async () => {
    // It answers while it loads, once for so many bytes: 2 MB in Redis 6.2, and here in others.
    const args = ['--key-load-delay', '200', '--rdbcompression', 'no', ...(await debugArgs())];
    const redis = await startRedis({ args });
    const [a, b] = pair(redis);
    await inStep(a, b);
    await redis.command('DEBUG', 'POPULATE', '20000', 'key', '500');
    const reloaded = redis.command('DEBUG', 'RELOAD');
    await until('loading', () => a.cluster.status().faults.loading > 0);
    await reloaded;
    await inStep(a, b);
    a.pin(1, 'b1');
    await follows(b, [1], 'b1');
  });

  test('row 26: user or password refused, and taken up again when it is right', async () => {
    const redis = await startRedis();
    await redis.command('ACL', 'SETUSER', 'pinion', 'on', '>right', '~*', '&*', '+@all');
    const [a] = [startNode({ name: 'a', redis: plan(redis, { username: 'pinion', password: 'wrong' }) })];
    await until('refused', () => a.cluster.status().faults['no-auth'] > 0);
    expect(a.cluster.state).toBe('away');
    await redis.command('ACL', 'SETUSER', 'pinion', '>wrong');
    await inStep(a);
  });

  test('row 27: poisoned keys, values and entries harm nobody', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    for (const client of all(6)) a.pin(client, 'b1');
    await follows(b, all(6), 'b1');
    const keys = (await redis.command('--scan', '--pattern', '*:pin:*')).split('\n');
    const poison = [
      '',
      'x'.repeat(100_000),
      '1 nobody x policy 1 1',
      '1 b1',
      '9 from the future',
      '1 ../../etc x policy 1 1',
    ];
    for (const [index, key] of keys.entries()) await redis.command('SET', key, poison[index]!);
    await redis.command('RPUSH', '{test}', 'x');
    for (let shard = 0; shard < 16; shard++) {
      await redis.command(
        'XADD',
        `{pinion:test:${shard}}:changes`,
        '*',
        'p',
        'arena/1/not-an-address\t5\tx\n\n\t\t',
        'l',
        '7',
      );
      await redis.command('SET', `{pinion:test:${shard}}:pin:nonsense`, 'x');
      await redis.command('LPUSH', `{pinion:test:${shard}}:pin:arena/1/10.9.9.9`, 'x');
    }
    await redis.command('SADD', '{pinion:test}:members', 'ghost', 'liar');
    await redis.command('SET', '{pinion:test}:instance:liar', '{"v":1,"digest":{"a":1}}');
    await redis.command('SET', '{pinion:test}:counts:liar', '[["arena","b1",-5],["arena","b1","x"],7]');
    a.pin(50, 'b3');
    await follows(b, [50], 'b3');
    for (const client of all(6)) expect([a.at(client), b.at(client)]).toEqual(['b1', 'b1']);
    expect(b.states.peerFlows(b.backendId('b1'))).toBe(0);
    await inStep(a, b);
  });

  test('row 27: keys of a wrong type are put right, one after the other, and keep nobody from the rest', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    const poison = "redis.call('DEL', KEYS[1]) return redis.call('RPUSH', KEYS[1], 'x')";
    const keys = ['{pinion:test:3}:changes', '{pinion:test:5}:head', '{pinion:test:5}:lease:a'];
    keys.push('{pinion:test}:layout', '{pinion:test}:members');
    for (const [index, key] of keys.entries()) {
      await redis.command('EVAL', poison, '1', key);
      const clients = all(20).map((client) => index * 100 + client);
      for (const client of clients) a.pin(client, 'b1');
      await follows(b, clients, 'b1');
      await until(`${key} is right again`, async () => (await redis.command('TYPE', key)) !== 'list');
      await inStep(a, b);
    }
    // An id of somebody's own choice, far in the future: ours come after it.
    for (let shard = 0; shard < 16; shard++)
      await redis.command('XADD', `{pinion:test:${shard}}:changes`, '9999999999999999-0', 'x', 'y');
    for (const client of all(50)) a.pin(1_000 + client, 'b2');
    const late = all(50).map((client) => 1_000 + client);
    await follows(b, late, 'b2');
    await inStep(a, b);
  });

  test('row 27: a head that is deleted alone is made anew once', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    for (const client of all(50)) a.pin(client, 'b1');
    await follows(b, all(50), 'b1');
    for (let shard = 0; shard < 16; shard++) await redis.command('DEL', `{pinion:test:${shard}}:head`);
    await until('noticed', () => a.cluster.status().gaps >= 32 && b.cluster.status().gaps >= 32);
    await inStep(a, b);
    for (const client of all(50)) a.move(client, 'b1', 'b2');
    await follows(b, all(50), 'b2');
    expect([a.cluster.status().gaps, b.cluster.status().gaps]).toEqual([32, 32]);
  });

  test('row 24: a stream that is lost while its reader is behind is noticed', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis);
    await inStep(a, b);
    const { store } = b.cluster as unknown as { store: RedisStore };
    const follower = store.follower.primaries()[0]!.redis;
    follower.options.retryStrategy = () => 1_000;
    follower.disconnect(true);
    await until('b does not read', () => follower.status === 'reconnecting');
    a.pin(1, 'b1');
    await until('told', async () => (await a.cluster.shared(poolId, clientKey(1)))?.backend === 'b1');
    for (let shard = 0; shard < 16; shard++) await redis.command('DEL', `{pinion:test:${shard}}:changes`);
    await follows(b, [1], 'b1');
    await inStep(a, b);
  });

  test('row 28: clocks that differ by hours change nothing', async () => {
    const redis = await startRedis();
    const a = startNode({ name: 'a', redis: plan(redis), clockOffsetMs: 5e7 });
    const b = startNode({ name: 'b', redis: plan(redis), clockOffsetMs: 0 });
    await inStep(a, b);
    a.pin(1, 'b1', 60_000);
    b.pin(2, 'b2', 60_000);
    await follows(b, [1], 'b1');
    await follows(a, [2], 'b2');
    for (const node of [a, b]) {
      for (const row of await node.hand.list({}, 10)) {
        expect(row.expiresInMs).toBeGreaterThan(50_000);
        expect(row.expiresInMs).toBeLessThanOrEqual(75_000);
      }
    }
  });

  test('row 29: parted, both go on; healed, both agree and nobody is moved needlessly', async () => {
    const redis = await startRedis();
    const [a, b] = pair(redis, brief);
    await inStep(a, b);
    a.pin(1, 'b1');
    await follows(b, [1], 'b1');
    redis.process.signal('SIGSTOP');
    await until('parted', () => a.cluster.state === 'away' && b.cluster.state === 'away');
    a.move(1, 'b1', 'b2');
    b.move(1, 'b1', 'b3');
    a.pin(2, 'b1');
    b.pin(2, 'b1');
    a.pin(3, 'b1');
    b.pin(3, 'b2');
    expect([a.at(1), b.at(1)]).toEqual(['b2', 'b3']);
    redis.process.signal('SIGCONT');
    await inStep(a, b);
    await until('they agree', () => [1, 2, 3].every((client) => a.at(client) === b.at(client)));
    expect(a.at(2)).toBe('b1');
  });

  test('row 30: different configurations are noticed, and their end, too', async () => {
    const redis = await startRedis();
    const a = startNode({ name: 'a', redis: plan(redis), digest: 'one' });
    const b = startNode({ name: 'b', redis: plan(redis), digest: 'two', backends: ['b1', 'b2'] });
    await until('noticed', () => a.has('instance-digest-differs') && b.has('instance-digest-differs'));
    await inStep(a, b);
    expect(a.cluster.status().differingDigests).toBe(1);
    // b does not have b3: it ignores the pin until a client comes to it, and then it is a move.
    a.pin(1, 'b3');
    a.pin(2, 'b1');
    await follows(b, [2], 'b1');
    expect(b.at(1)).toBeUndefined();
    b.pin(1, 'b2');
    await follows(a, [1], 'b2');
    b.digest = 'one';
    await until('agreed', () => a.has('instance-digest-agrees'));
  });

  test('row 30: a reload that knows the backend of pins that were ignored learns them', async () => {
    const redis = await startRedis();
    const backends = ['b1', 'b2'];
    const a = startNode({ name: 'a', redis: plan(redis) });
    const b = startNode({ name: 'b', redis: plan(redis), backends });
    await inStep(a, b);
    for (const client of all(10)) a.pin(client, 'b1');
    await follows(b, all(10), 'b1');
    for (const client of all(5)) a.move(client, 'b1', 'b3');
    for (const client of all(5)) a.pin(100 + client, 'b3');
    await until('ignored', () => b.cluster.status().pinsIgnored >= 10);
    backends.push('b3');
    b.cluster.namesAdded();
    await follows(b, [...all(5), ...all(5).map((client) => 100 + client)], 'b3');
    await inStep(b);
    const { pinsLearned } = b.cluster.status();
    b.cluster.namesAdded();
    expect(b.cluster.state, 'nothing was ignored since').toBe('in-step');
    expect(b.cluster.status().pinsLearned).toBe(pinsLearned);
  });

  test('row 30: a client that is only there does not undo a move to a backend its instance does not have', async () => {
    const redis = await startRedis();
    const a = startNode({ name: 'a', redis: plan(redis) });
    const b = startNode({ name: 'b', redis: plan(redis), backends: ['b1', 'b2'] });
    await inStep(a, b);
    b.pin(1, 'b1', 4_000);
    await follows(a, [1], 'b1');
    expect(await a.hand.set('arena', clientKey(1), 'b3', 600_000)).toBe('shared');
    const ignored = b.cluster.status().pinsIgnored;
    // A quarter of its ttl later it is told: twice, to see that the first was answered.
    await until('told', () => {
      b.pins.touch(poolId, clientKey(1), 4_000, b.nowMs());
      return b.cluster.status().pinsIgnored >= ignored + 2;
    });
    expect(a.at(1)).toBe('b3');
    expect((await a.cluster.shared(poolId, clientKey(1)))?.backend).toBe('b3');
  });

  test('row 31: an instance that is killed is missed, its counts lapse, its pins stay', async () => {
    const redis = await startRedis();
    const a = startNodeProcess(redis.url, 'a');
    const b = startNode({ name: 'b', redis: plan(redis) });
    await inStep(b);
    await until('a is in step', async () => (await a.call('state')) === 'in-step');
    await a.call('counts', ['arena', 'b1', 5]);
    for (const client of all(30)) await a.call('pin', client, 'b1');
    await follows(b, all(30), 'b1');
    await until('counted', () => b.states.peerFlows(b.backendId('b1')) === 5);
    a.signal('SIGKILL');
    await until('missed', () => b.has('instance-lost'));
    await until('lapsed', () => b.states.peerFlows(b.backendId('b1')) === 0);
    for (const client of all(30)) expect(b.at(client)).toBe('b1');
    const again = startNode({ name: 'a', redis: plan(redis) });
    await inStep(again);
    await follows(again, all(30), 'b1');
    await until('seen', () => b.events.filter((one) => one.event === 'instance-joined').length === 2);
  });

  test('row 32: an instance that was stopped reads before it writes, and does not overwrite what is newer', async () => {
    const redis = await startRedis();
    const a = startNodeProcess(redis.url, 'a');
    const b = startNode({ name: 'b', redis: plan(redis) });
    await inStep(b);
    await until('a is in step', async () => (await a.call('state')) === 'in-step');
    b.pin(1, 'b1');
    await until('a follows', async () => (await a.call('at', 1)) === 'b1');
    // The move is made and the process stopped before its next round: the first thing it wants to tell when it wakes.
    a.send('move', 1, 'b1', 'b2');
    a.signal('SIGSTOP');
    const stoppedAtMs = performance.now();
    await until('b misses a', () => b.has('instance-lost'));
    const stood = await b.cluster.shared(poolId, clientKey(1));
    const here = stood?.backend === 'b1' ? 'b1' : 'b2';
    await follows(b, [1], here);
    b.move(1, here, 'b3');
    await until('told', async () => (await b.cluster.shared(poolId, clientKey(1)))?.backend === 'b3');
    // And back: what a saw stands again, but it is not the same pin any more.
    b.move(1, 'b3', here);
    await until('told', async () => (await b.cluster.shared(poolId, clientKey(1)))?.backend === here);
    const generation = (await b.cluster.shared(poolId, clientKey(1)))!.generation;
    // Longer than its lease is what it calls stalled; its last beat may have been a while before it was stopped.
    await until('stopped for longer than its lease', () => performance.now() > stoppedAtMs + 2_000);
    a.signal('SIGCONT');
    await until('a is back', async () => b.has('instance-back') && (await a.call('state')) === 'in-step');
    expect(await a.call('has', 'cluster-stalled')).toBe(true);
    expect(await b.cluster.shared(poolId, clientKey(1))).toMatchObject({ backend: here, generation });
    await until('a agrees', async () => (await a.call('at', 1)) === here);
  });

  test('row 32: two processes of one name: the newer writes, the older only listens', async () => {
    const redis = await startRedis();
    const old = startNode({ name: 'a', redis: plan(redis) });
    await inStep(old);
    const young = startNode({ name: 'a', redis: plan(redis) });
    await inStep(young);
    old.pin(1, 'b1');
    await until('the old one yields', () => old.has('cluster-name-taken'));
    expect(old.cluster.state).toBe('name-taken');
    expect(old.has('cluster-away'), 'Redis is there').toBe(false);
    young.pin(2, 'b2');
    await follows(old, [2], 'b2');
    await young.stop();
    await until('the old one goes on', () => old.cluster.state === 'in-step');
  });

  test('another number of shards: nothing is shared until that is put right', async () => {
    const redis = await startRedis();
    const a = startNode({ name: 'a', redis: plan(redis) });
    await inStep(a);
    const b = startNode({ name: 'b', redis: plan(redis), plan: { shards: 8 } });
    await until('noticed', () => b.has('cluster-layout-differs'));
    b.pin(1, 'b1');
    expect(b.cluster.state).toBe('layout-differs');
    expect(await redis.command('--scan', '--pattern', '*:pin:*')).toBe('');
  });

  test('what a stream says at greater length than we do is left out and counted, and the rest of it heard', async () => {
    const redis = await startRedis();
    const node = startNode({ name: 'a', redis: plan(redis) });
    await inStep(node);
    node.pin(1, 'b1');
    await until('told', () => node.cluster.status().pinsWritten === 1);
    const [key] = (await redis.command('--scan', '--pattern', '*:pin:*')).split('\n');
    const [base, text] = key!.split('pin:') as [string, string];
    const last = (await redis.command('GET', `${base}head`)).split(' ')[1]!;
    const moved = `${text}\t60000\t1 b2 b policy 60000 2`;
    const lines = [`${'x'.repeat(50_000)}\t1000\t1 b1 b policy 1000 1`, moved].join('\n');
    await redis.command('XADD', `${base}changes`, '*', 'l', last, 'p', lines);
    await follows(node, [1], 'b2');
    expect(node.cluster.status().faults['too-large']).toBe(1);
  });
});
