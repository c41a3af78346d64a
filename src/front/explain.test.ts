/** What an explanation says beside the backend: slow starts, and who is spared although clients fail there. */
import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { readAskedClient } from '../core/asked-client.ts';
import { bucketSeed, kernelBucket } from '../core/kernel-bucket.ts';
import { Key } from '../core/key.ts';
import { readNamedKey } from '../core/key-kinds.ts';
import type { RefusalWay } from '../core/plan.ts';
import { equalBackends } from '../core/policy/pool.fixture.ts';
import type { ListenerView, Snapshot } from '../core/snapshot.ts';
import { listenerView, poolPlan } from '../engine/conformance/listener.ts';
import { fillBuckets } from '../kernel/buckets.ts';
import { createSharedMemory } from '../rooms/shared.ts';
import { explain } from './explain.ts';
import { KeptPolicies } from './policies.ts';

test('who starts slowly, and who is spared, and why', () => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const plan = poolPlan({});
  const backends = equalBackends(2);
  for (const { id } of backends) {
    views.states.setUp(id, true);
    views.states.setWeight(id, 1);
  }
  const listener = listenerView(0, 'tcp', {});
  const pools = [{ id: listener.poolId, version: 1, plan, backends }];
  const snapshot = { listeners: [listener], pools } as unknown as Snapshot;
  const spared = (id: number): string | undefined =>
    id === backends[1]!.id ? 'clients fail there' : undefined;
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const ask = (more = {}) =>
    explain(snapshot, { ...source, ...more }, listener.plan.name, Address.parse('10.0.0.1', 0)!, undefined);
  expect(ask()).not.toHaveProperty('spared');
  expect(ask()).not.toHaveProperty('slowStarts');
  views.states.setRamp(backends[0]!.id, 0.5);
  expect(ask({ spared })).toMatchObject({
    spared: { [backends[1]!.name]: 'clients fail there' },
    slowStarts: { [backends[0]!.name]: 0.5 },
  });
});

test('relay: kernel: the backend of the bucket that the kernel puts the client in', () => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const plan = { ...poolPlan({}), policy: 'maglev', tableSize: 1009 } as const;
  const backends = equalBackends(5);
  for (const { id } of backends) {
    views.states.setUp(id, true);
    views.states.setWeight(id, 1);
  }
  const view = listenerView(0, 'tcp', {});
  const listener = { ...view, plan: { ...view.plan, relay: 'kernel' } } as const;
  const targets = backends.map((backend, i) => ({
    ...backend,
    target: { kind: 'inet', ip: `10.0.0.${i}`, port: 1 } as const,
    maxConnections: 0,
  }));
  const pool = { id: listener.poolId, version: 1, plan, backends: targets };
  const snapshot = { listeners: [listener], pools: [pool] } as unknown as Snapshot;
  const policies = new KeptPolicies();
  const how = { key: 'client-ip', prefixV4: 24, prefixV6: 64, seed: bucketSeed, modulus: 1009 } as const;
  const table = fillBuckets(pool, policies.of(pool), views.states, 4, 1009);
  for (let i = 0; i < 50; i++) {
    const client = Address.v4(0x0a090000 + i * 77, 0);
    const answer = explain(
      snapshot,
      { views, policies, nowMs: () => 0 },
      listener.plan.name,
      client,
      undefined,
    );
    const id = table[kernelBucket(client, how)];
    expect(answer?.backend).toBe(backends.find((backend) => backend.id === id)!.name);
  }
});

test('whose address counts', () => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const view = listenerView(0, 'tcp', {});
  const pools = [{ id: view.poolId, version: 1, plan: poolPlan({}), backends: equalBackends(1) }];
  const ask = (listener: ListenerView, client: string) => {
    const snapshot = { listeners: [listener], pools } as unknown as Snapshot;
    return explain(snapshot, source, listener.plan.name, Address.parse(client, 0)!, undefined)?.whoseAddress;
  };
  const proxyProtocol = { from: ['10.0.0.0/8'], timeoutMs: 1_000, udp: 'first' } as const;
  const listener = { ...view, plan: { ...view.plan, proxyProtocol } };
  expect(ask(view, '10.0.0.1')).toBeUndefined();
  expect(ask(listener, '10.0.0.1')).toMatchObject({ isProxy: true, why: expect.stringMatching('10.0.0.1') });
  expect(ask(listener, '192.0.2.7')).toMatchObject({ isProxy: false });
  // What becomes of it without a right header.
  const udp = listenerView(0, 'udp', {});
  const why = (view: ListenerView, which: 'first' | 'every') =>
    ask({ ...view, plan: { ...view.plan, proxyProtocol: { ...proxyProtocol, udp: which } } }, '10.0.0.1')
      ?.why;
  expect(why(view, 'first')).toMatch(
    /; without a right header within 1s the connection is reset \(proxy-header\)$/,
  );
  expect(why(udp, 'first')).toMatch(/; a first datagram without a right header is dropped \(proxy-header\)$/);
  expect(why(udp, 'every')).toMatch(/; a datagram without a right header is dropped \(proxy-header\)$/);
});

