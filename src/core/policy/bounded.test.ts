import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Bounded } from './bounded.ts';
import { backendsOf, clientKeys, equalBackends, idleLoads, policyOf, positionsFor } from './pool.fixture.ts';

const hashPolicies = ['maglev', 'rendezvous', 'ring'] as const;

describe.each(hashPolicies)('Bounded %s', (policy) => {
  it.each([
    { bound: 1, weights: [1, 1, 1, 1, 1, 1, 1] },
    { bound: 1.25, weights: [1, 2, 3, 4, 20] },
    { bound: 2, weights: new Array<number>(50).fill(1) },
  ])('keeps 10,000 flows within bound $bound at every step', ({ bound, weights }) => {
    const backends = backendsOf(weights);
    const cursor = policyOf(policy, backends, { bound });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const open = weights.map(() => 0);
    const loads = { ...idleLoads(backends), active: (position: number) => open[position]! };
    // A third of the flows come from one client: what the bound is for.
    for (const [i, key] of clientKeys(10_000).entries()) {
      cursor.start(i % 3 === 0 ? clientKeys(1)[0]! : key, loads);
      const position = cursor.next();
      open[position]!++;
      expect(open[position]).toBeLessThanOrEqual(Math.ceil((bound * (i + 1) * weights[position]!) / total));
    }
  });

  it('puts the full ones last and keeps both orders', () => {
    const open = fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 6, maxLength: 6 });
    const backends = equalBackends(6);
    const plain = policyOf(policy, backends);
    const bounded = policyOf(policy, backends, { bound: 1.5 });
    fc.assert(
      fc.property(open, fc.constantFrom(...clientKeys(20)), (active, key) => {
        const loads = { ...idleLoads(backends), active: (position: number) => active[position]! };
        const flowsMax = Math.ceil((1.5 * (active.reduce((sum, count) => sum + count, 0) + 1)) / 6);
        const order = positionsFor(plain, key, loads);
        const hasRoom = (position: number): boolean => active[position]! + 1 <= flowsMax;
        expect(positionsFor(bounded, key, loads)).toEqual([
          ...order.filter(hasRoom),
          ...order.filter((position) => !hasRoom(position)),
        ]);
      }),
    );
  });
});

describe('Bounded', () => {
  it('follows the hash while nobody is full', () => {
    const backends = equalBackends(4);
    const loads = { ...idleLoads(backends), active: () => 100 };
    for (const key of clientKeys(50)) {
      expect(positionsFor(policyOf('maglev', backends, { bound: 1.25 }), key, loads)).toEqual(
        positionsFor(policyOf('maglev', backends), key, loads),
      );
    }
  });

  it('is not fooled by binary fractions', () => {
    // 1.1 * 10 is 11.000000000000002: the eleventh flow has room, a twelfth has not.
    const backends = equalBackends(2);
    const full = { ...idleLoads(backends), active: () => 9 };
    const inner = policyOf('rendezvous', equalBackends(2));
    const candidates = [0, 1].map((position) => ({
      position,
      name: `b${position}`,
      identity: `b${position}`,
      weight: 1,
    }));
    const cursor = new Bounded(inner, candidates, 1.1);
    // 19 open and one to come: 1.1 * 20 / 2 = 11 each.
    const key = clientKeys(1)[0]!;
    const [first] = positionsFor(inner, key, full);
    const openOf = (count: number) => ({
      ...full,
      active: (p: number) => (p === first ? count : 19 - count),
    });
    expect(positionsFor(cursor, key, openOf(10))[0]).toBe(first);
    expect(positionsFor(cursor, key, openOf(11))[0]).not.toBe(first);
  });

  it('refuses a bound below 1', () => {
    expect(() => policyOf('ring', equalBackends(2), { bound: 0.9 })).toThrow(RangeError);
    expect(() => policyOf('ring', equalBackends(2), { bound: Number.NaN })).toThrow(RangeError);
  });
});
