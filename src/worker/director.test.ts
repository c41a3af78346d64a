/** The director without an engine: what it decides about flows when control's orders and new flows meet. */
import { describe, expect, test, vi } from 'vitest';
import { cryptoFrame, exampleFrame, seal } from '../../test/support/quic.ts';
import { Address, noAddress } from '../core/address.ts';
import { RangesBuilder } from '../core/address-ranges.ts';
import { parseCidr } from '../core/cidr.ts';
import type { Counters } from '../core/counters.ts';
import type { Flow } from '../core/flow.ts';
import { Key } from '../core/key.ts';
import {
  endingMsPerTurn,
  heardFlowsMax,
  oneWayMsMin,
  returningFlowsMax,
  returningPatienceMs,
  secondLookAfterTurns,
  unconfirmedPinTtlMs,
} from '../core/limits.ts';
import type { PinTable } from '../core/pins/table.ts';
import { shareFlows } from '../core/shares.ts';
import type { ListenerView, PoolView, Snapshot } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import { listenerView, poolPlan } from '../engine/conformance/listener.ts';
import type { Engine } from '../engine/engine.ts';
import { createSharedMemory } from '../rooms/shared.ts';
import { writeProxyHeader } from '../wire/proxy-header.ts';
import { Director } from './director.ts';
import type { FlowLimits } from './flow-limits.ts';
import type { MessageFromWorker } from './messages-from-worker.ts';

const backendId = 1;
const secondLooksMax = 64;
let clockMs = 1;
let clockReads = 0;
/** So long the end of a flow takes. */
let endMs = 0;

interface Stage {
  readonly director: Director;
  readonly ended: Map<Flow, TerminationCode>;
  readonly abandoned: Flow[];
  readonly snapshot: Snapshot;
  readonly counters: Counters;
  readonly pins: PinTable;
  readonly posted: MessageFromWorker[];
  /** Gives the pool backends of these names, numbered from 1. */
  useBackends(
    names: readonly string[],
    changes?: Partial<Snapshot & { tries: number; plan: Partial<PoolView['plan']> }>,
  ): void;
}

function directorOf(listener: ListenerView): Stage {
  const { pins, states, counters, dials } = createSharedMemory(1, 1024);
  const open = (id: number): void => {
    states.setUp(id, true);
    states.setWeight(id, 1);
  };
  open(backendId);
  const posted: MessageFromWorker[] = [];
  const director = new Director({
    worker: 0,
    pins,
    states,
    counters,
    dials,
    nowMs: () => {
      clockReads++;
      return clockMs;
    },
    post: (message) => void posted.push(message),
  });
  const ended = new Map<Flow, TerminationCode>();
  const terminate: Engine['terminate'] = (flow, code) => {
    ended.set(flow, code);
    clockMs += endMs;
    director.closed(flow, code);
  };
  const abandoned: Flow[] = [];
  const abandonDial: Engine['abandonDial'] = (flow) => {
    abandoned.push(flow);
    director.dialFailed(flow, 'backend-unreachable');
  };
  director.engine = { terminate, abandonDial } as Partial<Engine> as Engine;
  const target = { kind: 'inet', ip: '127.0.0.1', port: 1 } as const;
  const snapshot: Snapshot = {
    generation: 1,
    listeners: [listener],
    pools: [
      {
        id: listener.poolId,
        version: 1,
        plan: poolPlan({ policy: 'round-robin' }),
        backends: [{ id: backendId, name: 'a', target, addressText: 'a', weight: 1, maxConnections: 0 }],
      },
    ],
    flowsMax: 100_000,
    secondLooksMax,
    arrivalsMax: 0,
    shares: shareFlows([listener.plan], 100_000, 1),
    isShared: false,
    flowLog: { which: 'none', sample: 0 },
    machineIps: [],
    memberListeners: [],
    memberIps: [],
  };
  director.useSnapshot(snapshot);
  const useBackends: Stage['useBackends'] = (names, { tries = 1, plan = {}, ...changes } = {}) => {
    const backends = names.map((name, i) => ({ ...snapshot.pools[0]!.backends[0]!, id: i + 1, name }));
    for (const { id } of backends) open(id);
    const pools = snapshot.pools.map((pool) => ({
      ...pool,
      version: 2,
      plan: { ...pool.plan, tries, ...plan },
      backends,
    }));
    director.useSnapshot({ ...snapshot, pools, ...changes });
  };
  return { director, ended, abandoned, snapshot, counters, pins, posted, useBackends };
}

function openFlow(director: Director, listener: ListenerView, client: number): Flow {
  const flow = director.open(listener, Address.v4(client, 0), noAddress);
  if (typeof flow === 'string') throw new Error(flow);
  return flow;
}

test('flows opened after the order to end those of a backend are not meant', () => {
  const listener = listenerView(0, 'tcp', {});
  const { director, ended } = directorOf(listener);
  let clients = 0;
  const connect = (): Flow => {
    const flow = director.open(listener, Address.v4(0x0a000000 + clients++, 0), noAddress);
    if (typeof flow === 'string') throw new Error(flow);
    expect(director.route(flow)).toMatchObject({ id: backendId });
    director.dialed(flow);
    return flow;
  };
  const before = Array.from({ length: endingMsPerTurn + 10 }, connect);
  endMs = 1;
  director.endFlows({ by: 'backend', backendId, protocol: undefined }, 'backend-removed');
  expect(director.tick(), 'more than one turn of work').toBe(true);
  // The backend is back in the plan before the others are ended.
  const after = connect();
  while (director.tick());
  endMs = 0;
  expect(before.every((flow) => ended.get(flow) === 'backend-removed')).toBe(true);
  expect(ended.has(after)).toBe(false);
  expect(director.registry.size).toBe(1);
});

test('rebind has no effect on a TCP listener', () => {
  const view = listenerView(0, 'tcp', {});
  const listener = { ...view, plan: { ...view.plan, rebind: { payload: { offset: 0, length: 4 } } } };
  const flow = openFlow(directorOf(listener).director, listener, 1);
  expect([flow.tokens, flow.learnsIds]).toEqual([undefined, false]);
});

test('who has told who it is only when its listener was gone is not let in', () => {
  const listener = listenerView(0, 'tcp', {});
  const { director, counters, snapshot } = directorOf(listener);
  const client = Address.v4(0x0a000001, 1);
  const open = () =>
    director.open(listener, client, noAddress, { peer: Address.v4(0x7f000001, 2), peerLocal: noAddress });
  expect(typeof open()).toBe('object');
  director.useSnapshot({ ...snapshot, listeners: [] });
  expect(open()).toBe('listener-removed');
  expect(counters.ends(listener.id, 'listener-removed')).toBe(1);
  expect(director.registry.size).toBe(1);
});

