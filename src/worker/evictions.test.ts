/**
 * Two workers on one memory, each with an engine that ends whom it is told to: who gets a place when there is none, and
 * who loses his.
 */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { listenerLimits } from '../config/listener-shape.ts';
import { Address, noAddress } from '../core/address.ts';
import { Evictable } from '../core/evictable.ts';
import type { Flow } from '../core/flow.ts';
import { crowdedLooksPerTick, crowdedUsesMax } from '../core/limits.ts';
import { planOf } from '../core/options.ts';
import { Places } from '../core/places.ts';
import type { ListenerPlan } from '../core/plan.ts';
import { shareFlows } from '../core/shares.ts';
import type { ListenerView, PoolView, Snapshot } from '../core/snapshot.ts';
import { listenerView, poolPlan } from '../engine/conformance/listener.ts';
import type { Engine } from '../engine/engine.ts';
import { EvictionOrder, type Ordered } from '../engine/eviction-order.ts';
import { attachSharedMemory, createSharedMemory } from '../rooms/shared.ts';
import { Director } from './director.ts';
import { Evictions } from './evictions.ts';

const workers = 2;
let memory: ReturnType<typeof createSharedMemory>;
let clients = 0;

/** A worker whose engine has conversations and no sockets. */
class PlayedWorker {
  readonly director: Director;
  readonly order: EvictionOrder;
  readonly open = new Set<Flow>();
  readonly conversations = new Map<Flow, Ordered>();
  readonly ended: string[] = [];

  constructor(worker: number, snapshot: Snapshot) {
    const views = attachSharedMemory(memory.shared, worker);
    this.director = new Director({ worker, ...views, nowMs: () => 1, post: () => {} });
    this.order = new EvictionOrder((flow) => this.director.proved(flow));
    this.director.engine = {
      evict: (listenerId, quietToo) => this.order.evict(listenerId, quietToo, 1),
    } as Partial<Engine> as Engine;
    this.director.useSnapshot(snapshot);
  }

  /** The flow, or why not. */
  come(listener: ListenerView): Flow | string {
    const flow = this.director.open(listener, Address.v4(0x0a000000 + ++clients, 1), noAddress);
    if (typeof flow === 'string') return flow;
    // Nobody leaves before the second look.
    if (listener.plan.protocol === 'tcp' && this.director.route(flow) === 'wait') {
      this.director.closed(flow, 'client-reset');
      return 'found a limit reached';
    }
    this.open.add(flow);
    if (listener.plan.protocol === 'tcp') return flow;
    const conversation: Ordered = {
      flow,
      movedAtMs: 1,
      standing: undefined,
      isAnswered: false,
      enteredAtMs: 0,
      older: undefined,
      newer: undefined,
      evict: () => this.end(flow, 'evicted'),
    };
    this.conversations.set(flow, conversation);
    this.order.enter(conversation);
    return flow;
  }

  prove(flow: Flow): void {
    const conversation = this.conversations.get(flow)!;
    this.order.answered(conversation);
    this.order.spoke(conversation);
  }

  end(flow: Flow, code: 'evicted' | 'expired' | 'client-closed'): void {
    const conversation = this.conversations.get(flow);
    if (conversation !== undefined) this.order.leave(conversation);
    this.open.delete(flow);
    this.ended.push(code);
    this.director.closed(flow, code);
  }

  /** How many of so many that came were let in. */
  crowd(listener: ListenerView, count: number): number {
    return Array.from({ length: count }, () => this.come(listener)).filter((flow) => typeof flow !== 'string')
      .length;
  }
}

const pool: PoolView = {
  id: 1,
  version: 1,
  plan: poolPlan({ policy: 'round-robin', failOpen: true }),
  backends: [],
};

function listenerOf(id: number, protocol: 'tcp' | 'udp', limits: Partial<ListenerPlan['limits']>) {
  const view = listenerView(id, protocol, {});
  return {
    ...view,
    plan: { ...view.plan, limits: { ...planOf<ListenerPlan['limits']>(listenerLimits, {}), ...limits } },
  };
}