test('a key that is a piece of what the client says first', () => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const view = listenerView(0, 'tcp', {});
  const affinity = { ...view.plan.affinity, key: { payload: { offset: 1, length: 3 } } };
  const listener = { ...view, plan: { ...view.plan, affinity } };
  const pools = [{ id: view.poolId, version: 1, plan: poolPlan({}), backends: equalBackends(1) }];
  const snapshot = { listeners: [listener], pools } as unknown as Snapshot;
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const keyOf = (firstBytes: string) => {
    const client = Address.parse('10.0.0.1', 0)!;
    const answer = explain(snapshot, source, listener.plan.name, client, undefined, { firstBytes })!;
    return [answer.key, answer.told];
  };
  expect(keyOf('%01tok!')).toEqual(['payload tok', undefined]);
  const told = 'no payload: recognised by its address';
  expect(keyOf('%01to')).toEqual(['client-ip 10.0.0.1', told]);
  expect(keyOf('')).toEqual(['client-ip 10.0.0.1', told]);
  expect(() => keyOf('%0')).toThrow('first bytes %0: % and two hexadecimal digits are a byte');
});

test('a connection id of QUIC is where its pin is, whatever the routes', () => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const view = listenerView(0, 'udp', {});
  const affinity = { ...view.plan.affinity, key: 'quic-id' } as const;
  const routes = [{ pool: 'shop', protocol: 'quic' }] as const;
  const listener = { ...view, plan: { ...view.plan, affinity, routes } };
  const backends = equalBackends(2);
  for (const { id } of backends) {
    views.states.setUp(id, true);
    views.states.setWeight(id, 1);
  }
  const pools = backends.map((backend, i) => ({
    id: i + 1,
    version: 1,
    plan: poolPlan({ name: ['pool', 'shop'][i]! }),
    backends: [{ ...backend, target: { kind: 'inet', ip: '10.0.0.1', port: 443 } as const }],
  }));
  const snapshot = { listeners: [listener], pools } as unknown as Snapshot;
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const ask = (client: string) =>
    explain(snapshot, source, 'listener-0', readAskedClient(client), undefined)!;
  const { kind, words } = readNamedKey('quic-id=a1a2a3a4')!;
  expect(ask('quic-id=a1a2a3a4')).toMatchObject({ pool: 'pool', route: 'none fits; pool pool', pin: null });
  views.pins.claim(2, new Key(kind, words), backends[1]!.id, 1_000, 0, 'learned');
  expect(ask('quic-id=A1A2A3A4')).toMatchObject({
    key: 'quic-id a1a2a3a4',
    pool: 'shop',
    route: 'none asked; its pin is in pool shop',
    by: 'pin',
    backend: backends[1]!.name,
  });
  expect(ask('192.0.2.7')).toMatchObject({
    key: 'client-ip 192.0.2.7',
    told: 'no quic-id: recognised by its address',
    pool: 'pool',
  });
});

test('what who may not come in gets', () => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const why = (protocol: 'tcp' | 'udp', refuse?: RefusalWay): string | undefined => {
    const view = listenerView(0, protocol, {});
    const plan = { ...view.plan, ...(refuse && { refuse }) };
    const pools = [{ id: view.poolId, version: 1, plan: poolPlan({}), backends: equalBackends(1) }];
    const listener = { ...view, plan, access: { version: '1', allow: [], deny: [] } };
    const snapshot = { listeners: [listener], pools } as unknown as Snapshot;
    return explain(snapshot, source, plan.name, Address.parse('10.0.0.1', 0)!, undefined)?.why;
  };
  expect(why('tcp')).toMatch(/^denied \(not in allow\): its connection is reset$/);
  expect(why('tcp', 'close')).toMatch(/: its connection is closed$/);
  expect(why('tcp', 'silence')).toMatch(/: its connection is not answered, and reset after half a minute$/);
  expect(why('udp')).toMatch(/: its datagrams are dropped$/);
});

