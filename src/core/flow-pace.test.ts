import { expect, test } from 'vitest';
import { Address } from './address.ts';
import { ClientTable } from './client-table.ts';
import { FlowPace } from './flow-pace.ts';
import type { BandwidthPlan } from './plan.ts';

const rate = 100_000;
let nowMs = 1_000;

function paceOf(table: ClientTable, plan: BandwidthPlan, client = 1): FlowPace {
  const most = { flows: 0, newFlowsPerSecond: 0 };
  const clientSlot = table.take(0, 'client', Address.v4(client, 0), most, true, nowMs);
  return new FlowPace(plan, { clients: table, listenerId: 0, clientSlot }, () => nowMs);
}

/** What greedy flows move in so many milliseconds, each in turn as much as it may, at most `most` bytes at a time. */
function moved(paces: readonly FlowPace[], isUp: boolean, ms: number, most = 65_536): number[] {
  const sums = paces.map(() => 0);
  for (const endMs = nowMs + ms; nowMs < endMs; nowMs++) {
    for (const [i, pace] of paces.entries()) {
      const bytes = Math.min(most, pace.room(isUp));
      if (bytes > 0) pace.charge(isUp, bytes);
      else expect(pace.waitMs(isUp)).toBeGreaterThan(0);
      sums[i]! += bytes;
    }
  }
  return sums;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

test('a second of it at once, and then no more than the rate, each way by itself', () => {
  const pace = paceOf(ClientTable.create(1), { perFlow: { up: rate, down: 0 } });
  expect(moved([pace], true, 1)[0]).toBe(65_536);
  const [total] = moved([pace], true, 9_999);
  expect(total! + 65_536).toBeGreaterThan(rate * 10.9);
  expect(total! + 65_536).toBeLessThanOrEqual(rate * 11);
  expect(pace.room(false)).toBe(Number.POSITIVE_INFINITY);
  expect(pace.waitMs(false)).toBe(0);
});

test('what was too much is waited for', () => {
  const pace = paceOf(ClientTable.create(1), { perFlow: { up: rate, down: rate } });
  pace.charge(false, rate * 3);
  expect(pace.room(false)).toBe(0);
  const waitMs = pace.waitMs(false);
  expect(waitMs).toBeGreaterThan(2_000);
  nowMs += waitMs - 1;
  expect(pace.room(false)).toBe(0);
  nowMs += 1.01;
  expect(pace.room(false)).toBeGreaterThan(4_000);
});

test('a client, and a listener, have their rate over all flows and workers', () => {
  const first = ClientTable.create(2);
  const second = new ClientTable(first.shared, 1);
  const ofClient: BandwidthPlan = { perClient: { up: rate, down: 0 } };
  const [a, b, other] = [paceOf(first, ofClient), paceOf(second, ofClient), paceOf(second, ofClient, 2)];
  const [ofA, ofB, ofOther] = moved([a, b, other], true, 10_000, 1_500) as [number, number, number];
  expect(ofA + ofB).toBeGreaterThan(rate * 10.9);
  expect(ofA + ofB).toBeLessThanOrEqual(rate * 11 + 1_500);
  expect(ofOther).toBeGreaterThan(rate * 10.9);
  const total: BandwidthPlan = { total: { up: 0, down: rate } };
  const all = [paceOf(first, total, 3), paceOf(second, total, 4), paceOf(second, total, 5)];
  const together = sum(moved(all, false, 10_000));
  expect(together).toBeGreaterThan(rate * 10.9);
  expect(together).toBeLessThanOrEqual(rate * 11 + 65_536);
});

test('datagrams pass while there is room', () => {
  const pace = paceOf(ClientTable.create(1), { perFlow: { up: 10_000, down: 0 } });
  const passed = Array.from({ length: 100 }, () => pace.passes(true, 1_000)).filter(Boolean).length;
  expect(passed).toBe(10);
  expect(pace.passes(false, 1_000)).toBe(true);
});

test('a second of datagrams passes at once at any rate, and one that is larger than that passes alone', () => {
  for (const up of [1_024, 4_096, 10_000, 1_000_000]) {
    const pace = paceOf(ClientTable.create(1), { perFlow: { up, down: 0 } });
    const passed = Array.from({ length: 20 }, () => pace.passes(true, up / 10)).filter(Boolean).length;
    expect(passed, `${up}`).toBe(10);
    nowMs += 101;
    expect([pace.passes(true, up / 10), pace.passes(true, up / 10)]).toEqual([true, false]);
    nowMs += 2_000;
    expect([pace.passes(true, up * 2), pace.passes(true, 1)]).toEqual([true, false]);
    nowMs += 1_990;
    expect([pace.passes(true, up * 2), pace.passes(true, up / 10)]).toEqual([false, true]);
  }
});
