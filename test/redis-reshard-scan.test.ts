/**
 * An instance joins a pair whose Redis Cluster moves a slot just then, from a node whose keys it has not read yet to one whose
 * it has. When it says that it is in step it must have every pin. And no instance is missed for being in the other half of a slot.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import type { ClusterEvent } from '../src/cluster/events.ts';
import { Faults } from '../src/cluster/faults.ts';
import { keySlot } from '../src/cluster/redis/slots.ts';
import { RedisKeys } from '../src/cluster/redis-keys.ts';
import { RedisStore } from '../src/cluster/redis-store.ts';
import { Replication } from '../src/cluster/replication.ts';
import { parseRedisUrl } from '../src/config/redis-url.ts';
import { type ClusterPlan, clusterPlan, type RedisPlan } from '../src/core/cluster-plan.ts';
import { PinTable } from '../src/core/pins/table.ts';
import { PinNames } from '../src/pins/names.ts';
import { inStep, poolId, poolName, startNode, stopNodes, until } from './support/cluster-node.ts';
import { stopEverything } from './support/processes.ts';
import type { Redis } from './support/redis.ts';
import { type RedisCluster, startRedisCluster } from './support/redis-cluster.ts';
import { moveSlot, nodesSeenBy, ownerOf, type SlotMove, tell } from './support/redis-slots.ts';
import { requirePackage } from './support/require-package.ts';

afterEach(async () => {
  await stopNodes();
  await stopEverything();
});

const pinCount = 300;
/** Nobody's lease runs out for being slow. */
const patient = { leaseMs: 10_000, heartbeatMs: 200 };

function planOf(instance: string, redis: RedisPlan): ClusterPlan {
  return clusterPlan({ name: 'test', instance, redis, ...patient });
}

/** Stops in its first scan when it has the keys of the first node and has asked no other. */
class HeldStore extends RedisStore {
  readonly isHeld: Promise<void>;
  release: () => void = () => {};
  private tellHeld: () => void = () => {};
  private readonly released: Promise<void>;

  constructor(plan: ClusterPlan) {
    super(plan);
    this.isHeld = new Promise((resolve) => {
      this.tellHeld = resolve;
    });
    this.released = new Promise((resolve) => {
      this.release = resolve;
    });
  }

  /** There are so few keys that a node tells all in one answer. */
  override async *scan(): AsyncGenerator<Map<number, string[]>, void, undefined> {
    for await (const page of super.scan()) {
      yield page;
      this.tellHeld();
      await this.released;
    }
  }
}

/** Keeps a table of its own in step with Redis, through the store. */
function startReplication(store: RedisStore, plan: ClusterPlan) {
  const pins = PinTable.create(pinCount * 4, { reportChanges: true });
  const backends = ['b1', 'b2', 'b3'];
  const names = {
    poolName: () => poolName,
    poolId: () => poolId,
    knownPoolId: () => poolId,
    backendName: (id: number) => backends[id - 1],
    backendId: (_: string, backend: string) => backends.indexOf(backend) + 1,
  };
  const events: ClusterEvent[] = [];
  const watch = (event: ClusterEvent): number => events.push(event);
  const nowMs = (): number => performance.now();
  const replication = new Replication({
    store,
    plan,
    pins,
    names: new PinNames(names, pins, plan.shards),
    incarnation: plan.instance,
    start: 1,
    faults: new Faults(watch, nowMs),
    nowMs,
    random: Math.random,
    watch,
    sleep,
  });
  for (const link of [store.command, store.follower]) link.on('error', () => {});
  store.command.on('ready', () => replication.connected());
  replication.isAllowed = true;
  replication.start();
  onTestFinished(() => {
    replication.stop();
    store.close();
  });
  return { replication, events, live: () => pins.stats().live };
}

interface Scene {
  readonly redis: RedisCluster;
  readonly store: HeldStore;
  readonly joining: ReturnType<typeof startReplication>;
  /** Of a slot with pins, to the node that was read; it is gone through only when asked to. */
  readonly move: Omit<SlotMove, 'early' | 'halfWay'>;
}

