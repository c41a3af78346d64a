/**
 * A world for the cluster's decisions: a clock that jumps from event to event, a Redis model, a network that delays, loses
 * and cuts, instances that stop and go on. Everything follows from one seed. The instances are the real
 * Replication with the real pin table; only time and transport are made up.
 */

import type { ClusterEvent } from '../../src/cluster/events.ts';
import { Faults } from '../../src/cluster/faults.ts';
import { Replication, type ReplicationStore } from '../../src/cluster/replication.ts';
import type { StreamEntry } from '../../src/cluster/store.ts';
import { parseRedisUrl } from '../../src/config/redis-url.ts';
import { Address } from '../../src/core/address.ts';
import { type ClusterPlan, clusterPlan } from '../../src/core/cluster-plan.ts';
import { Key } from '../../src/core/key.ts';
import { PinTable } from '../../src/core/pins/table.ts';
import { type Names, PinNames } from '../../src/pins/names.ts';
import { parsePinText } from '../../src/pins/pin-text.ts';
import { RedisModel } from './redis-model.ts';

export const shards = 2;
export const backends = ['b1', 'b2', 'b3', 'b4'];
const poolId = 3;
const answerTimeoutMs = 400;
const followMs = 150;
/** Longer than any chain of promises here. */
const turnsPerEvent = 20;

/** A small generator of good enough numbers (mulberry32, T. Ettinger, public domain). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface Event {
  readonly atMs: number;
  readonly order: number;
  /** Whose event it is: a stopped instance's wait until it goes on. */
  readonly owner: WorldInstance | undefined;
  readonly run: () => void;
}

export class World {
  nowMs = 1_000;
  readonly random: () => number;
  readonly redis: RedisModel;
  isRedisUp = true;
  /** Share of requests and answers that are lost. */
  lossShare = 0;
  /** Share of requests that arrive after they were given up. */
  slowShare = 0.02;
  readonly instances: WorldInstance[] = [];
  private readonly queue: Event[] = [];
  private orders = 0;

  constructor(seed: number) {
    this.random = seeded(seed);
    this.redis = new RedisModel(shards, () => this.nowMs);
  }

  at(delayMs: number, owner: WorldInstance | undefined, run: () => void): void {
    const event = { atMs: this.nowMs + delayMs, order: this.orders++, owner, run };
    let place = this.queue.length;
    while (place > 0 && after(this.queue[place - 1]!, event)) place--;
    this.queue.splice(place, 0, event);
  }

  /** Runs the world until `untilMs`. */
  async run(untilMs: number): Promise<void> {
    for (;;) {
      const event = this.queue[0];
      if (event === undefined || event.atMs > untilMs) break;
      this.queue.shift();
      this.nowMs = Math.max(this.nowMs, event.atMs);
      const { owner } = event;
      if (owner?.isDead === true) continue;
      if (owner !== undefined && owner.stoppedUntilMs > this.nowMs) {
        this.at(owner.stoppedUntilMs - this.nowMs, owner, event.run);
        continue;
      }
      event.run();
      // Lets what was waiting for this run, before time goes on: a fixed number of turns, so that a seed replays.
      for (let turn = 0; turn < turnsPerEvent; turn++) await undefined;
    }
    this.nowMs = untilMs;
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.random() * list.length)]!;
  }
}

function after(a: Event, b: Event): boolean {
  return a.atMs > b.atMs || (a.atMs === b.atMs && a.order > b.order);
}

export class WorldInstance {
  readonly name: string;
  readonly pins: PinTable;
  readonly replication: Replication;
  readonly events: ClusterEvent[] = [];
  /** Backends this instance believes to be down. */
  readonly down = new Set<string>();
  /** When this instance last decided about a client by itself. */
  readonly decidedAtMs = new Map<string, number>();
  stoppedUntilMs = 0;
  stoppedAtMs = 0;
  isDead = false;
  isCut = false;
  private readonly world: World;
  private readonly plan: ClusterPlan;
  private readonly idShift: number;
  private arrivalMs = 0;
  private connection = 0;

  constructor(world: World, name: string, incarnation: string) {
    this.world = world;
    this.name = name;
    this.idShift = 5 + Math.floor(world.random() * 50);
    this.plan = clusterPlan({
      name: 'world',
      instance: name,
      redis: parseRedisUrl('redis://nowhere'),
      shards,
      flushMs: 50,
      leaseMs: 2_000,
      heartbeatMs: 500,
      batchPins: 4,
      journalPinsMax: 40,
      sweepMs: 1e9,
    });
    this.pins = PinTable.create(200, { reportChanges: true });
    const names: Names = {
      poolName: (id) => (id === poolId ? 'p' : undefined),
      poolId: (pool) => (pool === 'p' ? poolId : 0),
      knownPoolId: (pool) => (pool === 'p' ? poolId : 0),
      backendName: (id) => backends[id - this.idShift],
      backendId: (_, backend) => (backends.includes(backend) ? backends.indexOf(backend) + this.idShift : 0),
    };
    const nowMs = (): number => world.nowMs;
    const watch = (event: ClusterEvent): number => this.events.push(event);
    this.replication = new Replication({
      store: this.store(incarnation),
      plan: this.plan,
      pins: this.pins,
      names: new PinNames(names, this.pins, shards),
      incarnation,
      start: 1,
      faults: new Faults(watch, nowMs),
      nowMs,
      random: world.random,
      watch,
      sleep: (ms) => new Promise((resolve) => world.at(ms, this, resolve)),
    });
    this.replication.isAllowed = true;
    this.every(50, () => this.replication.tick());
    this.every(500, () => this.replication.beat());
    void this.replication.follow();
    world.instances.push(this);
  }

