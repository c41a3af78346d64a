import { expect, test } from 'vitest';
import { Address, noAddress } from '../core/address.ts';
import { Flow } from '../core/flow.ts';
import { Key } from '../core/key.ts';
import { endingMsPerTurn, paceStepMsMax } from '../core/limits.ts';
import type { Protocol } from '../core/plan.ts';
import type { TerminationCode } from '../core/termination.ts';
import { backendView, listenerView } from '../engine/conformance/listener.ts';
import { Endings } from './endings.ts';
import { FlowRegistry } from './flow-registry.ts';
import type { FlowSelector } from './messages-to-worker.ts';

const target = { kind: 'inet', ip: '127.0.0.1', port: 1 } as const;
const way = { target, upstream: undefined };
const ofBackend: FlowSelector = { by: 'backend', backendId: 1, protocol: undefined, way };

/** A worker with so many connected TCP flows, and a clock of its own. */
function worker(count: number) {
  const registry = new FlowRegistry();
  const ended: { flow: Flow; code: TerminationCode; atMs: number }[] = [];
  /** `endMs`: so long the end of a flow takes. */
  const clock = { nowMs: 0, endMs: 0 };
  // The same lots each time: Park and Miller, CACM 31 (1988).
  let seed = 42;
  const random = (): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  };
  const close = (flow: Flow): void => {
    registry.remove(flow);
    endings.forget(flow);
  };
  const end = (flow: Flow, code: TerminationCode): void => {
    ended.push({ flow, code, atMs: clock.nowMs });
    clock.nowMs += clock.endMs;
    close(flow);
  };
  const endings = new Endings({ registry, end, nowMs: () => clock.nowMs, random });
  let ids = 1;
  const open = (protocol: Protocol = 'tcp', connectedAtMs = 1): Flow => {
    const client = Address.v4(0x0a000001, ids);
    const flow = new Flow(
      ids++,
      listenerView(0, protocol, {}),
      client,
      noAddress,
      new Key('flow', client),
      0,
    );
    flow.backend = backendView(target);
    flow.connectedAtMs = connectedAtMs;
    registry.add(flow);
    return flow;
  };
  const flows = Array.from({ length: count }, () => open());
  const order = (code: TerminationCode, overMs: number): void =>
    endings.add(ofBackend, (flow) => flow.backend?.id === 1, code, overMs);
  /** As the worker's loop does: every 50 ms, and again at once while there is more. */
  const run = (ms: number): void => {
    for (const until = clock.nowMs + ms; clock.nowMs < until; ) {
      while (endings.turn(clock.nowMs));
      clock.nowMs += 50;
    }
    while (endings.turn(clock.nowMs));
  };
  return { registry, endings, ended, clock, open, close, flows, order, run };
}

function perSecond(ended: readonly { readonly atMs: number }[], seconds: number): number[] {
  const counts = new Array<number>(seconds).fill(0);
  for (const { atMs } of ended) counts[Math.min(seconds - 1, Math.floor(atMs / 1_000))]!++;
  return counts;
}

test('10,000 flows of two workers end evenly over ten seconds, in no order', () => {
  const workers = [worker(3_000), worker(7_000)];
  for (const { order, run } of workers) {
    order('backend-down', 10_000);
    run(10_000);
  }
  const ended = workers.flatMap((one) => one.ended);
  expect(ended).toHaveLength(10_000);
  const counts = perSecond(ended, 10);
  expect(Math.max(...counts)).toBeLessThan(1_500);
  expect(Math.min(...counts)).toBeGreaterThan(500);
  const ids = workers[0]!.ended.slice(0, 100).map(({ flow }) => flow.id);
  expect(Math.max(...ids) - Math.min(...ids), 'those that came together').toBeGreaterThan(1_000);
});

test('without a time they end at once, for some milliseconds a turn', () => {
  const perTurn = endingMsPerTurn / 0.5;
  const { endings, ended, order, clock } = worker(perTurn * 2 + 1);
  clock.endMs = 0.5;
  order('backend-removed', 0);
  expect([endings.turn(0), ended.length]).toEqual([true, perTurn]);
  expect([endings.turn(0), ended.length]).toEqual([true, perTurn * 2]);
  expect([endings.turn(0), ended.length]).toEqual([false, perTurn * 2 + 1]);
});

