import { expect, test } from 'vitest';
import { backendIdsMax } from '../core/limits.ts';
import type { BackendPlan, PoolPlan } from '../core/plan.ts';
import { Ids, TooManyNames } from './ids.ts';

const poolsOf = (first: number, count: number): PoolPlan[] => [
  {
    name: 'pool',
    backends: Array.from({ length: count }, (_, i) => ({ name: `b${first + i}` }) as BackendPlan),
  } as unknown as PoolPlan,
];

test('a plan is refused before any of its names gets a number', () => {
  const ids = new Ids();
  const kept = poolsOf(0, 10);
  for (const { name } of kept[0]!.backends) ids.backend('pool', name);
  ids.admit({ listeners: [], pools: poolsOf(0, backendIdsMax) });
  expect(() => ids.admit({ listeners: [], pools: poolsOf(10, backendIdsMax - 9) })).toThrow(TooManyNames);
  expect(ids.knownBackend('pool', 'b10')).toBe(0);
  const room = ids.roomBeside(poolsOf(10, backendIdsMax - 20));
  const found = (count: number): string[] => Array.from({ length: count }, (_, i) => `f${i}`);
  expect(room.take('p', found(11))).toMatch(/^have 11 new names, .* room for 10 more/);
  expect(room.take('p', found(6))).toBeUndefined();
  expect(room.take('q', found(5))).toMatch(/room for 4 more/);
  expect(room.take('p', found(6)), 'they are reckoned with').toBeUndefined();
  // A name that is used twice counts once.
  ids.admit({ listeners: [], pools: [...poolsOf(10, backendIdsMax - 10), ...kept] });
});
