/** Each limit of a listener, as a worker keeps it: over two workers that share the memory, by a clock that is turned by hand. */
import { describe, expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { Counters } from '../core/counters.ts';
import type { Flow } from '../core/flow.ts';
import type { BandwidthPlan, ListenerPlan, Protocol } from '../core/plan.ts';
import { shareFlows } from '../core/shares.ts';
import type { ListenerView, Snapshot } from '../core/snapshot.ts';
import { listenerView } from '../engine/conformance/listener.ts';
import type { Engine } from '../engine/engine.ts';
import { FlowLimits } from './flow-limits.ts';

const perSubnet = { prefixV4: 24, prefixV6: 56, flows: 0, newFlowsPerSecond: 0, datagramsPerSecond: 0 };
/** Nobody is in the way of anybody here. */
const engine = {} as Engine;
const kib = 1024;

class Workers {
  nowMs = 1_000;
  readonly counters = Counters.create(2);
  readonly #view: ListenerView;
  readonly #workers: readonly FlowLimits[];
  #turn = 0;

  constructor(protocol: Protocol, limits: Partial<ListenerPlan['limits']>, bandwidth?: BandwidthPlan) {
    const view = listenerView(0, protocol, {});
    const plan = {
      ...view.plan,
      limits: { ...view.plan.limits, ...limits },
      ...(bandwidth && { bandwidth }),
    };
    this.#view = { ...view, plan };
    const snapshot = {
      listeners: [this.#view],
      flowsMax: 1_000,
      shares: shareFlows([plan], 1_000, 1),
    } as unknown as Snapshot;
    this.#workers = [0, 1].map(
      (worker) => new FlowLimits(new Counters(this.counters.shared, worker), () => this.nowMs),
    );
    for (const worker of this.#workers) worker.useSnapshot(snapshot);
  }

  /** A flow of this client, by the worker whose turn it is; or why there is none. */
  open(ip: string): string | (Flow & { end(): void }) {
    const worker = this.#workers[this.#turn++ % 2]!;
    const refusal = worker.admit(this.#view, Address.parse(ip, 7)!, this.nowMs, engine);
    if (refusal !== undefined) return refusal;
    const flow = { listener: this.#view } as Flow;
    worker.opened(flow);
    return Object.assign(flow, { end: () => worker.closed(flow) });
  }

  flow(ip: string): Flow & { end(): void } {
    const flow = this.open(ip);
    if (typeof flow === 'string') throw new Error(flow);
    return flow;
  }

  /** What comes of so many flows: how many are open then, and why others are not. */
  crowd(ip: string, count: number): Record<string, number> {
    const outcomes: Record<string, number> = {};
    for (let i = 0; i < count; i++) {
      const flow = this.open(ip);
      const outcome = typeof flow === 'string' ? flow : 'open';
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
    return outcomes;
  }
}

/** How many of so many datagrams pass. */
function passed(flow: Flow, isUp: boolean, count: number, bytes = 100): number {
  let passes = 0;
  for (let i = 0; i < count; i++) if (flow.mayPass!(isUp, bytes)) passes++;
  return passes;
}

describe.each(['tcp', 'udp'] as const)('%s', (protocol) => {
  test('flows of a client', () => {
    const workers = new Workers(protocol, { flowsPerClient: 3 });
    expect(workers.crowd('192.0.2.1', 4)).toEqual({ open: 3, 'limit-client': 1 });
    expect(workers.crowd('192.0.2.2', 4), 'of another').toEqual({ open: 3, 'limit-client': 1 });
    expect(workers.crowd('2001:db8::1', 4)).toEqual({ open: 3, 'limit-client': 1 });
  });

  test('a flow that ends makes room', () => {
    const workers = new Workers(protocol, { flowsPerClient: 1, perSubnet: { ...perSubnet, flows: 1 } });
    const first = workers.flow('192.0.2.1');
    expect([workers.open('192.0.2.1'), workers.open('192.0.2.2')]).toEqual(['limit-client', 'limit-subnet']);
    first.end();
    expect(workers.crowd('192.0.2.2', 1)).toEqual({ open: 1 });
  });

  test('new flows of a client', () => {
    const workers = new Workers(protocol, { newFlowsPerClientPerSecond: 4 });
    expect(workers.crowd('192.0.2.1', 9)).toEqual({ open: 4, 'limit-rate': 5 });
    workers.nowMs += 500;
    expect(workers.crowd('192.0.2.1', 9)).toEqual({ open: 2, 'limit-rate': 7 });
    expect(workers.crowd('192.0.2.2', 9)).toEqual({ open: 4, 'limit-rate': 5 });
  });

  test('flows and new flows of a network', () => {
    const flows = new Workers(protocol, { perSubnet: { ...perSubnet, flows: 3 } });
    expect(flows.crowd('192.0.2.1', 2)).toEqual({ open: 2 });
    expect(flows.crowd('192.0.2.254', 2)).toEqual({ open: 1, 'limit-subnet': 1 });
    expect(flows.crowd('192.0.3.1', 3)).toEqual({ open: 3 });
    expect(flows.crowd('2001:db8:0:1::1', 2)).toEqual({ open: 2 });
    expect(flows.crowd('2001:db8:0:ff::1', 2), 'the same 56 bits').toEqual({ open: 1, 'limit-subnet': 1 });
    const rate = new Workers(protocol, { perSubnet: { ...perSubnet, newFlowsPerSecond: 3 } });
    expect(rate.crowd('192.0.2.1', 2)).toEqual({ open: 2 });
    expect(rate.crowd('192.0.2.254', 2)).toEqual({ open: 1, 'limit-rate': 1 });
    expect(rate.crowd('192.0.3.1', 2)).toEqual({ open: 2 });
  });

  test('new flows of the listener', () => {
    const rate = new Workers(protocol, { newFlowsPerSecond: 3 });
    expect(rate.crowd('192.0.2.1', 2)).toEqual({ open: 2 });
    expect(rate.crowd('198.51.100.1', 2)).toEqual({ open: 1, 'limit-rate': 1 });
  });
});

test('flows of the listener, of TCP: what UDP does then is in evictions.test.ts', () => {
  expect(new Workers('tcp', { flows: 3 }).crowd('192.0.2.1', 4)).toEqual({ open: 3, 'limit-listener': 1 });
});

test('datagrams of a client, over its flows, and none that come back', () => {
  const workers = new Workers('udp', { datagramsPerClientPerSecond: 10 });
  const [one, two] = [workers.flow('192.0.2.1'), workers.flow('192.0.2.1')];
  expect([passed(one, true, 6), passed(two, true, 6)]).toEqual([6, 4]);
  expect(passed(one, false, 50)).toBe(50);
  expect(passed(workers.flow('192.0.2.2'), true, 20)).toBe(10);
  workers.nowMs += 300;
  expect(passed(two, true, 20)).toBe(3);
});

test('datagrams of a network', () => {
  const workers = new Workers('udp', { perSubnet: { ...perSubnet, datagramsPerSecond: 10 } });
  const [one, two] = [workers.flow('192.0.2.1'), workers.flow('192.0.2.200')];
  expect([passed(one, true, 6), passed(two, true, 6)]).toEqual([6, 4]);
  expect(passed(one, false, 50)).toBe(50);
  expect(passed(workers.flow('192.0.3.1'), true, 20)).toBe(10);
});

test('scope: cluster: of datagrams each instance has its even share, also of flows that are open', () => {
  const workers = new Workers('udp', { datagramsPerClientPerSecond: 10, scope: 'cluster' });
  const flow = workers.flow('192.0.2.1');
  expect(passed(flow, true, 20)).toBe(10);
  const { clients } = workers.counters;
  clients.endPair(clients.beginPair(), 2, 100_000);
  workers.nowMs += 1_000;
  expect(passed(flow, true, 20)).toBe(5);
});

describe('bandwidth', () => {
  const rate = { up: 10 * kib, down: 20 * kib };

  test.each<[keyof BandwidthPlan, string, readonly number[]]>([
    ['perFlow', 'another flow has its own', [10, 20, 10, 20]],
    ['perClient', 'another flow of the client shares it', [10, 20, 0, 0]],
    ['total', 'all clients share it', [10, 20, 0, 0]],
  ])('of datagrams, %s: what is above is dropped; %s', (of, _, kibPassed) => {
    const workers = new Workers('udp', {}, { [of]: rate });
    const [one, two] = [workers.flow('192.0.2.1'), workers.flow('192.0.2.1')];
    const sums = [one, two].flatMap((flow) => [passed(flow, true, 50, kib), passed(flow, false, 50, kib)]);
    expect(sums).toEqual(kibPassed);
    const other = workers.flow('198.51.100.1');
    expect(passed(other, true, 50, kib)).toBe(of === 'total' ? 0 : 10);
    workers.nowMs += 500;
    expect(passed(one, true, 50, kib)).toBe(5);
  });

  test.each<[keyof BandwidthPlan, readonly number[]]>([
    ['perFlow', [10, 20, 10, 20, 10]],
    ['perClient', [10, 20, 0, 0, 10]],
    ['total', [10, 20, 0, 0, 0]],
  ])('of a stream, %s: it is read no faster', (of, kibRead) => {
    const workers = new Workers('tcp', {}, { [of]: rate });
    const flows = ['192.0.2.1', '192.0.2.1', '198.51.100.1'].map((ip) => workers.flow(ip));
    const read = ({ pace }: Flow, isUp: boolean): number => {
      const room = pace!.room(isUp);
      pace!.charge(isUp, room);
      return room / kib;
    };
    const [one, two, other] = flows as Flow[] as [Flow, Flow, Flow];
    expect([read(one, true), read(one, false), read(two, true), read(two, false), read(other, true)]).toEqual(
      kibRead,
    );
    expect(one.pace!.room(true)).toBe(0);
    expect(one.pace!.waitMs(true)).toBeGreaterThan(0);
    workers.nowMs += 500;
    expect(read(one, true)).toBe(5);
  });
});

test('a listener without limits counts nobody, and asks nothing of a datagram', () => {
  const workers = new Workers('udp', {});
  const flow = workers.flow('192.0.2.1');
  expect(flow.mayPass).toBeUndefined();
  expect(flow.pace).toBeUndefined();
  expect(flow.clientSlot).toBeLessThan(0);
  expect(flow.subnetSlot).toBeLessThan(0);
});
