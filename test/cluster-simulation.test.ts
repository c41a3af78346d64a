/**
 * Thousands of seeded histories of claims, moves, removals, stops, cuts, losses, restarts and losses of Redis, over the
 * real decision code. After each the world is healed and must agree. A history that fails prints its seed;
 * `PINION_SEED=<seed>` runs that one alone, `PINION_HISTORIES=<n>` another number of them, both
 * together that many from there.
 */
import { expect, test } from 'vitest';
import type { PinStep } from '../src/cluster/store.ts';
import { parseValue, shardOf } from '../src/pins/pin-text.ts';
import {
  backends,
  clientOf,
  shards,
  World,
  WorldInstance,
  worldKey,
  worldText,
} from './support/cluster-world.ts';
import { copyShard, type ShardState } from './support/redis-model.ts';

const histories = Number(process.env.PINION_HISTORIES ?? 2_000);
const firstSeed = Number(process.env.PINION_SEED ?? 1);
const clients = 10;
const troubleMs = 12_000;
const healMs = 25_000;

interface Outcome {
  readonly seed: number;
  readonly problems: string[];
  readonly done: Record<string, number>;
}

interface Action {
  readonly name: string;
  readonly weight: number;
  readonly run: () => void;
}

/** The action whose share of the weights `dice` falls into. */
function draw(actions: readonly Action[], dice: number): Action {
  let left = dice;
  for (const action of actions) {
    left -= action.weight;
    if (left < 0) return action;
  }
  return actions[0]!;
}

class History {
  readonly world: World;
  readonly problems: string[] = [];
  /** Pins that were removed on purpose. */
  readonly removed = new Set<string>();
  private incarnations = 0;
  private writtenAtMs = new Map<string, number>();
  /** What a replica has when it takes over. */
  private older: { readonly shards: ShardState[]; readonly writtenAtMs: Map<string, number> };

  constructor(seed: number) {
    this.world = new World(seed);
    const { redis, random } = this.world;
    redis.onOverwrite = (writer, step, stood) => this.overwritten(writer, step, stood);
    redis.onRemove = (text) => this.removed.add(text);
    this.older = { shards: redis.shards.map(copyShard), writtenAtMs: new Map() };
    for (let i = 0; i < 2 + Math.floor(random() * 2); i++) this.birth(`lb${i}`);
  }

  /** What may happen, and how often compared with the others. */
  actions(): Action[] {
    const { world } = this;
    const { redis, random } = world;
    const someone = (): WorldInstance => world.pick(world.instances);
    const client = (): number => Math.floor(random() * clients);
    const act = (name: string, weight: number, run: () => void): Action => ({ name, weight, run });
    return [
      act('serve', 60, () => someone().serve(client(), shuffled(random))),
      act('backend-down', 12, () => {
        const instance = someone();
        if (instance.down.size < 2) instance.down.add(world.pick(backends));
      }),
      act('backend-up', 8, () => someone().down.clear()),
      act('forget', 2, () => someone().forget(client())),
      act('stop', 3, () => someone().stopFor(500 + random() * 7_000)),
      act('cut', 2, () => someone().cutFor(200 + random() * 4_000)),
      act('loss', 1, () => {
        world.lossShare = random() < 0.5 ? 0 : 0.1;
      }),
      act('restart', 1, () => {
        const instance = someone();
        instance.die();
        this.birth(instance.name);
      }),
      act('redis-down', 0.7, () => {
        world.isRedisUp = false;
        world.at(300 + random() * 3_000, undefined, () => {
          world.isRedisUp = true;
        });
      }),
      act('flush', 0.4, () => redis.flushAll()),
      act('failover', 0.7, () => this.failover()),
      act('replicate', 4, () => {
        this.older = { shards: redis.shards.map(copyShard), writtenAtMs: new Map(this.writtenAtMs) };
      }),
    ];
  }

  /** Pins that must be there in the end: those in Redis, and those of a table that were never removed. */
  expected(): Set<number> {
    const { world } = this;
    const expectedClients = new Set<number>();
    for (const instance of world.instances) {
      for (const pin of instance.pins.entries(world.nowMs)) {
        const client = pin.w3 - 0x0a000000;
        if (pin.isConfirmed && !this.removed.has(worldText(client))) expectedClients.add(client);
      }
    }
    for (let shard = 0; shard < shards; shard++) {
      for (const text of world.redis.texts(shard)) expectedClients.add(clientOf(text));
    }
    return expectedClients;
  }

  private birth(name: string): void {
    new WorldInstance(this.world, name, `i${++this.incarnations}-`);
  }

  private failover(): void {
    const { world } = this;
    world.redis.shards = this.older.shards.map(copyShard);
    this.writtenAtMs = new Map(this.older.writtenAtMs);
    for (const instance of world.instances) if (world.random() < 0.7) instance.cutFor(50);
  }

