/**
 * What an operator says of a backend at run time, from the command line: a drain that keeps pinned clients or lets them go, a
 * weight, maintenance; kept in Redis over a restart and a restart of Redis, and for all instances of a cluster if that is wanted.
 */
import { afterEach, expect, test } from 'vitest';
import { parseRedisUrl } from '../src/config/redis-url.ts';
import type { KillOrder } from '../src/core/kill-order.ts';
import { killsToldMax } from '../src/core/limits.ts';
import { everywhere, type OperatorRow } from '../src/core/operator-word.ts';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { inStep, startNode, stopNodes, until } from './support/cluster-node.ts';
import { pinionCommand } from './support/command.ts';
import { admin, backendsOf, configText, listener, noCheck, workersHave } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers } from './support/servers.ts';

afterEach(async () => {
  await stopNodes();
  await stopEverything();
  await stopServers();
});

interface Row {
  readonly backend: string;
  readonly weight: number;
  readonly reason: string | null;
  readonly operator: { readonly state: string } | null;
}

async function row(pinion: Pinion, backend: string): Promise<Row> {
  const { body } = await admin(pinion, 'GET', '/status');
  return (body as { backends: Row[] }).backends.find((one) => one.backend === backend)!;
}

/** An order over the admin address. */
async function say(pinion: Pinion, word: string, about: string, query = ''): Promise<unknown> {
  const [pool, backend] = about.split('/');
  const { status, body } = await admin(pinion, 'POST', `/pools/${pool}/backends/${backend}/${word}?${query}`);
  expect([status, body]).toEqual([200, expect.anything()]);
  return body;
}

/** The same with the command. */
async function sayByCommand(pinion: Pinion, ...args: string[]): Promise<unknown> {
  const { status, stdout, stderr } = await pinionCommand([
    ...args,
    '--json',
    '--admin',
    `127.0.0.1:${pinion.port('admin')}`,
  ]);
  expect([status, stderr]).toEqual([0, '']);
  return JSON.parse(stdout);
}

const clients = clientAddresses(40);

test.each(['epoll', 'portable'])('%s: drain, weight and maintenance are in force at once', async (engine) => {
  const servers = await namedTcp(['a', 'b']);
  const pools = { pool: { health: noCheck, on_down: 'close', backends: backendsOf(servers) } };
  const pinion = await startPinion(
    configText({ engine, listeners: [listener('front', 'tcp', 'pool')], pools }),
  );
  const port = pinion.port('front');
  const ask = () => inParallel(clients, (from) => askTcp(port, from));
  const before = await ask();
  expect(new Set(before)).toEqual(new Set(['a', 'b']));

  expect(await say(pinion, 'drain', 'pool/b')).toMatchObject({
    state: 'drain',
    movesPinned: false,
    kept: 'until-stop',
  });
  expect(await ask(), 'pinned clients stay').toEqual(before);
  await sayByCommand(pinion, 'drain', 'pool/b', '--move-pinned');
  const moved = clients[before.indexOf('b')]!;
  const { body } = await admin(pinion, 'GET', `/explain?listener=front&client=${moved}`);
  expect(body).toMatchObject({ backend: 'a', why: expect.stringContaining('pinned to b, which drains') });
  expect(new Set(await ask())).toEqual(new Set(['a']));

  await say(pinion, 'undrain', 'pool/b');
  await say(pinion, 'weight', 'pool/a', 'to=0');
  expect(await row(pinion, 'a')).toMatchObject({ weight: 0, operator: { state: 'ready' } });
  await workersHave(pinion);
  expect(await askTcp(port, '127.0.7.7'), 'a newcomer').toBe('b');
  await say(pinion, 'weight', 'pool/a', 'to=configured');

  const open = await tcpClient(port, { from: clients[0]! });
  expect(await open.line()).toBe('a');
  await sayByCommand(pinion, 'maintenance', 'pool/a');
  await open.outcome;
  expect(await row(pinion, 'a')).toMatchObject({ reason: 'operator', operator: { state: 'maintenance' } });
  expect(new Set(await ask())).toEqual(new Set(['b']));
  await say(pinion, 'undrain', 'pool/a');
  expect(await row(pinion, 'a')).toMatchObject({ reason: null });

  const wrong = await pinionCommand([
    'weight',
    'pool/a',
    '999',
    '--admin',
    `127.0.0.1:${pinion.port('admin')}`,
  ]);
  expect([wrong.status, wrong.stdout]).toEqual([1, '']);
  expect(wrong.stderr).toContain('999 is not a weight');
  const alone = await pinionCommand([
    'drain',
    'pool/a',
    '--everywhere',
    '--admin',
    `127.0.0.1:${pinion.port('admin')}`,
  ]);
  expect([alone.status, alone.stdout]).toEqual([1, '']);
  expect(alone.stderr).toContain('no cluster section');
});

