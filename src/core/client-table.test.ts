import { describe, expect, test } from 'vitest';
import { Address } from './address.ts';
import { ClientTable, flowsReached, rateReached, untracked } from './client-table.ts';

const places = 8_192;
const client = (i: number): Address => Address.v4(0x0a000000 + i, 0);
const unlimited = { flows: 0, newFlowsPerSecond: 0 };

/** Two workers on one table. */
function workers(count = 2, clients?: number): ClientTable[] {
  const { shared } = ClientTable.create(count, clients);
  return Array.from({ length: count }, (_, i) => new ClientTable(shared, i));
}

test('flows of one client are counted over all workers, and those of others apart', () => {
  const [a, b] = workers() as [ClientTable, ClientTable];
  const most = { flows: 3, newFlowsPerSecond: 0 };
  const take = (table: ClientTable, i = 1, listenerId = 7): number =>
    table.take(listenerId, 'client', client(i), most, true, 1);
  const otherPort = a.take(7, 'client', client(1).withPort(4711), most, true, 1);
  a.give(otherPort);
  const slots = [take(a), take(b), take(a)];
  expect(slots[0], 'whatever the port').toBe(otherPort);
  expect(slots[0]).toBeGreaterThanOrEqual(0);
  expect(new Set(slots).size).toBe(1);
  expect([take(a), take(b)]).toEqual([flowsReached, flowsReached]);
  expect(take(b, 2)).toBeGreaterThanOrEqual(0);
  expect(take(b, 1, 8), 'another listener').toBeGreaterThanOrEqual(0);
  expect(b.take(7, 'subnet', client(1), most, true, 1), 'its network').toBeGreaterThanOrEqual(0);
  b.give(slots[1]!);
  expect(a.open(slots[0]!)).toBe(2);
  expect([take(a), take(b)]).toEqual([slots[0], flowsReached]);
});

test('a client over IPv6', () => {
  const [a, b] = workers() as [ClientTable, ClientTable];
  const address = Address.parse('2001:db8:ffff:ffff:8000::1', 0)!;
  const most = { flows: 1, newFlowsPerSecond: 0 };
  expect(a.take(0, 'client', address, most, true, 1)).toBeGreaterThanOrEqual(0);
  expect(b.take(0, 'client', address, most, true, 1)).toBe(flowsReached);
});

describe('rates', () => {
  test('a second of new flows at once, then one as each is paid for, over all workers', () => {
    const [a, b] = workers() as [ClientTable, ClientTable];
    const most = { flows: 0, newFlowsPerSecond: 4 };
    const take = (table: ClientTable, nowMs: number): boolean =>
      table.take(0, 'client', client(1), most, true, nowMs) !== rateReached;
    expect([take(a, 5_000), take(b, 5_000), take(a, 5_000), take(b, 5_000)]).toEqual(Array(4).fill(true));
    expect([take(a, 5_000), take(b, 5_249), take(a, 5_250), take(b, 5_250)]).toEqual([
      false,
      false,
      true,
      false,
    ]);
    // Who is not new is not counted.
    expect(a.take(0, 'client', client(1), most, false, 5_250)).toBeGreaterThanOrEqual(0);
    // Quiet for long: no more than a second's worth has gathered.
    const later = Array.from({ length: 6 }, () => take(a, 60_000));
    expect(later.filter(Boolean)).toHaveLength(4);
  });

  test.each([1, 3, 1_000, 10_000_000])('%d a second, over ten seconds', (perSecond) => {
    const [table] = workers(1) as [ClientTable];
    let passed = 0;
    const steps = Math.min(perSecond * 30, 30_000);
    const perStep = Math.ceil((perSecond * 30) / steps);
    for (let step = 0; step < steps && passed < 100_000; step++) {
      const nowMs = 1 + (step * 10_000) / steps;
      for (let i = 0; i < Math.min(perStep, 40); i++) if (table.passNewFlow(3, perSecond, nowMs)) passed++;
    }
    const offered = steps * Math.min(perStep, 40);
    expect(passed).toBeLessThanOrEqual(Math.min(perSecond * 11, offered));
    expect(passed).toBeGreaterThanOrEqual(Math.min(perSecond * 10, offered, 100_000));
  });

  // Sums of doubles are off by more, the longer the machine has run.
  test.each([3, 7, 300, 1_000])('%d a second at once, after years', (perSecond) => {
    const [table] = workers(1) as [ClientTable];
    for (const nowMs of [8.64e7 + 0.1, 2.6e9 + 0.3, 3.2e10 + 0.7, 3.2e11 + 0.9]) {
      const passed = Array.from({ length: perSecond + 5 }, () => table.passNewFlow(3, perSecond, nowMs));
      expect(passed.filter(Boolean), `${nowMs}`).toHaveLength(perSecond);
    }
  });

  test('datagrams of a client, whichever worker and flow they come by', () => {
    const [a, b] = workers() as [ClientTable, ClientTable];
    const slot = a.take(0, 'client', client(1), unlimited, true, 1);
    expect(b.take(0, 'client', client(1), unlimited, true, 1)).toBe(slot);
    const passed = Array.from({ length: 20 }, (_, i) => (i % 2 ? a : b).passDatagram(slot, 10, 2));
    expect(passed.filter(Boolean)).toHaveLength(10);
    expect(a.passDatagram(slot, 10, 102)).toBe(true);
    expect(a.passDatagram(untracked, 1, 2) && a.passDatagram(untracked, 1, 2)).toBe(true);
  });
});

