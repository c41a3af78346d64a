import { expect, test } from 'vitest';
import { expectedShares, type Standing } from './expected-shares.ts';
import type { BackendView } from './snapshot.ts';

interface Wanted extends Partial<Standing> {
  readonly tier?: number;
  readonly isBackup?: boolean;
}

function shares(wanted: Readonly<Record<string, Wanted>>, plan = { panicBelow: 0, spillBelow: 0.7 }) {
  const names = Object.keys(wanted);
  const backends = names.map((name, i): BackendView => {
    const { tier, isBackup, weight = 1 } = wanted[name]!;
    const target = { kind: 'inet', ip: '10.0.0.1', port: 1 } as const;
    return {
      id: i + 1,
      name,
      target,
      addressText: name,
      weight,
      maxConnections: 0,
      ...(tier === undefined ? {} : { tier }),
      ...(isBackup === undefined ? {} : { isBackup }),
    };
  });
  const found = expectedShares({ backends, plan }, ({ name }) => {
    const { isUp = true, isDraining = false, weight = 1, checkShare = 1, ramp = 1 } = wanted[name]!;
    return { isUp, isDraining, weight, checkShare, ramp };
  });
  return Object.fromEntries(
    backends.map(({ id, name }) => [name, Math.round(found.get(id)! * 1_000) / 1_000]),
  );
}

test.each<[string, Readonly<Record<string, Wanted>>, Readonly<Record<string, number>>]>([
  ['weights', { a: { weight: 3 }, b: {} }, { a: 0.75, b: 0.25 }],
  ['one that is down', { a: {}, b: { isUp: false }, c: {} }, { a: 0.5, b: 0, c: 0.5 }],
  ['one that drains', { a: {}, b: { isDraining: true } }, { a: 1, b: 0 }],
  ['a slow start', { a: {}, b: { ramp: 0.25 } }, { a: 0.8, b: 0.2 }],
  ['what a check leaves', { a: {}, b: { checkShare: 0.5 } }, { a: 0.667, b: 0.333 }],
  ['nobody', { a: { isUp: false }, b: { weight: 0 } }, { a: 0, b: 0 }],
  ['a backup that is not needed', { a: {}, b: { tier: 1, isBackup: true } }, { a: 1, b: 0 }],
  ['a backup that is', { a: { isUp: false }, b: { tier: 1, isBackup: true } }, { a: 0, b: 1 }],
  ['a tier that spills', { a: {}, b: { isUp: false }, c: { tier: 1 } }, { a: 0.714, b: 0, c: 0.286 }],
  [
    'all that have just come up',
    { a: { ramp: 0.1 }, b: { ramp: 0.1 }, c: { tier: 1, ramp: 0.1 } },
    { a: 0.5, b: 0.5, c: 0 },
  ],
])('%s', (_, wanted, expected) => {
  expect(shares(wanted)).toEqual(expected);
});

test('in a panic those that are down have their share', () => {
  const all = { a: {}, b: { isUp: false }, c: { isUp: false } };
  expect(shares(all, { panicBelow: 0.5, spillBelow: 0.7 })).toEqual({ a: 0.333, b: 0.333, c: 0.333 });
});