test('an order for flows connected before a moment spares those that came since', () => {
  const listener = listenerView(0, 'tcp', {});
  const { director, ended } = directorOf(listener);
  const connect = (): Flow => {
    const flow = director.open(listener, Address.v4(0x0a000001, 0), noAddress);
    if (typeof flow === 'string') throw new Error(flow);
    director.route(flow);
    director.dialed(flow);
    return flow;
  };
  clockMs = 10;
  const before = connect();
  clockMs = 20;
  const since = connect();
  director.endFlows({ by: 'backend', backendId, protocol: undefined, connectedBeforeMs: 15 }, 'backend-down');
  director.tick();
  expect([ended.get(before), ended.get(since)]).toEqual(['backend-down', undefined]);
});

test('a client for whom room is made is not refused, and one that may not come in makes nobody leave', () => {
  const view = listenerView(0, 'udp', {});
  const limits = { ...view.plan.limits, flows: 2, flowsPerClient: 1 };
  const listener = { ...view, plan: { ...view.plan, limits } };
  const { director, counters } = directorOf(listener);
  const open: Flow[] = [];
  let asked = 0;
  director.engine = {
    evict: () => {
      asked++;
      const oldest = open.shift();
      if (oldest !== undefined) director.closed(oldest, 'evicted');
      return oldest !== undefined;
    },
  } as Partial<Engine> as Engine;
  const connect = (client: number): Flow | TerminationCode => {
    const flow = director.open(listener, Address.v4(0x0a000000 + client, 0), noAddress);
    if (typeof flow !== 'string') open.push(flow);
    return flow;
  };
  expect([connect(1), connect(2), connect(3)].map((flow) => typeof flow)).toEqual([
    'object',
    'object',
    'object',
  ]);
  expect(asked).toBe(1);
  expect(counters.listener(0, 'refused')).toBe(0);
  expect(connect(3), 'it has one').toBe('limit-client');
  expect(asked).toBe(1);
  open.length = 0;
  expect(connect(4)).toBe('limit-listener');
  expect(counters.listener(0, 'refused')).toBe(2);
});

test('who finds a limit reached is looked at again, and comes in if somebody has left meanwhile', () => {
  const view = listenerView(0, 'tcp', {});
  const limits = { ...view.plan.limits, flowsPerClient: 1, newFlowsPerClientPerSecond: 2 };
  const listener = { ...view, plan: { ...view.plan, limits } };
  const { director, counters } = directorOf(listener);
  let answer: unknown;
  const proceed: Engine['proceed'] = (flow) => {
    answer = director.route(flow);
    if (typeof answer === 'string') director.closed(flow, answer as TerminationCode);
  };
  director.engine = { proceed } as Partial<Engine> as Engine;
  const [first, second] = [openFlow(director, listener, 1), openFlow(director, listener, 1)];
  director.route(first);
  expect(director.route(second)).toBe('wait');
  expect([counters.places.flows(), counters.listener(0, 'refused')]).toEqual([1, 0]);
  director.closed(first, 'client-closed');
  for (let turn = 0; turn < secondLookAfterTurns; turn++) director.tick();
  expect(answer).toMatchObject({ id: backendId });
  expect(counters.places.flows()).toBe(1);
  // Nobody leaves: refused after all, and it has no place to give back.
  expect(director.route(openFlow(director, listener, 1))).toBe('wait');
  for (let turn = 0; turn < secondLookAfterTurns; turn++) director.tick();
  expect(answer).toBe('limit-client');
  expect([counters.places.flows(), counters.listener(0, 'refused')]).toEqual([1, 1]);
  // One that goes while it waits leaves nothing either.
  director.closed(openFlow(director, listener, 1), 'client-reset');
  director.closed(second, 'client-closed');
  expect(counters.places.flows()).toBe(0);
  // Not all of them wait.
  const crowd = Array.from({ length: secondLooksMax + 2 }, () =>
    director.open(listener, Address.v4(2, 0), noAddress),
  );
  expect(typeof crowd.at(-2)).toBe('object');
  expect(crowd.at(-1)).toBe('limit-client');
});

test('who waits for a place of its network is counted once in the rate of its client', () => {
  const view = listenerView(0, 'tcp', {});
  const perSubnet = { prefixV4: 24, prefixV6: 64, flows: 1, newFlowsPerSecond: 2, datagramsPerSecond: 0 };
  const limits = { ...view.plan.limits, newFlowsPerClientPerSecond: 1, perSubnet };
  const listener = { ...view, plan: { ...view.plan, limits } };
  const { director, counters } = directorOf(listener);
  const answers: unknown[] = [];
  director.engine = { proceed: (flow) => answers.push(director.route(flow)) } as Partial<Engine> as Engine;
  const first = openFlow(director, listener, 1);
  director.route(first);
  const second = openFlow(director, listener, 2);
  expect(director.route(second)).toBe('wait');
  director.tick();
  expect(answers).toEqual([]);
  director.closed(first, 'client-closed');
  director.tick();
  expect(answers).toEqual([expect.objectContaining({ id: backendId })]);
  director.closed(second, 'client-closed');
  expect(counters.places.flows()).toBe(0);
  expect([counters.clients.open(first.subnetSlot), counters.clients.open(second.clientSlot)]).toEqual([0, 0]);
});

test('a place that is given up goes to who waits, before a newcomer may take it', () => {
  const view = listenerView(0, 'tcp', {});
  const listener = { ...view, plan: { ...view.plan, limits: { ...view.plan.limits, flows: 2 } } };
  const { director, counters } = directorOf(listener);
  const answers: unknown[] = [];
  director.engine = { proceed: (flow) => answers.push(director.route(flow)) } as Partial<Engine> as Engine;
  const open = [openFlow(director, listener, 1), openFlow(director, listener, 2)];
  for (const flow of open) director.route(flow);
  const [second, third] = [openFlow(director, listener, 3), openFlow(director, listener, 4)];
  expect(director.route(second)).toBe('wait');
  expect(director.route(third)).toBe('wait');
  // 1 leaves and is back at once, as often as it likes: nobody who waits is passed over.
  director.closed(open[0]!, 'client-closed');
  const back = openFlow(director, listener, 1);
  expect(director.route(back)).toBe('wait');
  expect(counters.places.flows()).toBe(2);
  director.closed(open[1]!, 'client-closed');
  director.tick();
  expect(answers).toEqual([
    expect.objectContaining({ id: backendId }),
    expect.objectContaining({ id: backendId }),
  ]);
  // One that was given its place and leaves before it was told gives it back, to the last who waits.
  director.closed(second, 'client-closed');
  director.closed(back, 'client-closed');
  answers.length = 0;
  director.tick();
  expect(answers).toEqual([]);
  director.closed(third, 'client-closed');
  expect(counters.places.flows()).toBe(0);
});