test('a full bucket forgets who has left longest ago, and nobody who has a flow', () => {
  const [table] = workers(1, places) as [ClientTable];
  const most = { flows: 1, newFlowsPerSecond: 0 };
  // More clients than there are places: some buckets are full long before.
  const open: number[] = [];
  let lost = 0;
  for (let i = 0; i < places * 1.25; i++) {
    const slot = table.take(0, 'client', client(i), most, true, i);
    if (slot === untracked) lost++;
    else if (i % 3 === 0) open.push(i);
    else table.give(slot);
  }
  expect(lost).toBe(0);
  const kept = open.filter(
    (i) => table.take(0, 'client', client(i), most, true, places * 2) === flowsReached,
  );
  expect(kept).toHaveLength(open.length);
});

test('whom another worker has seen a moment later by its clock has not been away for weeks', () => {
  const [table] = workers(1, 64) as [ClientTable];
  const most = { flows: 0, newFlowsPerSecond: 1 };
  const come = (i: number, nowMs: number): number => {
    const slot = table.take(0, 'client', client(i), most, true, nowMs);
    table.give(slot);
    return slot;
  };
  // By the clock's low 32 bits, too, which have run over in between.
  const wrapMs = 2 ** 32 - 30;
  for (let i = 0; i < 64; i++) expect(come(i, wrapMs + i), `${i}`).toBeGreaterThanOrEqual(0);
  expect(come(64, wrapMs + 60)).toBeGreaterThanOrEqual(0);
  const later = Array.from({ length: 63 }, (_, i) => come(i + 1, wrapMs + 63));
  expect(later, 'all but the first are known').toEqual(Array(63).fill(rateReached));
});

test('nobody can tell beforehand which clients share a bucket', () => {
  const slots = Array.from({ length: 2 }, (_, seed) => {
    const table = ClientTable.create(1, places, seed);
    return Array.from({ length: 20 }, (_, i) =>
      Math.floor(table.take(0, 'client', client(i), unlimited, true, 1) / 64),
    );
  });
  expect(slots[0]).not.toEqual(slots[1]);
});

test('where all have flows a newcomer is let in and not kept track of', () => {
  const [table] = workers(1, places) as [ClientTable];
  const most = { flows: 1, newFlowsPerSecond: 0 };
  const slots: number[] = [];
  for (let i = 0; i < places + 1_000; i++) slots.push(table.take(0, 'client', client(i), most, true, 1));
  const lost = slots.filter((slot) => slot === untracked).length;
  expect(lost).toBeGreaterThanOrEqual(1_000);
  expect(lost).toBeLessThan(places / 4);
  expect(slots.filter((slot) => slot >= 0)).toHaveLength(slots.length - lost);
  table.give(untracked);
});

test('a worker that died leaves nothing behind', () => {
  const [a, b] = workers() as [ClientTable, ClientTable];
  const most = { flows: 4, newFlowsPerSecond: 0 };
  const take = (table: ClientTable): number => table.take(0, 'client', client(1), most, true, 1);
  const slot = take(a);
  for (const table of [a, b, b]) take(table);
  expect(take(a)).toBe(flowsReached);
  b.clearAllOf(0);
  expect(b.open(slot)).toBe(2);
  expect([take(a), take(a), take(a)]).toEqual([slot, slot, flowsReached]);
});