function play(flowsMax: number, listeners: readonly ListenerView[], udpShare = 0.75): PlayedWorker[] {
  const shares = shareFlows(
    listeners.map(({ plan }) => plan),
    flowsMax,
    udpShare,
  );
  const known = { machineIps: [], memberListeners: [], memberIps: [] };
  const snapshot = {
    generation: 1,
    listeners,
    pools: [pool],
    flowsMax,
    secondLooksMax: 8,
    arrivalsMax: 0,
    shares,
    isShared: false,
    flowLog: { which: 'none', sample: 0 },
  };
  return [0, 1].map((worker) => new PlayedWorker(worker, { ...known, ...snapshot } as Snapshot));
}

const flows = (id: number): number => memory.counters.listener(id, 'active');

beforeEach(() => {
  memory = createSharedMemory(workers, 64);
});

describe('a flood of UDP sources', () => {
  const db = listenerOf(0, 'tcp', { reserve: 10 });
  const game = listenerOf(1, 'udp', { reserve: 10 });

  test('has three quarters at most, and TCP what is left and what it makes of those', () => {
    const [a, b] = play(100, [db, game]);
    for (let i = 0; i < 300; i++) (i % 2 === 0 ? a! : b!).come(game);
    expect([flows(0), flows(1)]).toEqual([0, 75]);
    expect(a!.crowd(db, 200)).toBe(90);
    expect([flows(0), flows(1), memory.counters.flows()]).toEqual([90, 10, 100]);
    // As many have ended as TCP has taken of theirs, once each worker has had its turn.
    for (const worker of [a!, b!]) while (worker.director.tick());
    expect(a!.conversations.size).toBeGreaterThan(0);
    expect(a!.open.size + b!.open.size).toBe(100);
  });

  test('costs TCP no place that is in the other worker alone', () => {
    const [a, b] = play(100, [db, game]);
    expect(b!.crowd(game, 200)).toBe(200);
    expect(flows(1)).toBe(75);
    expect(a!.crowd(db, 90)).toBe(90);
    // b has not had its turn: nothing has been asked of it, and nobody waits for it.
    expect(b!.open.size).toBe(75);
    expect(memory.counters.flows()).toBe(100);
    while (b!.director.tick());
    expect([b!.open.size, flows(1), memory.counters.flows()]).toEqual([10, 10, 100]);
    for (const flow of [...a!.open]) a!.end(flow, 'client-closed');
    for (const flow of [...b!.open]) b!.end(flow, 'expired');
    expect([flows(0), flows(1), memory.counters.flows()]).toEqual([0, 0, 0]);
  });

  test('costs no proved conversation its place, be it for TCP or for UDP', () => {
    const [a, b] = play(100, [db, game]);
    const known = Array.from({ length: 40 }, (_, i) => {
      const worker = i % 2 === 0 ? a! : b!;
      const flow = worker.come(game) as Flow;
      worker.prove(flow);
      return flow;
    });
    for (let i = 0; i < 500; i++) (i % 2 === 0 ? a! : b!).come(game);
    expect(a!.crowd(db, 100)).toBe(60);
    for (const worker of [a!, b!]) while (worker.director.tick());
    for (const flow of known) expect(a!.open.has(flow) || b!.open.has(flow)).toBe(true);
    expect([flows(0), flows(1)]).toEqual([60, 40]);
    // Nobody unproved is left: the next one is turned away.
    expect(b!.come(game)).toBe('limit-flows');
    expect(b!.come(db)).toBe('found a limit reached');
  });

  test('a place that another worker took over is paid for by whoever ends next', () => {
    const [udp, tcp] = [listenerOf(1, 'udp', { reserve: 0 }), listenerOf(0, 'tcp', { reserve: 0 })];
    const [a, b] = play(20, [tcp, udp], 1);
    const those = Array.from({ length: 20 }, () => b!.come(udp) as Flow);
    b!.prove(those[19]!);
    expect(a!.crowd(tcp, 3)).toBe(3);
    for (const flow of those.slice(17)) b!.end(flow, 'expired');
    while (b!.director.tick());
    expect(b!.ended).toEqual(['expired', 'expired', 'expired']);
    expect([flows(0), flows(1), memory.counters.flows()]).toEqual([3, 17, 20]);
    expect(b!.crowd(udp, 10), 'each for one of its own').toBe(10);
    expect([flows(1), b!.open.size]).toEqual([17, 17]);
  });

  test('who has been taken over cannot prove himself any more; the others can', () => {
    const [a, b] = play(20, [listenerOf(0, 'tcp', { reserve: 0 }), listenerOf(1, 'udp', { reserve: 0 })], 1);
    const [udp, tcp] = [listenerOf(1, 'udp', {}), listenerOf(0, 'tcp', {})];
    const those = Array.from({ length: 20 }, () => b!.come(udp) as Flow);
    expect(a!.crowd(tcp, 15)).toBe(15);
    for (const flow of those) b!.prove(flow);
    expect(those.filter((flow) => flow.isProved).length).toBe(5);
    while (b!.director.tick());
    expect([...b!.open]).toEqual(those.slice(0, 5));
    expect([flows(0), flows(1)]).toEqual([15, 5]);
  });
});