test('who waits for a place gets none by way of another who leaves for somebody', () => {
  const view = listenerView(0, 'tcp', {});
  const tcp = { ...view, plan: { ...view.plan, limits: { ...view.plan.limits, flows: 1 } } };
  const { director, counters } = directorOf(tcp);
  director.engine = { proceed: () => {} } as Partial<Engine> as Engine;
  const held = openFlow(director, tcp, 1);
  director.route(held);
  const waiting = openFlow(director, tcp, 2);
  expect(director.route(waiting)).toBe('wait');
  director.closed(held, 'evicted');
  expect(counters.places.flows(), 'its place is that of whom it left for').toBe(0);
  director.tick();
  expect(counters.places.flows()).toBe(1);
  director.closed(waiting, 'client-closed');
  expect(counters.places.flows()).toBe(0);
});

test('a crowd that waits is asked once for each close, not each of it', () => {
  const view = listenerView(0, 'tcp', {});
  const full = { ...view, plan: { ...view.plan, limits: { ...view.plan.limits, flows: 1 } } };
  const { director } = directorOf(full);
  director.engine = { proceed: () => {} } as Partial<Engine> as Engine;
  const held = openFlow(director, full, 1);
  director.route(held);
  const crowd = Array.from({ length: 50 }, (_, i) => openFlow(director, full, 100 + i));
  for (const flow of crowd) expect(director.route(flow)).toBe('wait');
  const { limits } = director as unknown as { limits: FlowLimits };
  const asked = vi.spyOn(limits, 'admitFreed');
  director.closed(held, 'client-closed');
  expect(asked).toHaveBeenCalledTimes(1);
  director.tick();
  expect(asked, 'the next of the crowd finds no place, and nobody behind it is asked').toHaveBeenCalledTimes(
    2,
  );
});

test('a flow that was held back from a loop is counted as opened once it has another backend', () => {
  const listener = listenerView(0, 'tcp', {});
  const { director, counters, useBackends } = directorOf(listener);
  const opened = (): number => counters.listener(0, 'opened');
  // All of them from the host of their backend, and none is answered.
  const come = (): Flow => openFlow(director, listener, 0x7f000001);
  for (let i = 0; i < returningFlowsMax.tcp; i++) expect(director.route(come())).toMatchObject({ name: 'a' });
  const last = come();
  expect(director.route(last)).toBe('wait');
  clockMs += returningPatienceMs;
  expect(director.route(last)).toBe('loop');
  director.closed(last, 'loop');
  expect(opened()).toBe(returningFlowsMax.tcp);
  useBackends(['a', 'b'], { tries: 2 });
  const more = Array.from({ length: 10 }, come);
  const names = more.map((flow) => (director.route(flow) as { name: string }).name);
  expect(names.filter((name) => name === 'a')).toHaveLength(1);
  expect(more.some(({ failed }) => failed.length > 0)).toBe(true);
  expect(opened()).toBe(returningFlowsMax.tcp + more.length);
});

test('an answer over TCP costs no look at the clock where nothing is counted', () => {
  const listener = listenerView(0, 'tcp', {});
  const { director } = directorOf(listener);
  const flow = openFlow(director, listener, 0x0a000001);
  director.route(flow);
  director.dialed(flow);
  const before = clockReads;
  director.replied(flow);
  expect(clockReads).toBe(before);
});

test('a reload that changes nothing a policy goes by leaves it as it is', () => {
  const view = listenerView(0, 'tcp', {});
  const listener = {
    ...view,
    plan: { ...view.plan, affinity: { ...view.plan.affinity, key: 'none' as const } },
  };
  const { director, snapshot } = directorOf(listener);
  const names = ['a', 'b', 'c'];
  const use = (version: number, maxConnections: number, weight: number): void => {
    const pools = snapshot.pools.map((pool) => ({
      ...pool,
      version,
      backends: names.map((name) => ({ ...pool.backends[0]!, name, maxConnections, weight })),
    }));
    director.useSnapshot({ ...snapshot, pools });
  };
  const next = (): string => {
    const flow = director.open(listener, Address.v4(0x0a000001, 0), noAddress);
    if (typeof flow === 'string') throw new Error(flow);
    const backend = director.route(flow);
    return typeof backend === 'string' ? backend : `${backend.name} ${backend.maxConnections}`;
  };
  // A round that goes on tells that the policy is the same, one that begins anew that it is another.
  use(2, 0, 1);
  expect(next()).toBe('a 0');
  use(3, 70, 1);
  expect(next()).toBe('b 70');
  use(4, 70, 2);
  expect(next()).toBe('a 70');
});

test('a flow that still dials a backend that was removed is routed anew, and not ended', () => {
  const listener = listenerView(0, 'tcp', {});
  const { director, ended, abandoned } = directorOf(listener);
  const open = (): Flow => {
    const flow = director.open(listener, Address.v4(0x0a000001, 0), noAddress);
    if (typeof flow === 'string') throw new Error(flow);
    director.route(flow);
    return flow;
  };
  const connected = open();
  director.dialed(connected);
  const dialing = open();
  director.endFlows({ by: 'backend', backendId, protocol: undefined }, 'backend-removed');
  expect(director.tick()).toBe(false);
  expect([...ended]).toEqual([[connected, 'backend-removed']]);
  expect(abandoned).toEqual([dialing]);
});

test('before-dial takes one turn of the policy for a client, and goes where it asked', () => {
  const view = listenerView(0, 'tcp', {});
  const affinity = { ...view.plan.affinity, claim: 'before-dial' as const };
  const listener = { ...view, plan: { ...view.plan, affinity } };
  const { director, useBackends } = directorOf(listener);
  useBackends(['a', 'b'], { isShared: true });
  const proceeded: Flow[] = [];
  director.engine = { proceed: (flow) => proceeded.push(flow) } as Partial<Engine> as Engine;
  const names = [1, 2, 3, 4].map((client) => {
    const flow = openFlow(director, listener, client);
    expect(director.route(flow)).toBe('wait');
    // Redis is away: nothing stands in the table.
    director.claimed(flow.id);
    expect(proceeded.pop()).toBe(flow);
    const backend = director.route(flow);
    return typeof backend === 'string' ? backend : backend.name;
  });
  expect(names).toEqual(['a', 'b', 'a', 'b']);
});

test('a fault of our own costs a client its pin neither at once nor after a second failure', () => {
  const listener = listenerView(0, 'tcp', {});
  const { director, pins, useBackends } = directorOf(listener);
  useBackends(['a', 'b', 'c'], { tries: 3 });
  const first = openFlow(director, listener, 1);
  director.route(first);
  director.dialed(first);
  const { id } = first.backend!;
  const again = openFlow(director, listener, 1);
  expect(director.route(again)).toMatchObject({ id });
  director.dialFailed(again, 'local-fault');
  director.route(again);
  director.dialFailed(again, 'backend-refused');
  director.route(again);
  director.dialed(again);
  expect(again.backend!.id).not.toBe(id);
  expect(pins.lookup(1, again.key, clockMs)).toBe(id);
});

