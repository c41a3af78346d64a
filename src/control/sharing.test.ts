import { expect, test } from 'vitest';
import type { Plan } from '../core/plan.ts';
import { Ids } from './ids.ts';
import { addsBackends, namesTable } from './sharing.ts';

type Named = Pick<Plan, 'listeners' | 'pools'>;

/** @param group of all its pools */
function plan(pools: Readonly<Record<string, readonly string[]>>, group?: string): Named {
  const entries = Object.entries(pools);
  return {
    listeners: entries.map(([pool]) => ({ pool, affinity: { key: 'client-ip', group } })),
    pools: entries.map(([name, backends]) => ({ name, backends: backends.map((one) => ({ name: one })) })),
  } as unknown as Named;
}

test('a plan adds backends if one has a name that was not in its pool before', () => {
  const before = plan({ p: ['a', 'b'], q: ['c'] });
  expect(addsBackends(before, before)).toBe(false);
  expect(addsBackends(before, plan({ p: ['b'] }))).toBe(false);
  expect(addsBackends(before, plan({ p: ['a', 'b', 'c'], q: ['c'] }))).toBe(true);
  expect(addsBackends(before, plan({ p: ['a', 'b'], r: ['c'] }))).toBe(true);
  expect(addsBackends(before, plan({ p: ['a', 'b'], q: ['c'] }, 'g'))).toBe(true);
});

test('a group has names of its own among those of pools, and they go out of use with it', () => {
  const ids = new Ids();
  const grouped = plan({ p: ['a', 'b'], q: ['b', 'c'] }, 'g');
  const scope = ids.pool('@g');
  const backends = ['a', 'b', 'c'].map((name) => ids.backend('@g', name));
  for (const name of ['a', 'b']) ids.backend('p', name);
  const { pools, backends: known } = namesTable(ids, grouped);
  expect(pools).toContainEqual({ id: scope, pool: '@g', isInUse: true });
  const ofScope = known.filter(({ pool }) => pool === '@g');
  expect(ofScope.map(({ id, isInUse }) => [id, isInUse])).toEqual(backends.map((id) => [id, true]));
  const without = namesTable(ids, plan({ p: ['a', 'b'] }));
  expect(without.pools).toContainEqual({ id: scope, pool: '@g', isInUse: false });
  expect(without.backends.filter(({ pool, isInUse }) => pool === '@g' && isInUse)).toEqual([]);
});