test('where one end takes longer than a turn may, each turn ends one', () => {
  const { endings, ended, order, clock } = worker(3);
  clock.endMs = endingMsPerTurn * 10;
  order('backend-removed', 0);
  order('backend-down', 1_000);
  expect([endings.turn(0), ended.length]).toEqual([true, 1]);
  expect([endings.turn(0), ended.length]).toEqual([true, 2]);
});

test('a process that stood still ends nobody for the time that it missed', () => {
  const { ended, clock, order, run } = worker(1_000);
  order('backend-down', 10_000);
  run(2_000);
  const before = ended.length;
  expect(before).toBeGreaterThan(150);
  clock.nowMs += 3_600_000;
  run(0);
  // One step of the pace at most, and what was due anyway.
  expect(ended.length - before).toBeLessThanOrEqual((1_000 * (paceStepMsMax + 50)) / 10_000 + 1);
  run(8_000);
  expect(ended).toHaveLength(1_000);
});

test('a few flows over a long time end each at a moment of its own', () => {
  const { ended, order, run } = worker(3);
  order('backend-down', 60_000);
  run(60_000);
  const thirds = ended.map(({ atMs }) => Math.floor((atMs - 1) / 20_000));
  expect(thirds).toEqual([0, 1, 2]);
});

test('a pace that is faster than a turn can be takes more turns', () => {
  const { endings, ended, order, clock } = worker(1_000);
  order('backend-down', 1_000);
  endings.turn(0);
  clock.endMs = 0.1;
  clock.nowMs = 500;
  let turns = 0;
  for (let isBehind = true; isBehind; turns++) isBehind = endings.turn(500);
  expect(ended.length).toBeGreaterThan(450);
  expect(turns).toBeGreaterThanOrEqual(Math.floor(ended.length / (endingMsPerTurn / 0.1)));
});

test('UDP conversations and dials under way end at once', () => {
  const { endings, ended, order, open } = worker(10);
  const conversation = open('udp');
  const dialing = open('tcp', 0);
  order('backend-removed', 60_000);
  endings.turn(0);
  expect(ended.map(({ flow }) => flow)).toEqual([conversation, dialing]);
});

test('a second order leaves everybody the place that he has, and says why it is now', () => {
  const { ended, clock, order, run, flows, open } = worker(100);
  order('backend-down', 10_000);
  run(5_000);
  const latecomer = open();
  order('backend-removed', 10_000);
  run(5_000);
  const late = ended.filter(({ atMs }) => atMs > 5_000 && atMs <= 10_000);
  expect(late.filter(({ flow }) => flow !== latecomer).length).toBeGreaterThan(30);
  expect(late.every(({ code }) => code === 'backend-removed')).toBe(true);
  expect(flows.every((flow) => ended.some((one) => one.flow === flow))).toBe(true);
  expect(clock.nowMs).toBe(10_000);
  run(5_000);
  expect(ended.at(-1)).toMatchObject({ code: 'backend-removed' });
  expect(ended).toHaveLength(101);
});

test('an order that may be taken back does not soften one that may not', () => {
  const { endings, registry, order, run } = worker(10);
  order('backend-removed', 1_000);
  run(0);
  order('backend-down', 1_000);
  run(0);
  endings.keep(1, way, ['backend-down', 'address-changed']);
  run(1_000);
  expect(registry.size).toBe(0);
});

test('who has gone on to another backend meanwhile is not meant, but by a later order', () => {
  const { ended, order, run, flows } = worker(20);
  order('backend-removed', 1_000);
  run(0);
  const [one, other] = [flows[0]!, flows[1]!];
  const gone = [one, other].filter((flow) => !ended.some((each) => each.flow === flow));
  for (const flow of gone) flow.backend = { ...backendView(target), id: 2 };
  run(2_000);
  expect(ended).toHaveLength(20 - gone.length);
  expect(ended.filter(({ flow }) => gone.includes(flow))).toEqual([]);
});

test('an order to end them now does not wait for their places', () => {
  const { endings, ended, order } = worker(20);
  order('backend-down', 60_000);
  endings.turn(0);
  order('listener-removed', 0);
  endings.turn(0);
  expect(ended.filter(({ code }) => code === 'listener-removed').length).toBeGreaterThan(18);
  expect(ended).toHaveLength(20);
});