  /** Whoever was stopped since it decided must not put its decision over what others wrote meanwhile. */
  private overwritten(writer: string, step: PinStep, stood: string): void {
    const { world } = this;
    const instance = world.instances.find(({ name }) => name === writer);
    const decidedAtMs = instance?.decidedAtMs.get(step.text) ?? Number.POSITIVE_INFINITY;
    const stoodSinceMs = this.writtenAtMs.get(step.text) ?? 0;
    const wasStopped = instance !== undefined && instance.stoppedAtMs > decidedAtMs;
    // What stands may be its own step, whose answer never came.
    const isOwn = parseValue(stood)?.writer === writer;
    if (wasStopped && !isOwn && stoodSinceMs > instance.stoppedAtMs && step.expect !== '*') {
      this.problems.push(
        `${writer} woke and put ${step.backend} over ${stood}, which is newer (${step.text}): decided ` +
          `${decidedAtMs.toFixed()}, stopped ${instance.stoppedAtMs.toFixed()} to ${instance.stoppedUntilMs.toFixed()}, ` +
          `stood since ${stoodSinceMs.toFixed()}, now ${world.nowMs.toFixed()}`,
      );
    }
    this.writtenAtMs.set(step.text, world.nowMs);
  }
}

async function run(seed: number): Promise<Outcome> {
  const history = new History(seed);
  const { world, problems, removed } = history;
  const actions = history.actions();
  const done: Record<string, number> = {};
  const total = actions.reduce((sum, { weight }) => sum + weight, 0);
  while (world.nowMs < troubleMs) {
    const action = draw(actions, world.random() * total);
    done[action.name] = (done[action.name] ?? 0) + 1;
    action.run();
    await world.run(world.nowMs + world.random() * 120);
  }
  // Heal, and let all of it settle.
  world.lossShare = 0;
  world.slowShare = 0;
  world.isRedisUp = true;
  const before = history.expected();
  removed.clear();
  const untilMs = world.nowMs + healMs;
  // Until all run again and a few seconds more: what was given up may still arrive, and leases run out.
  await world.run(Math.max(world.nowMs, ...world.instances.map((one) => one.stoppedUntilMs)) + 4_000);
  while (world.nowMs < untilMs && world.instances.some((one) => !one.replication.inStep)) {
    await world.run(world.nowMs + 500);
  }
  await world.run(world.nowMs + 1_000);
  check(world, before, removed, problems);
  return { seed, problems, done };
}

/** The backends in any order (R. Durstenfeld, Algorithm 235, 1964). */
function shuffled(random: () => number): string[] {
  const order = [...backends];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

function check(
  world: World,
  before: ReadonlySet<number>,
  removed: ReadonlySet<string>,
  problems: string[],
): void {
  for (const instance of world.instances) {
    if (!instance.replication.inStep)
      problems.push(`${instance.name} is not in step: ${instance.describe()}`);
    if (instance.replication.journalSize > 0) problems.push(`${instance.name} has changes left to tell`);
  }
  for (let client = 0; client < clients; client++) {
    const text = worldText(client);
    const shared = parseValue(world.redis.value(shardOf(worldKey(client), shards), text) ?? '')?.backend;
    const all = world.instances.map((instance) => `${instance.name}:${instance.at(client) ?? 'none'}`);
    if (new Set([shared ?? 'none', ...world.instances.map((one) => one.at(client) ?? 'none')]).size > 1) {
      problems.push(`${text}: Redis ${shared ?? 'none'}, ${all.join(', ')}`);
    }
    if (shared === undefined && before.has(client) && !removed.has(text)) problems.push(`${text} was lost`);
  }
}

test('where nothing goes wrong, nobody loses track', async () => {
  for (let seed = 1; seed <= 20; seed++) {
    const world = new World(seed);
    world.slowShare = 0;
    const pair = [new WorldInstance(world, 'lb0', 'i0-'), new WorldInstance(world, 'lb1', 'i1-')];
    await world.run(world.nowMs + 2_000);
    while (world.nowMs < 12_000) {
      world.pick(pair).serve(Math.floor(world.random() * clients), [world.pick(backends)]);
      await world.run(world.nowMs + world.random() * 30);
    }
    for (const instance of pair) expect(instance.replication.counts.gaps, `seed ${seed}`).toBe(shards);
  }
});

test('that keys are read again is told before that it is done, however soon after the last time', async () => {
  const world = new World(1);
  world.slowShare = 0;
  const { replication, events } = new WorldInstance(world, 'lb0', 'i0-');
  await world.run(world.nowMs + 3_000);
  expect(replication.inStep).toBe(true);
  events.length = 0;
  for (let times = 0; times < 4; times++) {
    replication.readAgain('the test says so');
    await world.run(world.nowMs + 700);
    expect(replication.inStep).toBe(true);
  }
  const told = events.map(({ event }) => event);
  expect(told).toEqual(Array(4).fill(['cluster-resync', 'cluster-resynced']).flat());
});

test('after any history all instances and Redis agree, no pin is lost, nobody overwrites what is newer', async () => {
  const isReplay = process.env.PINION_SEED !== undefined && process.env.PINION_HISTORIES === undefined;
  const seeds = isReplay ? 1 : histories;
  const totals: Record<string, number> = {};
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const outcome = await run(seed);
    for (const [name, times] of Object.entries(outcome.done)) totals[name] = (totals[name] ?? 0) + times;
    expect(outcome.problems, `PINION_SEED=${seed} replays this history`).toEqual([]);
  }
  if (!isReplay) {
    // Whoever changes the actions sees here that each still happens.
    for (const name of ['serve', 'stop', 'cut', 'restart', 'redis-down', 'flush', 'failover']) {
      expect(totals[name] ?? 0, name).toBeGreaterThan(histories / 20);
    }
  }
}, 300_000);
