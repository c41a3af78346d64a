import { expect, test } from 'vitest';
import { poolPlan } from '../engine/conformance/listener.ts';
import { Address } from './address.ts';
import { Key } from './key.ts';
import { routedPoolsToSearchMax } from './limits.ts';
import { pinnedPool } from './pinned-pool.ts';
import { PinTable } from './pins/table.ts';
import type { PoolView } from './snapshot.ts';

const key = new Key('quic-id', Address.v4(7, 4));

function poolOf(id: number, pinIds: readonly number[], scopeId?: number): PoolView {
  const backends = pinIds.map((pinId) => ({
    id: id * 100 + pinId,
    pinId,
    name: `b${pinId}`,
    target: undefined,
    addressText: '',
    weight: 1,
    maxConnections: 0,
  }));
  const scope = scopeId === undefined ? {} : { scope: { id: scopeId, name: '@g', elsewhere: [] } };
  return { id, version: 1, plan: poolPlan({}), backends, ...scope };
}

test('the one pool that has the pin, and its backend', () => {
  const pins = PinTable.create(16, { reportChanges: false });
  const pools = [poolOf(1, [1]), poolOf(2, [2])];
  const found = (all: readonly PoolView[]) => pinnedPool(all, key, pins, 0)?.id;
  expect(found(pools)).toBeUndefined();
  pins.claim(2, key, 2, 1_000, 0, 'learned');
  expect(found(pools)).toBe(2);
  expect(pinnedPool(pools, key, pins, 1_000), 'run out').toBeUndefined();
  expect(found([poolOf(2, [3])]), 'the backend is gone').toBeUndefined();
  const many = Array.from({ length: routedPoolsToSearchMax - 1 }, (_, i) => poolOf(10 + i, [1]));
  expect(found([...many, pools[1]!])).toBe(2);
  expect(found([...many, ...pools]), 'too many').toBeUndefined();
});

test('of a group it is the one that has a backend of that name, if one alone has', () => {
  const pins = PinTable.create(16, { reportChanges: false });
  pins.claim(9, key, 2, 1_000, 0, 'learned');
  expect(pinnedPool([poolOf(1, [1], 9), poolOf(2, [1, 2], 9)], key, pins, 0)?.id).toBe(2);
  expect(pinnedPool([poolOf(1, [2], 9), poolOf(2, [1, 2], 9)], key, pins, 0)).toBeUndefined();
});