requirePackage('redis')('in a cluster', () => {
  test('they are kept over restarts, for one instance or for all', async () => {
    const [redis, servers] = [await startRedis(), await namedTcp(['a', 'b', 'c'])];
    const start = (instance: string): Promise<Pinion> =>
      startPinion(
        configText({
          listeners: [listener('front', 'tcp', 'pool')],
          pools: { pool: { health: noCheck, backends: backendsOf(servers) } },
          cluster: { name: 'kept', instance, redis: redis.url },
        }),
      );
    const [one, two] = [await start('one'), await start('two')];
    expect(await sayByCommand(one, 'drain', 'pool/a', '--everywhere')).toMatchObject({
      kept: 'in-redis',
      everywhere: true,
    });
    expect(await say(one, 'maintenance', 'pool/b')).toMatchObject({ kept: 'in-redis', everywhere: false });
    expect(await say(two, 'weight', 'pool/c', 'to=7')).toMatchObject({ kept: 'in-redis' });
    await eventually(
      'the other one hears what is for all',
      async () => (await row(two, 'a')).operator?.state === 'drain',
    );
    expect(await row(two, 'b')).toMatchObject({ operator: null });
    expect(await row(one, 'c')).toMatchObject({ operator: null, weight: 1 });

    await Promise.all([one.stop(), two.stop()]);
    const [again, other] = [await start('one'), await start('two')];
    // In force before the first client is let in.
    expect([await row(again, 'a'), await row(again, 'b'), await row(other, 'c')]).toMatchObject([
      { operator: { state: 'drain' } },
      { reason: 'operator' },
      { weight: 7 },
    ]);
    // Redis loses all, and is told again.
    await redis.command('FLUSHALL');
    await say(again, 'undrain', 'pool/b');
    await eventually(
      'it is told again',
      async () => Number(await redis.command('SCARD', '{pinion:kept}:words')) === 3,
    );
    const third = await start('third');
    expect([await row(third, 'a'), await row(third, 'b')]).toMatchObject([
      { operator: { state: 'drain' } },
      { operator: null },
    ]);
    await say(third, 'undrain', 'pool/a', 'everywhere');
    await eventually('all take a again', async () => (await row(again, 'a')).operator?.state === 'ready');
  });

  test('connections end on all instances, and on none later than it was said', async () => {
    const [redis, servers] = [await startRedis(), await namedTcp(['a'])];
    const start = (instance: string): Promise<Pinion> =>
      startPinion(
        configText({
          listeners: [listener('front', 'tcp', 'pool')],
          pools: { pool: { health: noCheck, backends: backendsOf(servers) } },
          cluster: { name: 'kills', instance, redis: redis.url },
        }),
      );
    const pinions = [await start('one'), await start('two')];
    const open = await Promise.all(
      pinions.map((pinion) => tcpClient(pinion.port('front'), { from: clients[0]! })),
    );
    const stays = await tcpClient(pinions[1]!.port('front'), { from: clients[1]! });
    for (const client of [...open, stays]) expect(await client.line()).toBe('a');
    const kill = ['connections', 'kill', '--client', clients[0]!, '--everywhere'];
    expect(await sayByCommand(pinions[0]!, ...kill)).toEqual({ connections: 1, overMs: 0, others: 'told' });
    expect(await Promise.all(open.map(({ outcome }) => outcome))).toEqual(['ECONNRESET', 'ECONNRESET']);
    await pinions[1]!.waitForLog(({ event, from }) => event === 'kill-heard' && from === 'one');
    expect(pinions[0]!.events('kill-heard')).toEqual([]);

    // Who comes after it was said is not meant, nor is anybody on an instance that begins.
    const third = await start('three');
    const late = await tcpClient(third.port('front'), { from: clients[0]! });
    expect(await late.line()).toBe('a');
    await redis.stop();
    const { status, stderr } = await pinionCommand([
      ...kill,
      '--admin',
      `127.0.0.1:${pinions[0]!.port('admin')}`,
    ]);
    expect([status, stderr]).toEqual([1, expect.stringContaining('the other instances were not told')]);
    expect([stays.socket.closed, late.socket.closed]).toEqual([false, false]);
    expect(third.events('kill-heard')).toEqual([]);
  });

  test('orders to end connections: what nobody of us wrote stands in their way no more than too many of them', async () => {
    const redis = await startRedis();
    const plan = parseRedisUrl(redis.url);
    const [a, b] = [startNode({ name: 'a', redis: plan }), startNode({ name: 'b', redis: plan })];
    await inStep(a, b);
    await until('both have looked', () => a.cluster.state === 'in-step' && b.cluster.state === 'in-step');
    const order = (pool: string): KillOrder => ({ filter: { pool }, overMs: 0 });
    const heard = (): unknown[] => b.killsHeard.map((one) => one.order.filter.pool);
    expect(await a.cluster.tellKill(order('first'))).toBe('shared');
    await until('the other one hears it', () => heard().length === 1);
    expect(b.killsHeard[0]).toMatchObject({ order: order('first'), from: 'a' });
    expect(b.killsHeard[0]!.ageMs).toBeLessThan(30_000);

    await redis.command('SADD', '{pinion:test}:kills', 'junk', 'gone', 'x'.repeat(300));
    await redis.command('SET', '{pinion:test}:kill:junk', 'kill them all');
    expect(await a.cluster.tellKill(order('second'))).toBe('shared');
    await until('the other one hears it', () => heard().length === 2);
    await redis.command('DEL', '{pinion:test}:kills');
    await redis.command('LPUSH', '{pinion:test}:kills', 'a list');
    expect(await a.cluster.tellKill(order('third'))).toBe('shared');
    await until('the other one hears it', () => heard().length === 3);

    const outcomes = new Set<string>();
    for (let i = 0; i < killsToldMax; i++) outcomes.add(await a.cluster.tellKill(order('many')));
    expect(outcomes, 'no more than so many').toEqual(new Set(['shared', 'here-only']));
    await until('the other one hears them', () => heard().length === 3 + killsToldMax - 1);
    expect(a.killsHeard).toEqual([]);
  });

  test('words nobody reads expire, and so do their names', async () => {
    const redis = await startRedis();
    const own = '{pinion:test}:word:a/pool/b1/state';
    const others = ['gone/pool/b1/state', 'still/pool/b1/state'];
    await redis.command('SADD', '{pinion:test}:words', 'a/pool/b1/state', ...others);
    for (const name of ['a/pool/b1/state', others[1]!])
      await redis.command('SET', `{pinion:test}:word:${name}`, `${Date.now()} drain`);
    const a = startNode({ name: 'a', redis: parseRedisUrl(redis.url) });
    await inStep(a);
    await until(
      'a word that is read is kept for long',
      async () => Number(await redis.command('PTTL', own)) > 86_400_000,
    );
    await until(
      'a name without a word is swept',
      async () => (await redis.command('SISMEMBER', '{pinion:test}:words', others[0]!)) === '0',
    );
    expect(await redis.command('SCARD', '{pinion:test}:words')).toBe('2');
    const row = { on: 'a', pool: 'pool', backend: 'b2', topic: 'state' } as const;
    await a.cluster.operate([{ ...row, word: { atMs: Date.now(), value: 'drain' } }]);
    expect(Number(await redis.command('PTTL', '{pinion:test}:word:a/pool/b2/state'))).toBeGreaterThan(
      86_400_000,
    );
  });

  test("what nobody of us wrote stands in no word's way", async () => {
    const redis = await startRedis();
    const plan = parseRedisUrl(redis.url);
    const [a, b] = [startNode({ name: 'a', redis: plan }), startNode({ name: 'b', redis: plan })];
    await inStep(a, b);
    const key = '{pinion:test}:word:*/pool/b1/state';
    const row = (atMs: number): OperatorRow => ({
      on: everywhere,
      pool: 'pool',
      backend: 'b1',
      topic: 'state',
      word: { atMs, value: 'maintenance' },
    });
    let atMs = Date.now();
    for (const junk of [
      '999999999999999 drain',
      '99999999999999999999 nonsense',
      `5${' '.repeat(900)}`,
      '',
    ]) {
      await redis.command('SADD', '{pinion:test}:words', '*/pool/b1/state', 'x'.repeat(300), '*/pool');
      await redis.command('SET', key, junk);
      expect(await a.cluster.operate([row(++atMs)]), junk).toBe('shared');
      await until(
        'the other one hears it',
        () => JSON.stringify(b.operatorRows) === JSON.stringify([row(atMs)]),
      );
    }
    await redis.command('DEL', key);
    await redis.command('LPUSH', key, 'a list');
    expect(await a.cluster.operate([row(++atMs)])).toBe('shared');
    await until(
      'the other one hears it',
      () => JSON.stringify(b.operatorRows) === JSON.stringify([row(atMs)]),
    );
    // One that is older, or as new and says less, does not replace it.
    expect(await b.cluster.operate([{ ...row(atMs), word: { atMs, value: 'drain' } }])).toBe('here-only');
    expect(await redis.command('GET', key)).toBe(`${atMs} maintenance`);
  });
});