test('a pin lives while its flow is open, whatever its ttl, and only new flows count as hits and misses', () => {
  const view = listenerView(0, 'tcp', {});
  const listener = { ...view, plan: { ...view.plan, affinity: { ...view.plan.affinity, ttlMs: 1_000 } } };
  const { director, pins } = directorOf(listener);
  const flow = openFlow(director, listener, 1);
  director.route(flow);
  director.dialed(flow);
  for (const endMs = clockMs + 10_000; clockMs < endMs; clockMs += 50) {
    director.tick();
    expect(pins.lookup(1, flow.key, clockMs)).toBe(backendId);
  }
  director.closed(flow, 'client-closed');
  expect(pins.stats()).toMatchObject({ hits: 0, misses: 1 });
  director.route(openFlow(director, listener, 1));
  expect(pins.stats()).toMatchObject({ hits: 1, misses: 1 });
});

describe('UDP that is never answered', () => {
  const ttlMs = 600_000;
  const view = listenerView(0, 'udp', {});
  const listener = { ...view, plan: { ...view.plan, affinity: { ...view.plan.affinity, ttlMs } } };

  /** Plays for `durationMs`; the client sends `datagrams` at the start of each period. */
  function exporter(client: number, periodMs: number, durationMs: number, datagrams = 1) {
    const stage = directorOf(listener);
    stage.pins.reportChanges(true);
    const trusted: Flow[] = [];
    stage.director.engine = { trust: (flow) => trusted.push(flow) } as Partial<Engine> as Engine;
    const flow = openFlow(stage.director, listener, client);
    stage.director.route(flow);
    stage.director.dialed(flow);
    const startMs = clockMs;
    for (let nextMs = startMs; clockMs < startMs + durationMs; clockMs += 50) {
      if (clockMs >= nextMs) {
        flow.datagramsIn += datagrams;
        nextMs += periodMs;
      }
      stage.director.tick();
    }
    const told: number[] = [];
    stage.pins.drainChanges(10, (change) => void told.push(change.backendId));
    const pinnedMs = (): number => {
      const from = clockMs;
      let leftMs = 0;
      while (leftMs < 2 * ttlMs && stage.pins.lookup(1, flow.key, from + leftMs) === backendId)
        leftMs += 1_000;
      return leftMs;
    };
    return { trusted, told, pinnedMs, flow };
  }

  test('an exporter is pinned, told to the pair and trusted once it has sent for a while', () => {
    for (const periodMs of [500, 10_000]) {
      const { trusted, told, pinnedMs, flow } = exporter(1, periodMs, oneWayMsMin + 2 * 10_000);
      expect(trusted).toEqual([flow]);
      expect(told).toEqual([backendId]);
      expect(pinnedMs()).toBeGreaterThan(ttlMs * 0.9);
    }
  });

  test('one that sends seldom keeps its pin until it is trusted', () => {
    const { trusted, pinnedMs } = exporter(1, 45_000, 100_000);
    expect(trusted.length).toBe(1);
    expect(pinnedMs()).toBeGreaterThan(ttlMs * 0.9);
  });

  test('one datagram, or many at once, prove nothing', () => {
    for (const datagrams of [1, 1_000]) {
      const { trusted, told, pinnedMs } = exporter(1, 1_000_000, oneWayMsMin * 2, datagrams);
      expect([trusted, told]).toEqual([[], []]);
      expect(pinnedMs()).toBeLessThan(unconfirmedPinTtlMs);
    }
  });

  test('one that sends again too soon is not trusted', () => {
    const { trusted, told } = exporter(1, oneWayMsMin / 4, oneWayMsMin * 0.9);
    expect([trusted, told]).toEqual([[], []]);
  });
});

test('a client elsewhere whose address looks like that of our own dial takes no backend away', () => {
  const listener = listenerView(0, 'tcp', {});
  const { director, snapshot } = directorOf(listener);
  const [pool] = snapshot.pools;
  const backends = [{ ...pool!.backends[0]!, loop: 'may-lead-back' as const }];
  director.useSnapshot({
    ...snapshot,
    pools: [{ ...pool!, version: 2, backends }],
    machineIps: ['10.0.0.1'],
  });
  const flow = openFlow(director, listener, 0x7f000001);
  expect(director.route(flow)).toMatchObject({ id: backendId });
  director.dialsFrom(flow, Address.v4(0x0a000001, 5_555));
  // The same sixteen bits are kept of both.
  expect(director.open(listener, Address.v4(0x0a010000, 5_555), noAddress)).not.toBe('loop');
  expect(director.open(listener, Address.v4(0x0a000001, 5_555), noAddress)).toBe('loop');
});

test('connections have an age, a tenth more or less; conversations have none', () => {
  const listener = listenerView(0, 'tcp', {});
  const { director, ended, snapshot } = directorOf(listener);
  const connect = (view: ListenerView): Flow => {
    const flow = openFlow(director, view, 0x0a000001);
    director.route(flow);
    director.dialed(flow);
    return flow;
  };
  const beganAtMs = clockMs;
  const flows = Array.from({ length: 100 }, () => connect(listener));
  const conversation = connect(listenerView(1, 'udp', {}));
  let version = 2;
  const use = (changes: { maxConnectionAgeMs: number; closeOverMs: number }): void => {
    version++;
    const pools = snapshot.pools.map((pool) => ({ ...pool, version, plan: { ...pool.plan, ...changes } }));
    director.useSnapshot({ ...snapshot, pools });
  };
  use({ maxConnectionAgeMs: 3_600_000, closeOverMs: 0 });
  const endedAfter = (ms: number): number => {
    // A round of visits takes ten seconds, and one that takes another's place in the list waits for the next round.
    for (let visits = 0; visits < 40; visits++) {
      clockMs = beganAtMs + ms + visits * 1_001;
      while (director.tick());
    }
    while (director.tick());
    return ended.size;
  };
  expect(endedAfter(3_200_000)).toBe(0);
  const half = endedAfter(3_600_000);
  expect(half).toBeGreaterThan(40);
  expect(half).toBeLessThan(70);
  expect(endedAfter(3_970_000)).toBe(100);
  expect(flows.every((flow) => ended.get(flow) === 'max-age')).toBe(true);
  expect(ended.has(conversation)).toBe(false);
  // A reload may find many that are too old: these end over the time that the pool gives.
  const more = Array.from({ length: 100 }, () => connect(listener));
  clockMs += 7_200_000;
  use({ maxConnectionAgeMs: 60_000, closeOverMs: 60_000 });
  const seen = new Set<number>();
  for (let ticks = 0; ticks < 3_000 && ended.size < 200; ticks++) {
    clockMs += 50;
    while (director.tick());
    seen.add(ended.size);
  }
  expect(more.every((flow) => ended.get(flow) === 'max-age')).toBe(true);
  expect(seen.size, 'hardly two in one tick').toBeGreaterThan(60);
});