test.each([
  [undefined, undefined],
  ['quic', 'goes on from another address with the connection id that its server chose'],
  [
    { payload: { offset: 1, length: 8 } },
    'goes on from another address with bytes 1 to 8 of its first datagram, counted from 0',
  ],
] as const)("when a datagram from elsewhere is this client's: rebind %j", (rebind, moves) => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const view = listenerView(0, 'udp', {});
  const listener = { ...view, plan: { ...view.plan, ...(rebind && { rebind }) } };
  const pools = [{ id: listener.poolId, version: 1, plan: poolPlan({}), backends: equalBackends(1) }];
  const snapshot = { listeners: [listener], pools } as unknown as Snapshot;
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const answer = explain(snapshot, source, listener.plan.name, Address.parse('10.0.0.1', 0)!, undefined);
  expect(answer?.moves).toBe(moves);
});

test('what limits leave a client, here and on the other instances', () => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const { clients } = views.counters;
  const view = listenerView(0, 'tcp', {});
  const pools = [{ id: view.poolId, version: 1, plan: poolPlan({}), backends: equalBackends(1) }];
  const client = Address.parse('192.0.2.7', 0)!;
  const none = { flows: 0, newFlowsPerSecond: 0 };
  const ask = (limits: object) => {
    const listener = { ...view, plan: { ...view.plan, limits: { ...view.plan.limits, ...limits } } };
    const snapshot = { listeners: [listener], pools } as unknown as Snapshot;
    const source = { views, policies: new KeptPolicies(), nowMs: () => 1_000 };
    return explain(snapshot, source, listener.plan.name, client, undefined)?.limits;
  };
  expect(ask({})).toBeUndefined();
  for (let i = 0; i < 3; i++) clients.take(view.id, 'client', client, none, true, 1);
  clients.take(view.id, 'subnet', Address.parse('192.0.2.0', 0)!, none, true, 1);
  const perSubnet = { prefixV4: 24, prefixV6: 64, flows: 1, newFlowsPerSecond: 0, datagramsPerSecond: 0 };
  expect(ask({ flowsPerClient: 5, newFlowsPerClientPerSecond: 9, perSubnet })).toEqual([
    {
      limit: 'flows_per_client',
      of: '192.0.2.7',
      most: 5,
      scope: 'instance',
      mostHere: 5,
      open: 3,
      why: '3 of 5 open here; 2 more may come',
    },
    {
      limit: 'new_flows_per_client',
      of: '192.0.2.7',
      most: 9,
      scope: 'instance',
      mostHere: 9,
      why: '9 a second',
    },
    {
      limit: 'per_subnet.flows',
      of: '192.0.2.0/24',
      most: 1,
      scope: 'instance',
      mostHere: 1,
      open: 1,
      why: '1 of 1 open here; one more is refused (limit-subnet)',
    },
  ]);
  const summed = { flowsPerClient: 7, newFlowsPerClientPerSecond: 9, scope: 'cluster' };
  const era = clients.beginPair();
  clients.setElsewhere({ listenerId: view.id, kind: 'client', address: client, flows: 2 }, era, 900);
  clients.endPair(era, 2, 2_000);
  expect(ask(summed)).toMatchObject([
    { elsewhere: 2, mostHere: 5, why: '3 of 7 open here, 2 on the other instances; 2 more may come' },
    { mostHere: 5, why: '5 a second here, of 9 on 2 instances' },
  ]);
  clients.endPair(era, 2, 999);
  expect(ask(summed)?.[0]).toMatchObject({
    elsewhere: null,
    mostHere: 4,
    why: '3 of 7 open here; this one of 2 instances has a share of 4 while the others are not heard of; 1 more may come',
  });
});

test('relay: kernel: what the kernel counts by itself is not said to be none', () => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const view = listenerView(0, 'tcp', {});
  const { plan } = view;
  const limits = { ...plan.limits, flowsPerClient: 5, newFlowsPerClientPerSecond: 9 };
  const listener = { ...view, plan: { ...plan, relay: 'kernel', limits } } as const;
  const pools = [{ id: view.poolId, version: 1, plan: poolPlan({}), backends: equalBackends(1) }];
  const snapshot = { listeners: [listener], pools } as unknown as Snapshot;
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const client = Address.parse('192.0.2.7', 0)!;
  const shared = { of: '192.0.2.7', scope: 'instance' } as const;
  expect(explain(snapshot, source, plan.name, client, undefined)?.limits).toEqual([
    {
      ...shared,
      limit: 'flows_per_client',
      most: 5,
      mostHere: 5,
      why: 'at most 5 open (limit-client); the kernel counts them',
    },
    { ...shared, limit: 'new_flows_per_client', most: 9, mostHere: 9, why: '9 a second' },
  ]);
});