  get isStopped(): boolean {
    return this.stoppedUntilMs > this.world.nowMs;
  }

  /** A flow of a client: to its pin, or to the first backend of a list that this instance believes in. */
  serve(client: number, preference: readonly string[]): void {
    if (this.isStopped) return;
    const key = worldKey(client);
    const { nowMs } = this.world;
    const pinnedId = this.pins.touch(poolId, key, 3_600_000, nowMs);
    const pinned = backends[pinnedId - this.idShift];
    if (pinned !== undefined && !this.down.has(pinned)) return;
    const backend = preference.find((name) => !this.down.has(name));
    if (backend === undefined) return;
    const id = backends.indexOf(backend) + this.idShift;
    this.decidedAtMs.set(worldText(client), nowMs);
    if (pinnedId === 0) this.pins.claim(poolId, key, id, 60_000, nowMs, 'policy');
    else this.pins.move(poolId, key, pinnedId, id, 60_000, nowMs, 'backend-down');
    this.pins.confirm(poolId, key, id, 3_600_000, nowMs);
  }

  forget(client: number): void {
    if (this.isStopped) return;
    this.pins.remove(poolId, worldKey(client), 0, this.world.nowMs);
  }

  at(client: number): string | undefined {
    return backends[this.pins.lookup(poolId, worldKey(client), this.world.nowMs) - this.idShift];
  }

  /** SIGSTOP: threads and all; what comes for it waits. */
  stopFor(ms: number): void {
    if (this.isStopped) return;
    this.stoppedAtMs = this.world.nowMs;
    this.stoppedUntilMs = this.world.nowMs + ms;
  }

  die(): void {
    this.isDead = true;
    this.world.instances.splice(this.world.instances.indexOf(this), 1);
  }

  cutFor(ms: number): void {
    if (this.isCut || this.isDead) return;
    this.isCut = true;
    this.connection++;
    this.world.at(0, this, () => this.replication.disconnected());
    this.world.at(ms, this, () => {
      this.isCut = false;
      this.replication.connected();
    });
  }

  /** For messages. */
  describe(): string {
    return this.replication.drivers
      .map(({ replica }) => `${replica.phase}${replica.needsScan ? ' needs scan' : ''} at ${replica.cursor}`)
      .join(', ');
  }

  private every(ms: number, run: () => void): void {
    this.world.at(this.world.random() * ms, this, () => {
      run();
      this.every(ms, run);
    });
  }

  private store(incarnation: string): ReplicationStore {
    const { world } = this;
    const instance = this;
    const { name } = this;
    return {
      get isConnected() {
        return !instance.isCut && world.isRedisUp;
      },
      pulse: (shard, token, _incarnation, epoch, mode) =>
        this.ask(() => world.redis.pulse(shard, name, token, incarnation, epoch, mode, this.plan.leaseMs)),
      // A short stream, so that being left behind is common.
      apply: (shard, token, epoch, _, steps) =>
        this.ask(() => world.redis.apply(shard, name, token, epoch, 12, steps)),
      read: (shard, texts) => this.ask(() => world.redis.read(shard, texts)),
      entries: (shard, position) => this.ask(() => world.redis.entries(shard, position, 4)),
      follow: (cursors) =>
        this.ask(() => {
          const found = new Map<number, readonly StreamEntry[]>();
          for (const [shard, cursor] of cursors) {
            const entries = world.redis.entries(shard, cursor, 3);
            if (entries.length > 0) found.set(shard, entries);
          }
          return found;
        }, world.random() * followMs),
      reconnectFollower: () => {},
      scan: () => this.scan(),
      whenMoved: () => () => {},
    };
  }

  private async *scan(): AsyncGenerator<Map<number, string[]>> {
    for (let shard = 0; shard < shards; shard++) {
      const texts = await this.ask(() => this.world.redis.texts(shard));
      for (let from = 0; from < texts.length; from += 5) {
        await this.ask(() => undefined);
        yield new Map([[shard, texts.slice(from, from + 5)]]);
      }
    }
  }

  /**
   * One request: it may be lost on the way, its answer may be, and one that was given up may still be carried out
   * later. Requests of a connection arrive in order.
   */
  private ask<T>(execute: () => T, waitMs = 0): Promise<T> {
    const { world } = this;
    const { connection } = this;
    return new Promise((resolve, reject) => {
      if (this.isCut || !world.isRedisUp) {
        world.at(1, this, () => reject(new Error('Connection is closed.')));
        return;
      }
      const slow = world.random() < world.slowShare ? 600 : 0;
      const arrivalMs = Math.max(this.arrivalMs, world.nowMs + waitMs + 0.5 + world.random() * 8 + slow);
      if (waitMs === 0) this.arrivalMs = arrivalMs;
      let isOver = false;
      const end = (run: () => void): void => {
        if (isOver) return;
        isOver = true;
        run();
      };
      world.at(answerTimeoutMs + waitMs, this, () => end(() => reject(new Error('Command timed out'))));
      if (world.random() < world.lossShare) return;
      world.at(arrivalMs - world.nowMs, undefined, () => {
        if (!world.isRedisUp) return;
        const answer = execute();
        if (world.random() < world.lossShare) return;
        world.at(0.5 + world.random() * 8, this, () => {
          if (connection === this.connection) end(() => resolve(answer));
        });
      });
    });
  }
}

export function worldKey(client: number): Key {
  return new Key('client-ip', Address.v4(0x0a000000 + client, 0));
}

export function worldText(client: number): string {
  return `p/1/${worldKey(client).text}`;
}

export function clientOf(text: string): number {
  return parsePinText(text)!.words.w3 - 0x0a000000;
}