describe('a backend at another address', () => {
  const moved = { kind: 'inet', ip: '127.0.0.1', port: 2 } as const;

  /** One TCP flow that is open, one that still dials, one UDP conversation; then the backend moves. */
  function move(): Stage & { readonly open: Flow; readonly dialing: Flow; readonly conversation: Flow } {
    const listener = listenerView(0, 'tcp', {});
    const stage = directorOf(listener);
    const { director, snapshot } = stage;
    const begin = (view: ListenerView): Flow => {
      const flow = openFlow(director, view, 0x0a000001);
      director.route(flow);
      return flow;
    };
    const open = begin(listener);
    director.dialed(open);
    const dialing = begin(listener);
    const conversation = begin(listenerView(0, 'udp', {}));
    director.dialed(conversation);
    const pools = snapshot.pools.map((pool) => ({
      ...pool,
      version: 2,
      backends: pool.backends.map((backend) => ({ ...backend, target: moved })),
    }));
    director.useSnapshot({ ...snapshot, pools });
    return { ...stage, open, dialing, conversation };
  }

  test('a flow whose dial to the former one fails is counted as opened once', () => {
    const { director, dialing, counters } = move();
    expect(counters.listener(0, 'opened')).toBe(3);
    director.dialFailed(dialing, 'backend-refused');
    expect(director.route(dialing)).toMatchObject({ target: moved });
    expect(counters.listener(0, 'opened')).toBe(3);
  });

  test('an order for its former way spares UDP only where it says so, and who is on the new way', () => {
    const { director, ended, abandoned, open, dialing, conversation, snapshot } = move();
    const newcomer = openFlow(director, snapshot.listeners[0]!, 0x0a000002);
    director.route(newcomer);
    director.dialed(newcomer);
    const { target } = snapshot.pools[0]!.backends[0]!;
    const way = { target, upstream: undefined };
    const select = { by: 'backend', backendId, protocol: 'tcp', way } as const;
    director.endFlows(select, 'address-changed');
    while (director.tick());
    expect([...ended]).toEqual([[open, 'address-changed']]);
    expect(abandoned).toEqual([dialing]);
    // The dial that was given up goes on at the new address.
    expect(director.route(dialing)).toMatchObject({ id: backendId, target: moved });
    director.endFlows(
      { ...select, protocol: undefined, way: { target: moved, upstream: undefined } },
      'backend-down',
    );
    while (director.tick());
    expect(ended.get(newcomer)).toBe('backend-down');
    expect(ended.get(conversation)).toBe('backend-down');
    expect(ended.has(dialing)).toBe(false);
  });

  test('flows on a former way are counted, however they were opened', () => {
    const { director, posted } = move();
    director.countFormer(7);
    expect(posted.at(-1)).toEqual({
      type: 'former-counted',
      requestId: 7,
      counts: [
        {
          backendId,
          way: { target: { kind: 'inet', ip: '127.0.0.1', port: 1 }, upstream: undefined },
          flows: 2,
        },
      ],
    });
  });
});

describe('in a full table a client keeps its pin', () => {
  const pinsMax = 1024;

  /** As many clients as the table has pins for, twice, each served and gone. */
  function comeAndGo(pins: PinTable): void {
    for (let client = 0; client < pinsMax * 3; client++) {
      const key = new Key('client-ip', Address.v4(0x0b000000 + client, 0));
      pins.claim(1, key, backendId, 60_000, clockMs, 'policy');
      pins.confirm(1, key, backendId, 60_000, clockMs);
    }
  }
  const connect = (director: Director, listener: ListenerView, client: number): Flow => {
    const flow = openFlow(director, listener, client);
    director.route(flow);
    director.dialed(flow);
    return flow;
  };
  /** All open flows are visited at least once. */
  function visitAll(director: Director): void {
    for (const endMs = clockMs + 11_000; clockMs < endMs; clockMs += 100) director.tick();
  }

  test('from the moment its TCP connection is made, to its last one', () => {
    const listener = listenerView(0, 'tcp', {});
    const { director, pins } = directorOf(listener);
    const [first, second, other] = [1, 1, 2].map((client) => connect(director, listener, client));
    director.closed(other!, 'client-closed');
    director.closed(first!, 'client-closed');
    comeAndGo(pins);
    expect(pins.lookup(1, second!.key, clockMs)).toBe(backendId);
    expect(pins.lookup(1, other!.key, clockMs)).toBe(0);
    director.closed(second!, 'client-closed');
    comeAndGo(pins);
    expect(pins.lookup(1, second!.key, clockMs)).toBe(0);
  });

  test('once its UDP conversation is more than a question and an answer', () => {
    const listener = listenerView(0, 'udp', {});
    const { director, pins } = directorOf(listener);
    const [talking, asking] = [1, 2].map((client) => connect(director, listener, client));
    for (const flow of [talking!, asking!]) {
      flow.datagramsIn++;
      director.replied(flow);
    }
    talking!.datagramsIn++;
    // Pushed out before anybody has looked: it is pinned again to where it is.
    comeAndGo(pins);
    expect(pins.lookup(1, talking!.key, clockMs)).toBe(0);
    visitAll(director);
    comeAndGo(pins);
    expect(pins.lookup(1, talking!.key, clockMs)).toBe(backendId);
    expect(pins.lookup(1, asking!.key, clockMs)).toBe(0);
  });

  test('though the process did not run for longer than its ttl', () => {
    const listener = listenerView(0, 'tcp', {});
    const { director, pins } = directorOf(listener);
    const flow = connect(director, listener, 1);
    clockMs += listener.plan.affinity.ttlMs * 3;
    pins.expire(clockMs, 10_000);
    expect(pins.lookup(1, flow.key, clockMs)).toBe(backendId);
    visitAll(director);
    director.closed(flow, 'client-closed');
    expect(pins.lookup(1, flow.key, clockMs + listener.plan.affinity.ttlMs - 12_000)).toBe(backendId);
  });

  test('unless it is where it is by a fault of our own, or for want of anything better', () => {
    const listener = listenerView(0, 'tcp', {});
    const { director, pins, useBackends } = directorOf(listener);
    useBackends(['a', 'b'], { tries: 3 });
    const flow = openFlow(director, listener, 1);
    director.route(flow);
    director.dialFailed(flow, 'local-fault');
    director.route(flow);
    pins.remove(1, flow.key, 0, clockMs);
    director.dialed(flow);
    const desperate = openFlow(director, listener, 2);
    director.route(desperate);
    pins.remove(1, desperate.key, 0, clockMs);
    desperate.reason = 'fail-open';
    director.dialed(desperate);
    visitAll(director);
    expect([pins.lookup(1, flow.key, clockMs), pins.lookup(1, desperate.key, clockMs)]).toEqual([0, 0]);
  });

  test('and has none again once an operator took it away', () => {
    const listener = listenerView(0, 'tcp', {});
    const { director, pins } = directorOf(listener);
    const flow = connect(director, listener, 1);
    visitAll(director);
    pins.remove(1, flow.key, 0, clockMs);
    visitAll(director);
    expect(pins.lookup(1, flow.key, clockMs)).toBe(0);
  });

  test('and one that found none to spare has its pin as soon as there is one', () => {
    const listener = listenerView(0, 'tcp', {});
    const { director, pins } = directorOf(listener);
    const flows = Array.from({ length: pinsMax }, (_, client) => connect(director, listener, client));
    const late = connect(director, listener, pinsMax);
    expect(pins.lookup(1, late.key, clockMs)).toBe(0);
    for (const flow of flows) director.closed(flow, 'client-closed');
    visitAll(director);
    expect(pins.lookup(1, late.key, clockMs)).toBe(backendId);
  });
});