/** All pins are in Redis, and who joins has read one node of three. */
async function halfRead(): Promise<Scene> {
  const redis = await startRedisCluster();
  const url = parseRedisUrl(redis.url);
  const a = startNode({ name: 'a', redis: url, plan: patient });
  await inStep(a);
  for (let client = 0; client < pinCount; client++) a.pin(client, 'b1');
  const { cluster } = a;
  await until('all told', () => cluster.status().pinsWritten >= pinCount && cluster.status().journal === 0);
  const plan = planOf('c', url);
  const store = new HeldStore(plan);
  const joining = startReplication(store, plan);
  await store.isHeld;
  const primaries = redis.nodes.slice(0, 3);
  const read = store.command.primaries().map(({ where }) => where);
  const nodeAt = (where: string): Redis => primaries.find(({ port }) => where.endsWith(`:${port}`))!;
  const [to, from] = [nodeAt(read[0]!), nodeAt(read.at(-1)!)];
  const nodes = await nodesSeenBy(to);
  const shard = Array.from({ length: plan.shards }, (_, i) => i).find(
    (one) => ownerOf(keySlot(store.keys.head(one)), nodes)?.port === from.port,
  )!;
  const slot = keySlot(store.keys.head(shard));
  return { redis, store, joining, move: { slot, from, to, primaries } };
}

const isPin = (key: string): boolean => key.includes(':pin:');

async function hasAll({ joining }: Scene): Promise<void> {
  const { replication } = joining;
  await until('in step', () => replication.inStep);
  expect(joining.live()).toBe(pinCount);
  expect(joining.events.map(({ event }) => event)).toContain('cluster-resynced');
}

requirePackage('redis')('an instance that is there', () => {
  test('is not missed for being in the other half of a slot that moves', async () => {
    const redis = await startRedisCluster();
    const url = parseRedisUrl(redis.url);
    const start = (name: string) =>
      startNode({ name, redis: url, plan: { leaseMs: 5_000, heartbeatMs: 200 } });
    const [a, b] = [start('a'), start('b')];
    await inStep(a, b);
    await until('both know of both', () => [a, b].every((one) => one.cluster.members.members.size === 2));
    b.counts.push(['arena', 'b1', 5]);
    const peerFlows = (): number => a.states.peerFlows(a.backendId('b1'));
    await until('b is counted', () => peerFlows() === 5);
    const { common, members } = new RedisKeys('test', 'a', 16);
    const primaries = redis.nodes.slice(0, 3);
    const slot = keySlot(members);
    const owner = ownerOf(slot, await nodesSeenBy(primaries[0]!))!;
    const from = primaries.find(({ port }) => port === owner.port)!;
    const to = primaries.find((node) => node !== from)!;
    // The list, the layout and a's two keys go first. These make b's half as large.
    for (const name of ['one', 'two']) await tell(from, '-c', 'SET', `${common}${name}:b`, '');
    const heard = vi.spyOn(a.cluster.members, 'heard');
    const halfWay = async (): Promise<void> => {
      await until('a was told that there is nobody else', async () => {
        return (await to.command('-c', 'SMEMBERS', members)) === 'a';
      });
      const answers = heard.mock.calls.length;
      await until('and it has heard that', () => heard.mock.calls.length > answers + 1);
      expect(peerFlows()).toBe(5);
    };
    await moveSlot({ slot, from, to, primaries, early: (key) => !key.endsWith(':b'), halfWay });
    await until('b says again that it is there', async () => {
      return (await to.command('SMEMBERS', members)).split('\n').includes('b');
    });
    expect(peerFlows()).toBe(5);
    expect([a.has('instance-lost'), b.has('instance-lost')]).toEqual([false, false]);
  });
});

requirePackage('redis')('an instance that joins while a slot moves', () => {
  test('has every pin when the move is over before the second half is read', async () => {
    const scene = await halfRead();
    await moveSlot({ ...scene.move, early: isPin, halfWay: async () => {} });
    scene.store.release();
    await hasAll(scene);
  });

  test('has every pin when it knew of the new owner before the second half is read', async () => {
    const scene = await halfRead();
    // Nobody asks for the slot meanwhile: only the slots are looked at, every two seconds.
    const { command } = scene.store;
    const renewed = Promise.race([once(command, 'moved'), sleep(5_000)]);
    await moveSlot({ ...scene.move, early: isPin, halfWay: async () => {} });
    await renewed;
    scene.store.release();
    await hasAll(scene);
  });

  test('is not in step while a part of the pins is where it had read before', async () => {
    const scene = await halfRead();
    const { store, joining, move } = scene;
    const { replication } = joining;
    const halfWay = async (): Promise<void> => {
      store.release();
      await until(
        'it has tried more than once, or is in step',
        () => replication.counts.resyncs > 1 || replication.inStep,
      );
      expect(replication.inStep).toBe(false);
    };
    await moveSlot({ ...move, early: isPin, halfWay });
    await hasAll(scene);
  });
});