test('a listener at its own limit takes no place of others, and has those of its own in the other worker', () => {
  const game = listenerOf(0, 'udp', { flows: 4, reserve: 0 });
  const other = listenerOf(1, 'udp', { reserve: 0 });
  const [a, b] = play(100, [game, other]);
  b!.crowd(game, 4);
  b!.crowd(other, 10);
  expect(a!.crowd(game, 4)).toBe(4);
  while (b!.director.tick());
  // Two of the other worker's, and then of its own, which is as many by then.
  expect([flows(0), flows(1), a!.open.size, b!.open.size]).toEqual([4, 10, 2, 12]);
  for (const worker of [a!, b!]) for (const flow of worker.open) worker.prove(flow);
  expect(a!.come(game)).toBe('limit-listener');
  expect(b!.come(game)).toBe('limit-listener');
});

test('a worker that dies gives back its places, without those that were taken over', () => {
  const [a, b] = play(50, [listenerOf(0, 'tcp', { reserve: 5 }), listenerOf(1, 'udp', { reserve: 5 })], 1);
  const [tcp, udp] = [listenerOf(0, 'tcp', {}), listenerOf(1, 'udp', {})];
  b!.crowd(udp, 60);
  expect(a!.crowd(tcp, 30)).toBe(30);
  memory.counters.clearOpenOf(1);
  expect([flows(0), flows(1), memory.counters.flows()]).toEqual([30, 0, 30]);
  expect(a!.crowd(tcp, 100)).toBe(15);
  expect(a!.crowd(udp, 100)).toBe(100);
  expect([flows(0), flows(1), memory.counters.flows()]).toEqual([45, 5, 50]);
});

describe('a worker whose conversations others have taken over', () => {
  const [tcp, udp] = [listenerOf(0, 'tcp', { reserve: 0 }), listenerOf(1, 'udp', { reserve: 0 })];

  test('ends one of its own for a client, and not as many as it owes', () => {
    const [a, b] = play(1_000, [tcp, udp], 1);
    b!.crowd(udp, 970);
    expect(a!.crowd(udp, 130)).toBe(130);
    // As many places as it has conversations are others' by now.
    expect(memory.counters.evictable.claimed(1, 1)).toBe(100);
    for (let i = 1; i <= 20; i++) {
      expect(typeof b!.come(tcp)).toBe('object');
      expect(b!.ended).toHaveLength(i);
    }
    expect(b!.crowd(udp, 10)).toBe(10);
    for (const worker of [a!, b!]) while (worker.director.tick());
    expect([flows(0), flows(1), a!.open.size + b!.open.size]).toEqual([20, 980, 1_000]);
    for (const worker of [a!, b!]) for (const flow of [...worker.open]) worker.end(flow, 'expired');
    expect([flows(0), flows(1), memory.counters.flows()]).toEqual([0, 0, 0]);
  });

  test('stands still: others make room with their own once they have taken over as many as they may', () => {
    const count = 14_000;
    const [a, b] = play(count, [tcp, udp], 1);
    expect(b!.crowd(udp, count)).toBe(count);
    expect(a!.crowd(udp, 4_500)).toBe(4_500);
    expect(typeof a!.come(tcp)).toBe('object');
    expect(b!.ended).toEqual([]);
    while (b!.director.tick());
    expect([memory.counters.flows(), a!.open.size + b!.open.size]).toEqual([count, count]);
  });
});

