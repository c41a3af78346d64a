import { expect, test } from 'vitest';
import type { Plan } from '../core/plan.ts';
import { addsBackends } from './sharing.ts';

function plan(pools: Readonly<Record<string, readonly string[]>>): Pick<Plan, 'pools'> {
  const entries = Object.entries(pools);
  return {
    pools: entries.map(([name, backends]) => ({ name, backends: backends.map((one) => ({ name: one })) })),
  } as unknown as Pick<Plan, 'pools'>;
}

test('a plan adds backends if one has a name that was not in its pool before', () => {
  const before = plan({ p: ['a', 'b'], q: ['c'] });
  expect(addsBackends(before, before)).toBe(false);
  expect(addsBackends(before, plan({ p: ['b'] }))).toBe(false);
  expect(addsBackends(before, plan({ p: ['a', 'b', 'c'], q: ['c'] }))).toBe(true);
  expect(addsBackends(before, plan({ p: ['a', 'b'], r: ['c'] }))).toBe(true);
});
