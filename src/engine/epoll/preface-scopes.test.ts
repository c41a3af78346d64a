import { expect, test } from 'vitest';
import { PrefaceScopes } from './preface-scopes.ts';

test('numbers are negative, apart, and given again when nobody has them', () => {
  const scopes = new PrefaceScopes();
  expect(scopes.of(0, 'a')).toBeUndefined();
  const a = scopes.enter(0, 'a');
  const b = scopes.enter(0, 'b');
  const elsewhere = scopes.enter(1, 'a');
  expect(new Set([a, b, elsewhere]).size).toBe(3);
  expect(Math.max(a, b, elsewhere)).toBeLessThan(0);
  expect(scopes.enter(0, 'a'), 'of another sender').toBe(a);
  scopes.leave(a);
  expect(scopes.of(0, 'a')).toBe(a);
  scopes.leave(a);
  expect(scopes.of(0, 'a')).toBeUndefined();
  scopes.leave(0);
  scopes.leave(a);
  expect(scopes.enter(0, 'c')).toBe(a);
  expect(new Set([scopes.of(0, 'b'), scopes.of(0, 'c'), scopes.enter(0, 'd')]).size).toBe(3);
});

test('however many come and go, there are no more numbers than there were at once', () => {
  const scopes = new PrefaceScopes();
  const seen = new Set<number>();
  for (let i = 0; i < 1_000; i++) {
    const mine = [scopes.enter(7, `x${i}`), scopes.enter(7, `y${i}`)];
    for (const number of mine) seen.add(number);
    for (const number of mine) scopes.leave(number);
  }
  expect([...seen].sort()).toEqual([-1, -2]);
});