describe('which listener makes room', () => {
  const workersMany = 8;
  const others = Array.from({ length: 200 }, (_, id) => listenerOf(id, 'udp', {}));
  let evictableBuffer: SharedArrayBuffer;
  let evictable: Evictable;
  let places: Places;
  let evictions: Evictions;
  /** Whose conversation was ended, in order. */
  let ended: number[];

  const engine = {
    evict: (id: number) => {
      ended.push(id);
      evictable.pay(id, false);
      places.giveFlow(id);
      return true;
    },
  } as Partial<Engine> as Engine;

  function come(id: number): void {
    const max = Number.MAX_SAFE_INTEGER;
    const limits = { listenerMax: max, reserve: 0, flowsMax: max, commonMax: max, udpCommonMax: max };
    places.takeFlow({ listenerId: id, isUdp: true, ...limits });
    evictable.add(id);
  }

  beforeEach(() => {
    evictableBuffer = Evictable.bufferOf(workersMany);
    evictable = new Evictable(evictableBuffer);
    places = new Places(Places.bufferOf(workersMany));
    evictions = new Evictions(places, evictable);
    evictions.useListeners(others);
    ended = [];
  });

  test('is not looked for among all of them for each client of a flood', () => {
    for (const { id } of others) come(id);
    const counting = vi.spyOn(evictable, 'count');
    const clients = 10 * crowdedUsesMax;
    for (let i = 0; i < clients; i++) {
      expect(evictions.makeRoomFor(others[0]!, 'limit-flows', engine)).toBe(true);
      come(ended.at(-1)!);
    }
    const looks = (counting.mock.calls.length - clients * 4 * workersMany) / (others.length * workersMany);
    expect(looks).toBeLessThanOrEqual(clients / crowdedUsesMax + 1);
  });

  test('is looked for anew as soon as that one has nobody left, but so many times a tick', () => {
    for (const { id } of others) come(id);
    const tcp = listenerOf(999, 'tcp', {});
    const makesRoom = (): boolean => evictions.makeRoomFor(tcp, 'limit-flows', engine);
    for (let i = 0; i < crowdedLooksPerTick; i++) expect(makesRoom()).toBe(true);
    expect(new Set(ended).size).toBe(crowdedLooksPerTick);
    expect(makesRoom()).toBe(false);
    evictions.pay(engine, 1);
    expect(makesRoom()).toBe(true);
  });

  test('is the one that has most after a tick, and at once the listener of the client when that has more', () => {
    for (let i = 0; i < 10; i++) come(5);
    evictions.makeRoomFor(others[7]!, 'limit-flows', engine);
    for (let i = 0; i < 20; i++) come(6);
    for (let i = 0; i < 15; i++) come(7);
    evictions.makeRoomFor(others[7]!, 'limit-flows', engine);
    evictions.pay(engine, 1);
    evictions.makeRoomFor(others[7]!, 'limit-flows', engine);
    expect(ended).toEqual([5, 7, 6]);
  });

  test('is asked at a worker that may be asked for more', () => {
    const [here, b, c] = [0, 1, 2].map((worker) => new Evictable(evictableBuffer, worker));
    const mine = new Evictions(places, here!);
    mine.useListeners(others);
    for (let i = 0; i < 6_000; i++) b!.add(3);
    for (let i = 0; i < 10; i++) c!.add(3);
    come(3);
    here!.prove(3);
    while (here!.claim(1, 3));
    expect(mine.makeRoomFor(listenerOf(999, 'tcp', {}), 'limit-flows', engine)).toBe(true);
    expect([here!.claimed(2, 3), ended]).toEqual([1, []]);
  });
});