test('a backend that is up again keeps those that have not been ended, by its own way', () => {
  const { endings, ended, order, run, registry } = worker(100);
  order('backend-down', 10_000);
  run(5_000);
  const before = ended.length;
  endings.keep(1, { ...way, target: { ...target, port: 2 } }, ['backend-down']);
  endings.keep(2, way, ['backend-down']);
  run(1_000);
  expect(ended.length, 'what is meant for others').toBeGreaterThan(before);
  const kept = registry.size;
  endings.keep(1, way, ['backend-down']);
  // Of one that nobody has looked at yet, too.
  order('backend-down', 10_000);
  endings.keep(1, way, ['backend-down']);
  run(20_000);
  expect(registry.size).toBe(kept);
  // They can be ended again.
  order('backend-down', 10_000);
  run(10_000);
  expect(registry.size).toBe(0);
});

test('an order about all ways of a backend is taken back for one of them alone, whether somebody has looked at it or not', () => {
  for (const isLookedAt of [true, false]) {
    const { endings, registry, run, flows } = worker(40);
    const elsewhere = { ...target, port: 2 };
    for (const flow of flows.slice(20)) flow.backend = { ...backendView(elsewhere), id: 1 };
    const any: FlowSelector = { by: 'backend', backendId: 1, protocol: undefined };
    endings.add(any, (flow) => flow.backend?.id === 1, 'backend-removed', 1_000);
    if (isLookedAt) endings.turn(0);
    const before = registry.select((flow) => flow.backend?.target === target, 100).length;
    endings.keep(1, way, ['backend-removed']);
    run(2_000);
    expect(registry.select(() => true, 100).map(({ backend }) => backend?.target)).toEqual(
      new Array(before).fill(target),
    );
    expect(before).toBeGreaterThan(15);
  }
});

test('nothing is kept of a time that has nobody left', () => {
  const { endings, flows, order, close, clock } = worker(100);
  order('backend-down', 3_600_000);
  endings.turn(0);
  const paces = endings as unknown as { readonly paces: readonly { places: readonly unknown[] }[] };
  for (const flow of flows.slice(50)) close(flow);
  expect(paces.paces.map(({ places }) => places.filter((place) => place !== undefined).length)).toEqual([50]);
  endings.keep(1, way, ['backend-down']);
  clock.nowMs += 50;
  expect(endings.turn(clock.nowMs)).toBe(false);
  expect(paces.paces).toEqual([]);
});

test('those that end by themselves meanwhile make the others no faster', () => {
  const { ended, order, run, flows, close } = worker(1_000);
  order('backend-down', 10_000);
  run(0);
  for (const flow of flows.filter(({ id }) => id % 2 === 0)) close(flow);
  run(10_000);
  expect(ended.length).toBeGreaterThanOrEqual(499);
  expect(Math.max(...perSecond(ended, 10))).toBeLessThan(75);
});

test('orders at once that mean nobody keep those that are due waiting for a turn at most', () => {
  const { endings, ended, order, clock } = worker(20_000);
  order('backend-down', 200_000);
  endings.turn(0);
  const nobody = (): boolean => {
    clock.nowMs += 0.01;
    return false;
  };
  for (let i = 0; i < 1_000; i++) endings.add(undefined, nobody, 'denied', 0);
  let stood = 0;
  let before = 0;
  while (clock.nowMs < 5_000) {
    clock.nowMs += 0.1;
    endings.turn(clock.nowMs);
    stood = Math.max(stood, ended.length - before);
    before = ended.length;
  }
  expect(ended.length).toBeGreaterThan(400);
  expect(stood, 'ended in one turn').toBeLessThan(5);
});

test('what a flow is when the order begins is asked once', () => {
  const { endings, ended, clock, run } = worker(10);
  let closeOverMs = 1_000;
  const isDenied = (): boolean => true;
  endings.add(undefined, isDenied, 'denied', 1_000, () => closeOverMs === 1_000);
  endings.add(undefined, isDenied, 'denied', 0, () => closeOverMs === 0);
  endings.turn(0);
  endings.turn(0);
  closeOverMs = 0;
  clock.nowMs += 50;
  run(1_000);
  expect(ended).toHaveLength(10);
  expect(ended.at(-1)!.atMs).toBeGreaterThan(500);
});
