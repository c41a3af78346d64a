import { expect, test } from 'vitest';
import { backendIdsMax } from '../core/limits.ts';
import type { BackendPlan, ListenerPlan, PoolPlan } from '../core/plan.ts';
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
  const room = ids.roomBeside({ listeners: [], pools: poolsOf(10, backendIdsMax - 20) });
  const found = (count: number): string[] => Array.from({ length: count }, (_, i) => `f${i}`);
  expect(room.take('p', found(11))).toMatch(/^have 11 new names, .* room for 10 more/);
  expect(room.take('p', found(6))).toBeUndefined();
  expect(room.take('q', found(5))).toMatch(/room for 4 more/);
  expect(room.take('p', found(6)), 'they are reckoned with').toBeUndefined();
  // A name that is used twice counts once.
  ids.admit({ listeners: [], pools: [...poolsOf(10, backendIdsMax - 10), ...kept] });
});

test('a listener that keeps an address is the same, one that keeps none is another', () => {
  const ids = new Ids();
  const numberAt = (...ports: number[]): number => {
    const binds = ports.map((port) => ({ kind: 'inet', ip: '10.0.0.1', port }) as const);
    const several = ports.length === 1 ? {} : { binds };
    return ids.listener({ name: 'front', protocol: 'tcp', bind: binds[0]!, ...several });
  };
  const first = numberAt(80);
  expect(numberAt(80, 81)).toBe(first);
  expect(numberAt(81, 82, 83)).toBe(first);
  const moved = numberAt(90);
  expect(moved).not.toBe(first);
  // Both have been the listener: it is what it was last.
  expect(numberAt(83, 90)).toBe(moved);
  expect(numberAt(80)).toBe(first);
  expect(numberAt(80, 90)).toBe(first);
  expect(ids.listener({ name: 'other', protocol: 'tcp', bind: { kind: 'unix', path: '/x' } })).toBe(2);
});

test('names that are found for a pool of a group need a number more each', () => {
  const ids = new Ids();
  const bind = { kind: 'unix', path: '/x' };
  const affinity = { key: 'client-ip', group: 'world' };
  const listener = { name: 'l', protocol: 'tcp', bind, pool: 'pool', affinity } as unknown as ListenerPlan;
  const plan = { listeners: [listener], pools: poolsOf(0, backendIdsMax / 2 - 10) };
  const found = (count: number): string[] => Array.from({ length: count }, (_, i) => `f${i}`);
  const room = ids.roomBeside(plan);
  expect(room.take('pool', found(11))).toMatch(/^have 11 new names, .* room for 10 more/);
  expect(room.take('pool', found(10))).toBeUndefined();
  const [pool] = poolsOf(0, 0);
  const all = [...plan.pools[0]!.backends, ...found(10).map((name) => ({ name }) as BackendPlan)];
  ids.admit({ ...plan, pools: [{ ...pool!, backends: all }] });
});
