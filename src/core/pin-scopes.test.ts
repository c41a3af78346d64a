import { expect, test } from 'vitest';
import { groupBackends, groupScopes, type ScopedPlan } from './pin-scopes.ts';

const listener = (pool: string, group?: string, key = 'client-ip') =>
  ({ pool, affinity: { key, ...(group === undefined ? {} : { group }) } }) as ScopedPlan['listeners'][number];
const pool = (name: string, ...backends: readonly string[]) => ({
  name,
  backends: backends.map((one) => ({ name: one })),
});

test('pools that listeners of one group lead to have one scope, with the backends of all of them', () => {
  const plan = {
    listeners: [
      listener('login', 'world'),
      listener('game', 'world'),
      listener('web'),
      listener('log', 'world', 'none'),
    ],
    pools: [pool('login', 'a', 'b'), pool('game', 'b', 'c'), pool('web', 'a'), pool('log', 'z')],
  };
  expect(groupScopes(plan)).toEqual(
    new Map([
      ['login', '@world'],
      ['game', '@world'],
    ]),
  );
  expect(groupBackends(plan)).toEqual(new Map([['@world', new Set(['a', 'b', 'c'])]]));
});

test('without groups there is no scope but the pools', () => {
  const plan = { listeners: [listener('p')], pools: [pool('p', 'a')] };
  expect(groupScopes(plan).size).toBe(0);
  expect(groupBackends(plan).size).toBe(0);
});
