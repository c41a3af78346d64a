import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Policy } from './policy.ts';
import { backendsOf, chiSquare, clientKeys, idleLoads, policyOf } from './pool.fixture.ts';

const key = clientKeys(1)[0]!;

/** The first backend that `isUp` of each of `count` starts. */
function sequence(policy: Policy, weights: number[], count: number, isUp = (_: number) => true): number[] {
  const loads = idleLoads(backendsOf(weights));
  return Array.from({ length: count }, () => {
    policy.start(key, loads);
    let position = policy.next();
    while (position >= 0 && !isUp(position)) position = policy.next();
    return position;
  });
}

describe('RoundRobin', () => {
  it('is smooth: 5, 1, 1 gives a a b a c a a', () => {
    const names = sequence(policyOf('round-robin', backendsOf([5, 1, 1])), [5, 1, 1], 14).map(
      (i) => 'abc'[i],
    );
    expect(names.join(' ')).toBe('a a b a c a a a a b a c a a');
  });

  it('gives each its weight in every full turn', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(weights, (all) => {
        const total = all.reduce((sum, weight) => sum + weight, 0);
        const counts = all.map(() => 0);
        const policy = policyOf('round-robin', backendsOf(all));
        for (const position of sequence(policy, all, total * 3)) counts[position]!++;
        expect(counts).toEqual(all.map((weight) => weight * 3));
      }),
    );
  });

  it('keeps the proportions of the others while a backend is down', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(weights, fc.nat(), (all, pick) => {
        const down = pick % all.length;
        const expected = all.with(down, 0).map((weight) => weight * 20);
        const total = expected.reduce((sum, weight) => sum + weight, 0);
        const policy = policyOf('round-robin', backendsOf(all));
        const isUp = (position: number): boolean => position !== down;
        // In its first rounds the down backend is not always asked first, and its unclaimed turns pile up.
        sequence(policy, all, total, isUp);
        const counts = all.map(() => 0);
        for (const position of sequence(policy, all, total, isUp)) counts[position]!++;
        for (const [i, count] of counts.entries())
          expect(Math.abs(count - expected[i]!)).toBeLessThanOrEqual(1);
      }),
    );
  });

  it('does not let a backend that was down catch up', () => {
    const policy = policyOf('round-robin', backendsOf([1, 1, 1]));
    sequence(policy, [1, 1, 1], 300, (position) => position !== 0);
    const after = sequence(policy, [1, 1, 1], 30);
    expect(
      chiSquare(
        [0, 1, 2].map((i) => after.filter((position) => position === i).length),
        [1, 1, 1],
      ),
    ).toBe(0);
  });

  it('follows the live weight', () => {
    const policy = policyOf('round-robin', backendsOf([4, 4]));
    const loads = {
      active: () => 0,
      weight: (position: number) => (position === 0 ? 4 : 0.5),
      ready: () => 1,
    };
    let second = 0;
    for (let i = 0; i < 90; i++) {
      policy.start(key, loads);
      second += policy.next();
    }
    expect(second).toBe(10);
  });
});
