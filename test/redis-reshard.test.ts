/**
 * A Redis Cluster is rebuilt under a pair: slots with its keys move while pins are written, a node that has them dies and its
 * replica takes over, others die and leave a hole, and all come back in their places. Clients must not notice any of it,
 * and in the end both instances know of every one of them.
 */
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { keySlot } from '../src/cluster/redis/slots.ts';
import { RedisKeys } from '../src/cluster/redis-keys.ts';
import { clusterDefaults } from '../src/core/cluster-plan.ts';
import { listedMax } from '../src/core/limits.ts';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { admin, backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import type { Redis } from './support/redis.ts';
import { type RedisCluster, startRedisCluster } from './support/redis-cluster.ts';
import { areServed, errorsOf, moveSlot, nodesSeenBy, ownerOf, tell } from './support/redis-slots.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers } from './support/servers.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const engines = ['epoll', 'portable'] as const;
/** How soon all is shared again once Redis is whole. */
const inStepMsMax = 15_000;
const newcomerEveryMs = 4;
/** More than this at once are not let go: a pair that hangs shall not take the machine with it. */
const newcomersAtOnceMax = 500;
const heldCount = 32;
const askedAgainCount = 300;
const addresses = clientAddresses(60_000);

const cluster = 'reshard';
const keys = new RedisKeys(cluster, 'a', clusterDefaults.shards);
const ownSlots = [
  keys.members,
  ...Array.from({ length: clusterDefaults.shards }, (_, i) => keys.head(i)),
].map(keySlot);

type Pair = readonly [Pinion, Pinion];

async function startPair(engine: string, redis: string): Promise<Pair> {
  const servers = await namedTcp(['b1', 'b2', 'b3']);
  const start = (instance: string): Promise<Pinion> =>
    startPinion(
      configText({
        engine,
        workers: 1,
        log: { flows: { level: 'off' } },
        cluster: { name: cluster, instance, redis },
        listeners: [listener('front', 'tcp', 'pool')],
        // Nothing but the shared pins tells the other instance where a client belongs.
        pools: { pool: { policy: 'least-connections', health: noCheck, backends: backendsOf(servers) } },
      }),
    );
  return Promise.all([start('a'), start('b')]);
}

interface Status {
  readonly cluster: {
    readonly state: string;
    readonly liveShards: number;
    readonly lastFault?: { readonly fault: string; readonly message: string };
  };
  readonly rooms: readonly { readonly room: string; readonly restarts: number }[];
}

async function statusOf(pinion: Pinion): Promise<Status> {
  return (await admin(pinion, 'GET', '/status')).body as Status;
}

/** Both instances say so of themselves. */
async function both(what: string, pair: Pair, says: (status: Status) => boolean, ms?: number): Promise<void> {
  let heard: Status[] = [];
  const probe = async (): Promise<boolean> => {
    heard = await Promise.all(pair.map(statusOf));
    return heard.every(says);
  };
  await eventually(what, probe, ms).catch((error: Error) => {
    throw new Error(`${error.message}; ${JSON.stringify(heard.map((status) => status.cluster))}`);
  });
}

function inStep(when: string, pair: Pair): Promise<void> {
  return both(`in step ${when}`, pair, (status) => status.cluster.state === 'in-step', inStepMsMax);
}

/** Connections that last for the whole story: each says a byte every now and then, and must have it back. */
async function hold(pair: Pair) {
  const clients = await inParallel(addresses.slice(0, heldCount), async (from, i) => {
    const client = await tcpClient(pair[i % 2]!.port('front'), { from });
    return { from, client, backend: await client.line() };
  });
  const ended: string[] = [];
  for (const { from, client } of clients)
    void client.outcome.then((outcome) => ended.push(`${from}: ${outcome}`));
  let said = 0;
  const timer = setInterval(() => {
    said++;
    for (const { client } of clients) if (client.socket.writable) client.socket.write('.');
  }, 20);
  onTestFinished(() => clearInterval(timer));
  return {
    clients,
    ended,
    async leave(): Promise<void> {
      clearInterval(timer);
      await eventually('every byte is back', () =>
        clients.every(({ client, backend }) => client.receivedBytes === backend.length + 1 + said),
      );
      expect(ended).toEqual([]);
      await inParallel(clients, ({ client }) => client.leave());
    },
  };
}

interface Served {
  readonly from: string;
  /** Through which instance. */
  readonly via: number;
  readonly backend: string;
}

/** New clients without end, by turns through either instance: each is pinned, served, and leaves. */
class Newcomers {
  readonly served: Served[] = [];
  readonly failed: string[] = [];
  private readonly pair: Pair;
  private readonly timer: NodeJS.Timeout;
  private came = heldCount;
  private open = 0;

  constructor(pair: Pair) {
    this.pair = pair;
    this.timer = setInterval(() => void this.come(), newcomerEveryMs);
    onTestFinished(() => clearInterval(this.timer));
  }

  /** So many more are served that have not come yet. */
  async more(count: number): Promise<void> {
    const enough = this.served.length + this.failed.length + this.open + count;
    await eventually(
      `${count} more newcomers`,
      () => this.served.length + this.failed.length >= enough && this.came < addresses.length,
    );
    expect(this.failed).toEqual([]);
  }

  async end(): Promise<void> {
    clearInterval(this.timer);
    await eventually('every newcomer has had an answer', () => this.open === 0);
    expect(this.failed).toEqual([]);
  }

  private async come(): Promise<void> {
    const from = addresses[this.came];
    if (from === undefined || this.open >= newcomersAtOnceMax) return;
    const via = this.came++ % 2;
    this.open++;
    await askTcp(this.pair[via]!.port('front'), from).then(
      (backend) => this.served.push({ from, via, backend }),
      (error: Error) => this.failed.push(`${from} through ${via}: ${error.message}`),
    );
    this.open--;
  }
}

interface Story {
  readonly redis: RedisCluster;
  readonly pair: Pair;
  readonly newcomers: Newcomers;
}

/** The slots of ours that a node serves. */
async function slotsOf(node: Redis): Promise<number[]> {
  const nodes = await nodesSeenBy(node);
  return [...new Set(ownSlots)].filter((slot) => ownerOf(slot, nodes)?.port === node.port);
}

/** All slots of ours that the first primary has move to the second, one by one, and each stays half moved until it was met so. */
async function reshard({ redis, pair, newcomers }: Story): Promise<void> {
  const primaries = redis.nodes.slice(0, 3);
  const [from, to] = primaries as [Redis, Redis];
  const slots = await slotsOf(from);
  expect(slots.length).toBeGreaterThan(1);
  await tell(from, 'CONFIG', 'RESETSTAT');
  const met = async (): Promise<number> =>
    (await errorsOf(from, 'ASK')) + (await errorsOf(from, 'TRYAGAIN')) + (await errorsOf(to, 'TRYAGAIN'));
  for (const [index, slot] of slots.entries()) {
    const isPinFirst = index % 2 === 1;
    await moveSlot({
      slot,
      from,
      to,
      primaries,
      early: (key) => key.includes(':pin:') === isPinFirst,
      halfWay: async () => {
        const before = await met();
        await newcomers.more(20);
        await eventually(`slot ${slot} was met half moved`, async () => (await met()) > before);
      },
    });
  }
  expect(await slotsOf(to)).toEqual(expect.arrayContaining(slots));
  await inStep('after resharding', pair);
  expect(await errorsOf(from, 'ASK')).toBeGreaterThan(0);
  expect(await errorsOf(from, 'MOVED')).toBeGreaterThan(0);
}

/** The primary that has most of our keys is killed, its replica takes over, and it comes back as a replica. */
async function failOver({ redis, pair, newcomers }: Story): Promise<void> {
  const dead = redis.nodes[1]!;
  const others = redis.nodes.filter((node) => node !== dead);
  const slots = await slotsOf(dead);
  await dead.stop('SIGKILL');
  await both('noticed that a node is gone', pair, ({ cluster: { state } }) => state !== 'in-step');
  await newcomers.more(50);
  await eventually('the replica serves', async () => {
    const owner = ownerOf(slots[0]!, await nodesSeenBy(others[0]!));
    return owner?.port !== dead.port && (await areServed(slots, others));
  });
  await inStep('after the failover', pair);
  await redis.startAgain(dead);
  await eventually('it is a replica', async () => {
    const replication = await dead.command('INFO', 'replication');
    return /role:slave/.test(replication) && /master_link_status:up/.test(replication);
  });
  await newcomers.more(50);
  await inStep('with the old primary as a replica', pair);
}

/** A primary and its replica die, and the others take their slots for nobody's; then both come back, without a key. */
async function leaveHole({ redis, pair, newcomers }: Story): Promise<void> {
  const dead = redis.nodes[2]!;
  const slots = await slotsOf(dead);
  expect(slots.length).toBeGreaterThan(1);
  const nodes = await nodesSeenBy(dead);
  const { id } = nodes.find(({ flags }) => flags.includes('myself'))!;
  const replicaPort = nodes.find(({ primary }) => primary === id)?.port;
  const replica = redis.nodes.find(({ port }) => port === replicaPort)!;
  const others = redis.nodes.filter((node) => node !== dead && node !== replica);
  for (const node of others) await tell(node, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no');
  await replica.stop('SIGKILL');
  await dead.stop('SIGKILL');
  for (const node of others) await tell(node, 'CLUSTER', 'DELSLOTS', ...slots.map(String));
  await both(
    'met the hole',
    pair,
    ({ cluster: { state, lastFault } }) =>
      state === 'partial' && /no node of the Redis Cluster serves slot/.test(lastFault?.message ?? ''),
  );
  await newcomers.more(100);
  await redis.startAgain(dead);
  await redis.startAgain(replica);
  await eventually('all slots are served', () => areServed(ownSlots, redis.nodes));
  await newcomers.more(50);
  await inStep('with the hole closed', pair);
}

/** Redis, which came back without keys in part, has everybody's pin again. */
async function keepsEverybody({ nodes }: RedisCluster, count: number): Promise<void> {
  const primaries = (await nodesSeenBy(nodes[0]!)).filter(({ slots }) => slots.length > 0);
  const serving = nodes.filter(({ port }) => primaries.some((primary) => primary.port === port));
  expect(serving.length).toBe(3);
  await eventually(
    `Redis has ${count} pins`,
    async () => {
      const scan = ['--scan', '--pattern', keys.pinPattern];
      const lists = await Promise.all(serving.map(async (node) => (await node.command(...scan)).split('\n')));
      return new Set(lists.flat().filter((key) => key !== '')).size === count;
    },
    inStepMsMax,
  );
}

/** Both tables say of every client what it saw, and through the other instance it finds the same backend. */
async function knowEverybody(pair: Pair, served: readonly Served[]): Promise<void> {
  const pins = async (pinion: Pinion): Promise<Map<string, string>> => {
    const { body } = await admin(pinion, 'GET', `/pins?most=${listedMax}`);
    const rows = (body as { pins: { client: string; backend: string }[] }).pins;
    return new Map(rows.map(({ client, backend }) => [client, backend]));
  };
  for (const pinion of pair) {
    let strangers: Served[] = [];
    const probe = async (): Promise<boolean> => {
      const known = await pins(pinion);
      strangers = served.filter(({ from, backend }) => known.get(from) !== backend);
      return strangers.length === 0;
    };
    await eventually('everybody is known', probe, inStepMsMax).catch((error: Error) => {
      throw new Error(`${error.message}; ${strangers.length} not: ${JSON.stringify(strangers.slice(0, 5))}`);
    });
  }
  const step = Math.max(1, Math.floor(served.length / askedAgainCount));
  const sample = served.filter((_, i) => i % step === 0);
  const there = await inParallel(sample, ({ from, via }) => askTcp(pair[1 - via]!.port('front'), from));
  expect(there).toEqual(sample.map(({ backend }) => backend));
}

/** Nothing of it ended, began anew, or gave way to somebody else. */
async function isUnharmed(pinion: Pinion): Promise<void> {
  for (const event of ['room-died', 'failed', 'cluster-name-taken', 'cluster-layout-differs'])
    expect(pinion.events(event), event).toEqual([]);
  const { rooms } = await statusOf(pinion);
  expect(rooms.map(({ restarts }) => restarts)).toEqual(rooms.map(() => 0));
  expect(rooms.map(({ room }) => room)).toContain('cluster');
  expect((await pinion.stop('SIGTERM')).code).toBe(0);
}

requirePackage('redis')('a Redis Cluster that is rebuilt under a pair', () => {
  test.each(engines)('no client notices, and both know everybody in the end (%s)', async (engine) => {
    const redis = await startRedisCluster();
    const pair = await startPair(engine, redis.url);
    await inStep('at first', pair);
    const held = await hold(pair);
    const newcomers = new Newcomers(pair);
    const story = { redis, pair, newcomers };
    await newcomers.more(200);
    for (const chapter of [reshard, failOver, leaveHole]) {
      await chapter(story);
      expect(held.ended, chapter.name).toEqual([]);
      for (const pinion of pair) expect(pinion.events('room-died'), chapter.name).toEqual([]);
    }
    await newcomers.end();
    await inStep('at last', pair);
    const heldOnes = held.clients.map(({ from, backend }, i) => ({ from, backend, via: i % 2 }));
    const everybody = [...heldOnes, ...newcomers.served];
    await keepsEverybody(redis, everybody.length);
    await knowEverybody(pair, everybody);
    await held.leave();
    for (const pinion of pair) await isUnharmed(pinion);
  });
});
