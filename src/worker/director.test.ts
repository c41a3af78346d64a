/** The director without an engine: what it decides about flows when control's orders and new flows meet. */
import { expect, test } from 'vitest';
import { Address, noAddress } from '../core/address.ts';
import type { Counters } from '../core/counters.ts';
import type { Flow } from '../core/flow.ts';
import { terminationsPerTurnMax } from '../core/limits.ts';
import type { ListenerView, Snapshot } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import { listenerView } from '../engine/conformance/listener.ts';
import type { Engine } from '../engine/engine.ts';
import { Director } from './director.ts';
import { createSharedMemory } from './shared.ts';

const backendId = 1;
let clockMs = 1;

interface Stage {
  readonly director: Director;
  readonly ended: Map<Flow, TerminationCode>;
  readonly abandoned: Flow[];
  readonly snapshot: Snapshot;
  readonly counters: Counters;
}

function directorOf(listener: ListenerView): Stage {
  const { pins, states, counters } = createSharedMemory(1, 1024);
  states.setUp(backendId, true);
  states.setWeight(backendId, 1);
  const director = new Director({ worker: 0, pins, states, counters, nowMs: () => clockMs, post: () => {} });
  const ended = new Map<Flow, TerminationCode>();
  const terminate: Engine['terminate'] = (flow, code) => {
    ended.set(flow, code);
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
        plan: {
          name: 'pool',
          policy: 'round-robin',
          bound: undefined,
          tableSize: 251,
          identity: 'name',
          health: { type: 'none', intervalMs: 1000, timeoutMs: 1000, fall: 3, rise: 2, port: undefined },
          passive: { failures: 0, ejectMs: 0 },
          onDown: { action: 'close', graceMs: 0 },
          tries: 1,
          failOpen: false,
        },
        backends: [{ id: backendId, name: 'a', target, addressText: 'a', weight: 1, maxConnections: 0 }],
      },
    ],
    flowsMax: 100_000,
    isShared: false,
    flowLogSample: 0,
  };
  director.useSnapshot(snapshot);
  return { director, ended, abandoned, snapshot, counters };
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
  const before = Array.from({ length: terminationsPerTurnMax + 10 }, connect);
  director.endFlows({ by: 'backend', backendId, protocol: undefined }, 'backend-removed');
  expect(director.tick(), 'more than one turn of work').toBe(true);
  // The backend is back in the plan before the others are ended.
  const after = connect();
  while (director.tick());
  expect(before.every((flow) => ended.get(flow) === 'backend-removed')).toBe(true);
  expect(ended.has(after)).toBe(false);
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
  const room = {
    asked: 0,
    makeRoom(): boolean {
      room.asked++;
      const oldest = open.shift();
      if (oldest !== undefined) director.closed(oldest, 'evicted');
      return oldest !== undefined;
    },
  };
  const connect = (client: number): Flow | TerminationCode => {
    const flow = director.open(listener, Address.v4(0x0a000000 + client, 0), noAddress, room);
    if (typeof flow !== 'string') open.push(flow);
    return flow;
  };
  expect([connect(1), connect(2), connect(3)].map((flow) => typeof flow)).toEqual([
    'object',
    'object',
    'object',
  ]);
  expect(room.asked).toBe(1);
  expect(counters.listener(0, 'refused')).toBe(0);
  expect(connect(3), 'it has one').toBe('limit-client');
  expect(room.asked).toBe(1);
  open.length = 0;
  expect(connect(4)).toBe('limit-listener');
  expect(counters.listener(0, 'refused')).toBe(2);
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
