import { describe, expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { type ClientKind, ClientTable, flowsReached, rateReached } from '../core/client-table.ts';
import { summedClientsBytesMax, summedClientsToldMax } from '../core/limits.ts';
import { ClientSums, parseClientCounts, type SummedListener } from './client-sums.ts';

const validMs = 5_000;

/** One instance: a worker's table and the room's, with a clock that is set. */
function instance(listenerId: number, change: Partial<SummedListener> = {}, clients?: number) {
  const { shared } = ClientTable.create(1, clients);
  const [worker, room] = [new ClientTable(shared, 0), new ClientTable(shared, 3)];
  const clock = { nowMs: 1_000 };
  const game = { id: listenerId, name: 'game', flowsPerClient: 10, flowsPerSubnet: 0, ...change };
  const sums = new ClientSums(
    room,
    () => [game],
    () => clock.nowMs,
  );
  const take = (ip = '192.0.2.1', kind: ClientKind = 'client', newFlowsPerSecond = 0): number => {
    const flows = kind === 'client' ? game.flowsPerClient : game.flowsPerSubnet;
    const limits = { flows, newFlowsPerSecond, isSummed: true };
    return worker.take(listenerId, kind, Address.parse(ip, 0)!, limits, true, clock.nowMs);
  };
  /** How many of so many more are let in. */
  const takeMany = (count: number, ip?: string, kind?: ClientKind, rate?: number): number =>
    Array.from({ length: count }, () => take(ip, kind, rate)).filter((slot) => slot >= 0).length;
  const told = (members = 2): string => JSON.stringify([['pool', 'b1', 7], ...sums.own(members, 0)]);
  const hear = (texts: readonly string[], members = texts.length + 1): void =>
    sums.heard(texts, members, validMs);
  return { clock, sums, take, takeMany, told, hear, worker };
}

test('what a client has on one instance counts on the other, whatever the numbers of their listeners', () => {
  const [a, b] = [instance(3), instance(8)];
  a.hear([b.told()]);
  b.hear([a.told()]);
  expect(a.takeMany(7)).toBe(7);
  b.hear([a.told()]);
  expect(b.takeMany(5), 'of 10').toBe(3);
  expect(b.takeMany(20, '192.0.2.2'), 'somebody else').toBe(10);
  a.hear([b.told()]);
  expect(a.takeMany(1)).toBe(0);
});

test('networks, and IPv6', () => {
  const [a, b] = [instance(0, { flowsPerSubnet: 4 }), instance(0, { flowsPerSubnet: 4 })];
  a.takeMany(3, '2001:db8:1::', 'subnet');
  a.takeMany(9, '2001:db8:1::');
  b.hear([a.told()]);
  expect(b.takeMany(5, '2001:db8:1::', 'subnet')).toBe(1);
  expect(b.takeMany(5, '2001:db8:1::')).toBe(1);
});

test('several others are summed, and each is told anew: who has left is not counted any more', () => {
  const [a, b, c] = [instance(0), instance(0), instance(0)];
  a.takeMany(4);
  const slots = Array.from({ length: 5 }, () => b.take());
  c.hear([a.told(3), b.told(3)]);
  expect(c.takeMany(5)).toBe(1);
  for (const slot of slots) b.worker.give(slot);
  c.hear([a.told(3), b.told(3)]);
  expect(c.takeMany(9)).toBe(5);
  // An instance that is gone takes its flows along.
  c.hear([], 1);
  expect(c.takeMany(9)).toBe(4);
});

test('without a beat each has its even share, and the sum again with the next one', () => {
  const [a, b] = [instance(0, { flowsPerClient: 9 }), instance(0, { flowsPerClient: 9 })];
  a.takeMany(7);
  b.hear([a.told()]);
  b.clock.nowMs += validMs - 1;
  expect(b.takeMany(9)).toBe(2);
  b.clock.nowMs += 1;
  expect(b.takeMany(9), 'rounded up: 5').toBe(3);
  expect(b.takeMany(9, '192.0.2.9')).toBe(5);
  b.hear([a.told()]);
  expect(b.takeMany(9)).toBe(0);
  expect(b.takeMany(9, '192.0.2.9')).toBe(4);
});

test('an instance that has never heard of others has the whole limit', () => {
  expect(instance(0).takeMany(20)).toBe(10);
});

test('a beat that is being told takes nothing back until it is whole', () => {
  const a = instance(0);
  a.hear(['[["game",1,"192.0.2.1",8]]']);
  const era = a.worker.beginPair();
  const address = Address.parse('192.0.2.1', 0)!;
  expect(a.takeMany(1)).toBe(1);
  a.worker.setElsewhere({ listenerId: 0, kind: 'client', address, flows: 9 }, era, a.clock.nowMs);
  expect(a.takeMany(1)).toBe(0);
  a.worker.endPair(era, 2, a.clock.nowMs + 1);
  expect(a.takeMany(1)).toBe(0);
});

test('of rates each instance has its even share, of small ones at least one a second', () => {
  const a = instance(0, { flowsPerClient: 0 });
  const passed = (rate: number, ip: string): number => a.takeMany(30, ip, 'client', rate);
  expect(passed(10, '192.0.2.1')).toBe(10);
  a.hear(['[]', '[]']);
  expect(passed(10, '192.0.2.2')).toBe(4);
  expect(passed(1, '192.0.2.3')).toBe(1);
  expect(a.take('192.0.2.3', 'client', 1)).toBe(rateReached);
  a.clock.nowMs += 3_600_000;
  expect(passed(10, '192.0.2.2'), 'while Redis is away, too').toBe(4);
  expect([1, 9, 10].map((rate) => a.worker.share(rate))).toEqual([1, 3, 4]);
});

describe('what is told', () => {
  test('is bounded, and those with the most of their limit come first', () => {
    const a = instance(0, {}, 16_384);
    const ip = (i: number): string => `10.1.${i >> 8}.${i & 255}`;
    for (let i = 0; i < summedClientsToldMax + 1_000; i++) a.take(ip(i));
    for (let i = 5_000; i < 5_020; i++) a.takeMany(2, ip(i));
    const rows = a.sums.own(2, 0);
    expect(rows).toHaveLength(summedClientsToldMax);
    expect(rows.slice(0, 20).map(([, , address, flows]) => [address, flows])).toEqual(
      expect.arrayContaining(Array.from({ length: 20 }, (_, i) => [ip(5_000 + i), 3])),
    );
    const ofMany = a.sums.own(256, 0);
    expect(ofMany.length).toBeGreaterThan(50);
    expect(JSON.stringify(ofMany).length).toBeLessThanOrEqual(summedClientsBytesMax / 256);
    expect(a.sums.own(2, 2 * 1024 * 1024), 'no room beside the counts of backends').toEqual([]);
  });

  test('of a limit above 16 only who has a sixteenth of it', () => {
    const a = instance(0, { flowsPerClient: 64 });
    a.takeMany(3, '192.0.2.1');
    a.takeMany(4, '192.0.2.2');
    expect(a.sums.own(2, 0)).toEqual([['game', 1, '192.0.2.2', 4]]);
  });
});

test.each([
  '',
  '[',
  'null',
  '{"0":["game",1,"192.0.2.1",9]}',
  '[["game",1,"192.0.2.1"]]',
  '[["game",3,"192.0.2.1",9]]',
  '[["game","1","192.0.2.1",9]]',
  '[["game",1,"192.0.2.1",-9]]',
  '[["game",1,"192.0.2.1",1e300]]',
  '[["game",1,"192.0.2.1",0.5]]',
  '[["game",1,"192.0.2.1/24",9]]',
  '[["game",1,"nobody",9]]',
  `[["game",1,"${'1'.repeat(100_000)}",9]]`,
  '[["gone",1,"192.0.2.1",9]]',
  '[["__proto__",1,"192.0.2.1",9]]',
  '[["pool","b1",9]]',
])('a text of a stranger that says nothing: %.40s', (text) => {
  const a = instance(0);
  a.hear([text]);
  expect(a.takeMany(20)).toBe(10);
});

test('no more is read of one instance than an instance tells, and a sum has an end', () => {
  const many = Array.from({ length: summedClientsToldMax * 2 }, (_, i) => [
    'game',
    1,
    `10.0.${i >> 8}.${i & 255}`,
    1,
  ]);
  expect(parseClientCounts(JSON.stringify(many))).toHaveLength(summedClientsToldMax);
  const a = instance(0);
  const most = `[["game",1,"192.0.2.1",${Number.MAX_SAFE_INTEGER}],["game",1,"::ffff:192.0.2.1",9]]`;
  a.hear([most, most]);
  expect(a.take()).toBe(flowsReached);
});

test('a room that died in the middle of it keeps nobody from coming in', () => {
  const { shared } = ClientTable.create(1, 64);
  const [worker, room] = [new ClientTable(shared, 0), new ClientTable(shared, 40)];
  const locks = (room as unknown as { locks: { acquire(bucket: number): boolean } }).locks;
  expect(locks.acquire(0)).toBe(true);
  worker.releaseLocksOf(40);
  const limits = { flows: 1, newFlowsPerSecond: 0 };
  expect(worker.take(0, 'client', Address.parse('192.0.2.1', 0)!, limits, true, 1)).toBeGreaterThanOrEqual(0);
});
