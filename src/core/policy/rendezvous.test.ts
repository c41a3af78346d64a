import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PolicyBackend } from './policy.ts';
import {
  backendsOf,
  chiSquare,
  clientKeys,
  equalBackends,
  firstCounts,
  idleLoads,
  policyOf,
  positionsFor,
} from './pool.fixture.ts';

const keys = clientKeys(300);
const orders = (backends: readonly PolicyBackend[]): number[][] =>
  keys.map((key) => positionsFor(policyOf('rendezvous', backends), key, idleLoads(backends)));

describe('Rendezvous', () => {
  it('only takes the leaving backend out of each order', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(weights, fc.nat(), (all, pick) => {
        const leaving = pick % all.length;
        const before = orders(backendsOf(all));
        const after = orders(backendsOf(all.with(leaving, 0)));
        expect(after).toEqual(before.map((order) => order.filter((position) => position !== leaving)));
      }),
      { numRuns: 30 },
    );
  });

  it('moves keys only to the backend whose weight grows', () => {
    const before = orders(backendsOf([1, 2, 3]));
    const after = orders(backendsOf([1, 4, 3]));
    const moved = after.filter((order, i) => order[0] !== before[i]![0]);
    expect(moved.length).toBeGreaterThan(0);
    expect(moved.every((order) => order[0] === 1)).toBe(true);
  });

  // Critical values of chi-square at p = 0.0001: the keys are fixed, so a pass is a pass for ever.
  it.each([
    { weights: [1, 1], limit: 15.1 },
    { weights: [1, 2, 3, 4], limit: 21.1 },
    { weights: [1, 1, 1, 1, 1, 1, 1, 1, 1, 256], limit: 33.7 },
    { weights: new Array<number>(100).fill(1), limit: 160 },
  ])('shares as weighted: $weights', ({ weights, limit }) => {
    const backends = backendsOf(weights);
    const counts = firstCounts(policyOf('rendezvous', backends), clientKeys(100_000), backends);
    expect(chiSquare(counts, weights)).toBeLessThan(limit);
  });

  it('shares the clients of each backend evenly among the second choices', () => {
    const backends = equalBackends(5);
    const policy = policyOf('rendezvous', backends);
    const pairs = new Array<number>(25).fill(0);
    for (const key of clientKeys(100_000)) {
      const [first, second] = positionsFor(policy, key, idleLoads(backends));
      pairs[first! * 5 + second!]!++;
    }
    const others = pairs.filter((_, i) => i % 6 !== 0);
    // 19 degrees of freedom, p = 0.0001.
    expect(chiSquare(others, new Array<number>(20).fill(1))).toBeLessThan(50.8);
  });

  it('takes first what its full order has first', () => {
    // The first pick skips logarithms; the order computes them all.
    const weights = Array.from({ length: 200 }, (_, i) => (i % 7) + 1);
    const backends = backendsOf(weights);
    const policy = policyOf('rendezvous', backends);
    for (const key of keys.slice(0, 100)) {
      const [first, second] = positionsFor(policy, key, idleLoads(backends));
      const without = backendsOf(weights.with(first!, 0));
      expect(positionsFor(policyOf('rendezvous', without), key, idleLoads(without))[0]).toBe(second);
    }
  });

  it('chooses as every version before it', () => {
    const backends = backendsOf([1, 2, 1, 5, 1]);
    expect(
      orders(backends)
        .slice(0, 12)
        .map((order) => order.join('')),
    ).toEqual([
      '13204',
      '23140',
      '34120',
      '43102',
      '32401',
      '31024',
      '34102',
      '12304',
      '30142',
      '13402',
      '43201',
      '10432',
    ]);
  });
});