describe('a backend that breaks before its first byte', () => {
  const passive = { ...poolPlan({}).passive, failures: 2, ejectMs: 60_000 };

  interface Play extends Stage {
    /** A flow that is connected, and whose client has said so many bytes. */
    connect(bytesIn?: number): Flow;
    again(flow: Flow, bytesIn?: number): void;
    suspects(): number[];
  }

  function play(plan: Partial<PoolView['plan']> = {}, names = ['a', 'b', 'c']): Play {
    const listener = listenerView(0, 'tcp', {});
    const stage = directorOf(listener);
    const { director, posted } = stage;
    stage.useBackends(names, { plan: { tries: 3, passive, ...plan } });
    let clients = 0;
    const again = (flow: Flow, bytesIn = 0): void => {
      expect(director.route(flow)).toBeTypeOf('object');
      director.dialed(flow);
      flow.bytesIn = bytesIn;
    };
    const connect = (bytesIn = 0): Flow => {
      const flow = openFlow(director, listener, 0x0a000001 + clients++);
      again(flow, bytesIn);
      return flow;
    };
    const suspects = (): number[] =>
      posted.flatMap((message) => (message.type === 'backend-suspect' ? [message.backendId] : []));
    return { ...stage, connect, again, suspects };
  }

  test('is given back, and its client has another one, pinned there', () => {
    const { director, connect, again, counters, pins } = play();
    const flow = connect(5);
    const first = flow.backend!.id;
    expect(flow.keepsSaid).toBe(true);
    expect(director.brokeEarly(flow, 'reset', true)).toBe(true);
    expect([counters.places.backend(first), flow.backend, flow.bytesIn, flow.connectedAtMs]).toEqual([
      0,
      undefined,
      0,
      0,
    ]);
    again(flow, 5);
    const second = flow.backend!.id;
    expect(second).not.toBe(first);
    expect([counters.places.backend(first), counters.places.backend(second)]).toEqual([0, 1]);
    expect([flow.reason, pins.lookup(1, flow.key, clockMs)]).toEqual(['retry', second]);
    director.closed(flow, 'client-closed');
    const counts = [first, second].map((id) => [
      counters.backend(id, 'bytesIn'),
      counters.backend(id, 'earlyBreaks'),
      counters.places.backend(id),
    ]);
    expect(counts).toEqual([
      [5, 1, 0],
      [5, 0, 0],
    ]);
  });

  test('has been sent what the client said, which has come from it once', () => {
    const { director, connect, again, counters } = play();
    const flow = connect(5);
    director.brokeEarly(flow, 'reset', true);
    again(flow, 3);
    director.brokeEarly(flow, 'reset', true);
    again(flow, 2);
    director.tick();
    flow.bytesIn = 9;
    director.closed(flow, 'client-closed');
    expect(counters.listener(flow.listener.id, 'bytesIn')).toBe(9);
    expect([1, 2, 3].map((id) => counters.backend(id, 'bytesIn')).sort()).toEqual([3, 5, 9]);
  });

  test('no open flow is counted in a pin twice: when it is gone its pin is one that can be evicted', () => {
    const { director, connect, again, pins } = play();
    const flow = connect();
    director.brokeEarly(flow, 'reset', true);
    again(flow);
    director.closed(flow, 'client-closed');
    for (let client = 0; client < 4 * 1024; client++) {
      const key = new Key('client-ip', Address.v4(0x0b000000 + client, 0));
      pins.claim(1, key, backendId, 60_000, clockMs, 'policy');
      pins.confirm(1, key, backendId, 60_000, clockMs);
    }
    expect(pins.lookup(1, flow.key, clockMs)).toBe(0);
  });

  test.each([
    ['dial', 0, 'reset', false],
    ['unsaid', 0, 'reset', true],
    ['unsaid', 1, 'reset', false],
    ['reset', 0, 'reset', true],
    ['reset', 1, 'reset', true],
    ['reset', 0, 'end', false],
    ['empty', 0, 'end', true],
    ['empty', 1, 'end', true],
    ['empty', 1, 'reset', true],
  ] as const)('retry_on %s, %d bytes said, %s: another one %s', (retryOn, bytesIn, how, isLeft) => {
    const { director, connect } = play({ retryOn });
    expect(director.brokeEarly(connect(bytesIn), how, true)).toBe(isLeft);
  });

  test('is the last one of its flow when there are no tries left, nobody else, not all is held, or it is late', () => {
    const { director, connect, again } = play({ tries: 2 });
    const flow = connect();
    expect(director.brokeEarly(flow, 'reset', true)).toBe(true);
    again(flow);
    expect(flow.keepsSaid).toBe(false);
    expect(director.brokeEarly(flow, 'reset', true)).toBe(false);
    director.closed(flow, 'backend-reset');
    expect(director.brokeEarly(connect(), 'reset', false)).toBe(false);
    const once = play({ tries: 1 });
    expect(once.director.brokeEarly(once.connect(), 'reset', true)).toBe(false);
    const alone = play({}, ['a']);
    const only = alone.connect();
    expect(only.keepsSaid).toBe(false);
    expect(alone.director.brokeEarly(only, 'reset', true)).toBe(false);
    const late = connect();
    clockMs += late.listener.plan.timeouts.connectMs;
    expect(director.brokeEarly(late, 'reset', true)).toBe(false);
  });

  test('is suspected after so many in a row, and that it accepts is no success', () => {
    const { director, connect, suspects } = play();
    const breakOne = (): void => {
      const flow = connect();
      while (flow.backend!.id !== 1) {
        // The others answer.
        director.replied(flow);
        director.closed(flow, 'client-closed');
        return breakOne();
      }
      director.brokeEarly(flow, 'reset', true);
    };
    breakOne();
    expect(suspects()).toEqual([]);
    breakOne();
    expect(suspects()).toEqual([1]);
  });

  test('is the same whether it was noticed in the dial or after it', () => {
    const { director, connect, counters, posted, snapshot } = play({}, ['a']);
    director.brokeEarly(connect(), 'reset', true);
    const flow = openFlow(director, snapshot.listeners[0]!, 0x0a000001);
    director.route(flow);
    director.dialFailed(flow, 'backend-reset');
    expect([counters.backend(1, 'earlyBreaks'), counters.backend(1, 'dialFailures')]).toEqual([2, 0]);
    expect(posted).toContainEqual(expect.objectContaining({ type: 'backend-suspect', cause: 'broke' }));
  });

  test('a success is an answer, an end in order after words, or having lasted', () => {
    const succeed: ((stage: Play, flow: Flow) => void)[] = [
      ({ director }, flow) => director.replied(flow),
      ({ director }, flow) => director.closed(flow, 'client-closed'),
      ({ director }, flow) => {
        for (const endMs = clockMs + flow.listener.plan.timeouts.connectMs + 11_000; clockMs < endMs; ) {
          clockMs += 100;
          director.tick();
        }
      },
    ];
    for (const [index, success] of succeed.entries()) {
      const stage = play({}, ['a']);
      const breakOne = (): void => void stage.director.brokeEarly(stage.connect(), 'reset', true);
      breakOne();
      success(stage, stage.connect(1));
      breakOne();
      expect(stage.suspects(), `success ${index}`).toEqual([]);
      breakOne();
      expect(stage.suspects(), `success ${index}`).toEqual([1]);
    }
  });

  test('in order, on a client that says nothing, is to blame once another one has spoken to such a client', () => {
    const { director, connect, again, suspects } = play({ retryOn: 'empty' });
    for (let i = 0; i < 10; i++) {
      const idle = connect();
      while (director.brokeEarly(idle, 'end', true)) again(idle);
      director.closed(idle, 'backend-closed');
    }
    expect(suspects(), 'clients that idle take no server away').toEqual([]);
    for (let blamed = 0; blamed < 2; ) {
      const flow = connect();
      if (flow.backend!.id !== 1) continue;
      blamed++;
      director.brokeEarly(flow, 'end', true);
      again(flow);
      director.replied(flow);
    }
    expect(suspects()).toEqual([1]);
  });

  test('on words of a client is to blame once another one has answered them, and nobody if all break on them', () => {
    const { director, connect, again, suspects } = play();
    for (let i = 0; i < 10; i++) {
      const flow = connect(3);
      while (director.brokeEarly(flow, 'reset', true)) again(flow, 3);
      director.closed(flow, 'backend-reset');
    }
    expect(suspects()).toEqual([]);
    const blamed: number[] = [];
    for (let i = 0; i < 6; i++) {
      const flow = connect(3);
      const bad = flow.backend!.id;
      director.brokeEarly(flow, 'reset', true);
      again(flow, 3);
      if (bad === 1) blamed.push(bad);
      if (bad === 1 && flow.backend!.id !== 1) director.replied(flow);
    }
    expect(blamed).toEqual([1, 1]);
    expect(suspects()).toEqual([1]);
  });
});

