/** Who serves the buckets, and whom pinned clients are led to; that this changes is noticed. */
import { expect, test } from 'vitest';
import { BackendStates } from '../core/backend-states.ts';
import type { BackendView, ListenerView, PoolView } from '../core/snapshot.ts';
import { Wants } from './wants.ts';

const tableSize = 251;
const listener = { id: 0, poolId: 1, plan: { name: 'web' } } as unknown as ListenerView;

const backend = (id: number): BackendView => ({
  id,
  name: `b${id}`,
  target: { kind: 'inet', ip: `10.0.0.${id}`, port: 80 },
  addressText: `10.0.0.${id}:80`,
  weight: 1,
  maxConnections: 0,
});

function poolOf(ids: readonly number[], version: number, more: object = {}): PoolView {
  const plan = {
    name: 'p',
    policy: 'maglev',
    tableSize,
    identity: 'name',
    panicBelow: 0,
    slowStartMs: 0,
    spillBelow: 0,
  };
  return { id: 1, version, plan: { ...plan, ...more }, backends: ids.map(backend) } as unknown as PoolView;
}

function worldOf(ids: readonly number[]) {
  const states = new BackendStates();
  for (const id of ids) {
    states.setUp(id, true);
    states.setWeight(id, 1);
  }
  return { states, wants: new Wants(states) };
}

test('a bucket is led to the first of its policy that takes new clients; to nobody where nobody does', () => {
  const { states, wants } = worldOf([1, 2, 3]);
  const pool = poolOf([1, 2, 3], 1);
  const before = [...wants.bucketsOf(pool, 4)];
  expect(new Set(before)).toEqual(new Set([1, 2, 3]));
  states.setUp(2, false);
  const after = [...wants.bucketsOf(pool, 4)];
  // Only those of the one that is down go elsewhere.
  for (const [i, id] of before.entries()) expect(after[i] === id).toBe(id !== 2);
  expect(new Set(wants.bucketsOf(pool, 6))).toEqual(new Set([0]));
  states.setUp(1, false);
  states.setUp(3, false);
  expect(new Set(wants.bucketsOf(pool, 4))).toEqual(new Set([0]));
  expect(new Set(wants.bucketsOf(poolOf([1, 2, 3], 2, { failOpen: true }), 4)).size).toBe(3);
  states.setUp(2, true);
  states.setDraining(2, true);
  expect(new Set(wants.bucketsOf(poolOf([1, 2, 3], 2, { failOpen: true }), 4))).toEqual(new Set([1, 3]));
});

test('a client is led to whom it is pinned to while that serves; to a backup only while nobody else takes new clients', () => {
  const { states, wants } = worldOf([1, 2, 3]);
  const pool = poolOf([1, 2, 3], 1);
  const backed = { ...pool, backends: pool.backends.map((one) => ({ ...one, isBackup: one.id === 3 })) };
  const homes = (of: PoolView, family: 4 | 6 = 4): number[] => wants.homesOf(of, family).map(({ id }) => id);
  expect([homes(pool), homes(pool, 6), homes(backed)]).toEqual([[1, 2, 3], [], [1, 2]]);
  states.setDraining(1, true);
  states.setUp(2, false);
  expect([homes(pool), homes(backed)]).toEqual([
    [1, 3],
    [1, 3],
  ]);
  states.setDraining(1, true, true);
  expect(homes(pool)).toEqual([3]);
});

test('a change of states is noticed, once, and one that came while a table was made', () => {
  const { states, wants } = worldOf([1, 2]);
  const open = [{ view: listener, pool: poolOf([1, 2], 1) }];
  expect(wants.isOther(open)).toBe(true);
  expect(wants.isOther(open)).toBe(false);
  states.setUp(1, false);
  expect(wants.isOther(open)).toBe(true);
  expect(wants.isOther(open)).toBe(false);
  states.setUp(1, true);
  // A table is made for whatever reason, and what it was made of is as it was when it was looked at last.
  wants.begin(open);
  states.setUp(1, false);
  expect(wants.isOther(open)).toBe(true);
});

test('where nobody is up, a drain of one that is tried all the same is noticed', () => {
  const { states, wants } = worldOf([1, 2]);
  const pool = poolOf([1, 2], 1, { failOpen: true });
  const open = [{ view: listener, pool }];
  states.setUp(1, false);
  states.setUp(2, false);
  wants.begin(open);
  expect(new Set(wants.bucketsOf(pool, 4))).toEqual(new Set([1, 2]));
  states.setDraining(2, true);
  expect(wants.isOther(open)).toBe(true);
  expect(new Set(wants.bucketsOf(pool, 4))).toEqual(new Set([1]));
});