describe('who may come in', () => {
  const viewOf = (denied: string, version: string, listener: ListenerView): ListenerView => {
    const builder = new RangesBuilder();
    builder.add(parseCidr(denied)!, 1);
    const deny = [{ file: undefined, shared: builder.build() }];
    return { ...listener, access: { version, allow: undefined, deny } };
  };

  test('whoever is denied takes no place, and is counted', () => {
    const plain = listenerView(0, 'tcp', {});
    const listener = viewOf('10.0.0.1', '1', plain);
    const { director, counters, snapshot, posted } = directorOf(listener);
    expect(director.open(listener, Address.v4(0x0a000001, 7), noAddress)).toBe('denied');
    expect(counters.flows()).toBe(0);
    expect(counters.ends(0, 'denied')).toBe(1);
    expect(counters.listener(0, 'refused')).toBe(1);
    expect(posted).toMatchObject([{ type: 'refused', code: 'denied', count: 1 }]);
    openFlow(director, listener, 0x0a000002);
    // Without lists nobody is denied any more.
    director.useSnapshot({ ...snapshot, listeners: [plain] });
    openFlow(director, plain, 0x0a000001);
  });

  test.each(['tcp', 'udp'] as const)(
    '%s: another list ends the flows it denies, and no others',
    (protocol) => {
      const listener = viewOf('10.0.0.1', '1', listenerView(0, protocol, {}));
      const { director, ended, snapshot } = directorOf(listener);
      const flows = [0x0a000002, 0x0a000003].map((client) => openFlow(director, listener, client));
      for (const flow of flows) {
        director.route(flow);
        director.dialed(flow);
      }
      director.useSnapshot({ ...snapshot, listeners: [viewOf('10.0.0.1', '1', listener)] });
      expect(director.tick()).toBe(false);
      expect(ended.size).toBe(0);
      director.useSnapshot({ ...snapshot, listeners: [viewOf('10.0.0.2/32', '2', listener)] });
      while (director.tick());
      expect([...ended]).toEqual([[flows[0], 'denied']]);
    },
  );

  test('a UDP client that has moved to an address which is denied now is ended', () => {
    const listener = listenerView(0, 'udp', { rebinds: true });
    const { director, ended, snapshot } = directorOf(listener);
    const flow = openFlow(director, listener, 0x0a000001);
    director.route(flow);
    director.dialed(flow);
    director.moved(flow, Address.v4(0x0a000002, 7));
    director.useSnapshot({ ...snapshot, listeners: [viewOf('10.0.0.2', '1', listener)] });
    while (director.tick());
    expect(ended.get(flow)).toBe('denied');
  });

  test('TCP flows end over the time of their pool, and one that is let in again meanwhile stays', () => {
    const plain = listenerView(0, 'tcp', {});
    const { director, ended, snapshot } = directorOf(plain);
    const pools = snapshot.pools.map((pool) => ({
      ...pool,
      version: 2,
      plan: { ...pool.plan, closeOverMs: 10_000 },
    }));
    director.useSnapshot({ ...snapshot, pools });
    const flows = Array.from({ length: 100 }, (_, i) => openFlow(director, plain, 0x0a000000 + i));
    for (const flow of flows) {
      director.route(flow);
      director.dialed(flow);
    }
    director.useSnapshot({ ...snapshot, pools, listeners: [viewOf('10.0.0.0/24', '1', plain)] });
    const runFor = (ms: number): void => {
      for (let ran = 0; ran < ms; ran += 100) {
        clockMs += 100;
        while (director.tick());
      }
    };
    runFor(5_000);
    expect(ended.size).toBeGreaterThan(30);
    expect(ended.size).toBeLessThan(70);
    director.useSnapshot({ ...snapshot, pools, listeners: [viewOf('192.0.2.1', '2', plain)] });
    const endedSoFar = ended.size;
    runFor(10_000);
    expect(ended.size).toBe(endedSoFar);
  });
});

test('the pin of a flow is where the pins of its pool are, and holds what names its backend there', () => {
  const view = withAffinity(listenerView(0, 'tcp', {}), { group: 'g' });
  const { director, pins, snapshot } = directorOf(view);
  const pools = snapshot.pools.map((pool) => ({
    ...pool,
    version: 2,
    backends: pool.backends.map((backend) => ({ ...backend, pinId: 77 })),
    scope: { id: 9, name: '@g', elsewhere: [] },
  }));
  director.useSnapshot({ ...snapshot, pools });
  const flow = openFlow(director, view, 1);
  expect(director.route(flow)).toMatchObject({ id: backendId });
  expect([...pins.entries(0)]).toMatchObject([{ poolId: 9, backendId: 77, isConfirmed: false }]);
  director.dialed(flow);
  expect([...pins.entries(0)]).toMatchObject([{ poolId: 9, backendId: 77, isConfirmed: true }]);
  director.closed(flow, 'client-closed');
  expect(pins.lookup(9, flow.key, 0)).toBe(77);
});

test('a conversation whose pool joins a group while it moves has its pin there, and leaves none behind', () => {
  const view = withAffinity(listenerView(0, 'udp', {}), { group: 'g' });
  const { director, pins, snapshot } = directorOf(view);
  const flow = openFlow(director, view, 1);
  director.route(flow);
  director.dialed(flow);
  director.replied(flow);
  flow.datagramsIn = 2;
  const visit = (): void => {
    for (const endMs = clockMs + 11_000; clockMs < endMs; clockMs += 100) director.tick();
  };
  visit();
  expect(flow.holdsPin).toBe(true);
  const pools = snapshot.pools.map((pool) => ({
    ...pool,
    version: 2,
    backends: pool.backends.map((backend) => ({ ...backend, pinId: 77 })),
    scope: { id: 9, name: '@g', elsewhere: [] },
  }));
  director.useSnapshot({ ...snapshot, pools });
  expect(director.backendNow(flow)).toMatchObject({ pinId: 77 });
  visit();
  expect(pins.lookup(9, flow.key, clockMs)).toBe(77);
  expect(pins.lookup(flow.poolId, flow.key, clockMs)).not.toBe(77);
});

test('a flow forgets what its proxy said of it and no backend is told', () => {
  const view = listenerView(0, 'tcp', {});
  const { director } = directorOf(view);
  const client = Address.v4(1, 1);
  const header = {
    version: 2,
    isLocal: false,
    transport: 'stream',
    addresses: undefined,
    sourcePath: undefined,
    tlvs: [{ type: 0xea, value: new Uint8Array(3_000) }],
    length: 3_031,
  } as const;
  const flow = director.open(view, client, noAddress, { peer: client, peerLocal: noAddress, header }) as Flow;
  director.route(flow);
  expect(flow.identity?.header?.tlvs).toEqual([]);
});

test('a UDP client is recognised by a piece of its first datagram, and by its address where there is none', () => {
  const key = { payload: { offset: 1, length: 3 } };
  const view = { ...withAffinity(listenerView(0, 'udp', {}), { key }), identifies: true };
  const { director } = directorOf(view);
  let proxied: ListenerView = view;
  const keyOfFirst = (first: string | Buffer): string => {
    const flow = director.open(proxied, Address.v4(1, 5), noAddress, undefined, Buffer.from(first as string));
    if (typeof flow === 'string') throw new Error(flow);
    director.closed(flow, 'client-closed');
    return `${flow.key.kind} ${flow.key.text}`;
  };
  expect(keyOfFirst('.abcdef')).toBe('payload abc');
  expect(keyOfFirst('.ab')).toBe('client-ip 0.0.0.1');
  // Behind the header of a proxy it is the client's own words that count.
  const at = Address.v4(0x0a000001, 7);
  const header = writeProxyHeader({ transport: 'datagram', source: at, destination: at });
  const proxyProtocol = { from: ['0.0.0.0/0'], timeoutMs: 1_000, udp: 'first' } as const;
  proxied = { ...view, plan: { ...view.plan, proxyProtocol } };
  expect(keyOfFirst(Buffer.concat([header, Buffer.from('.abcdef')]))).toBe('payload abc');
  expect(keyOfFirst(Buffer.concat([header, Buffer.from('.ab')]))).toBe('client-ip 10.0.0.1');
});

function withAffinity(view: ListenerView, change: Partial<ListenerView['plan']['affinity']>): ListenerView {
  return { ...view, plan: { ...view.plan, affinity: { ...view.plan.affinity, ...change } } };
}

describe('QUIC clients whose hello has not come whole', () => {
  const view = listenerView(0, 'udp', {});
  const pool = poolPlan({}).name;
  const routes = [{ protocol: 'quic', names: ['example.com'], pool }] as const;
  const affinity = { ...view.plan.affinity, key: 'server-name' } as const;
  const listener = { ...view, plan: { ...view.plan, pool, routes, affinity } };
  const handshake = exampleFrame.subarray(4);
  const first = seal({ payload: cryptoFrame(0, handshake.subarray(0, 100)) });
  const second = seal({ payload: cryptoFrame(100, handshake.subarray(100)) });

  test('go on when they have said it, or when others take their place: with one key and one pin', () => {
    const { director, pins } = directorOf(listener);
    const proceeded: Flow[] = [];
    director.engine = { ...director.engine, proceed: (flow) => void proceeded.push(flow) };
    const flows = Array.from({ length: heardFlowsMax + 1 }, (_, i) => {
      const flow = director.open(listener, Address.v4(i, 1), noAddress, undefined, first);
      if (typeof flow === 'string') throw new Error(flow);
      if (i < heardFlowsMax) expect(director.route(flow)).toBe('wait');
      return flow;
    });
    const [oldest, newest] = [flows[0]!, flows.at(-1)!];
    expect(proceeded, 'not from within the opening of another').toEqual([]);
    director.tick();
    expect(proceeded).toEqual([oldest]);
    expect(director.route(oldest)).toMatchObject({ id: backendId });
    expect(director.route(newest)).toBe('wait');
    director.heard(newest, second);
    expect(proceeded).toEqual([oldest, newest]);
    const placeOf = (flow: Flow): number => pins.lookup(flow.pinScope, flow.key, clockMs);
    for (const flow of [oldest, newest]) {
      if (flow === newest) director.route(flow);
      director.dialed(flow);
      flow.datagramsIn = 3;
      director.replied(flow);
      expect(placeOf(flow)).toBe(backendId);
    }
    expect([oldest.key.kind, newest.key.kind]).toEqual(['client-ip', 'server-name']);
    expect([oldest.routeNumber, newest.routeNumber]).toEqual([0, 1]);
    expect(pins.lookup(newest.pinScope, new Key('client-ip', newest.client.withPort(0)), clockMs)).toBe(0);
  });
});
