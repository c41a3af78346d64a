import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { backendsOf, clientKeys, idleLoads, policyOf, positionsFor } from './pool.fixture.ts';

const key = clientKeys(1)[0]!;

describe('LeastConnections', () => {
  it('orders by flows for each unit of weight', () => {
    const open = [4, 3, 10, 0];
    const backends = backendsOf([1, 1, 5, 1]);
    const loads = { ...idleLoads(backends), active: (position: number) => open[position]! };
    // 4, 3, 2 and 0 flows a unit.
    expect(positionsFor(policyOf('least-connections', backends), key, loads)).toEqual([3, 2, 1, 0]);
  });

  it('fills backends in proportion to their weights', () => {
    const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(weights, (all) => {
        const open = all.map(() => 0);
        const backends = backendsOf(all);
        const loads = { ...idleLoads(backends), active: (position: number) => open[position]! };
        const policy = policyOf('least-connections', backends);
        const total = all.reduce((sum, weight) => sum + weight, 0);
        for (let i = 0; i < total * 5; i++) {
          policy.start(key, loads);
          open[policy.next()]!++;
        }
        expect(open).toEqual(all.map((weight) => weight * 5));
      }),
    );
  });

  it('lets idle equals take turns by weight', () => {
    const backends = backendsOf([2, 1, 1]);
    const policy = policyOf('least-connections', backends);
    const counts = [0, 0, 0];
    for (let i = 0; i < 400; i++) {
      policy.start(key, idleLoads(backends));
      counts[policy.next()]!++;
    }
    expect(counts).toEqual([200, 100, 100]);
  });

  it('shares the turns of a down backend evenly, and gives it no burst when it is back', () => {
    const backends = backendsOf([1, 1, 1, 1]);
    const policy = policyOf('least-connections', backends);
    const run = (isUp: (position: number) => boolean): number[] => {
      const counts = [0, 0, 0, 0];
      for (let i = 0; i < 300; i++) {
        policy.start(key, idleLoads(backends));
        let position = policy.next();
        while (!isUp(position)) position = policy.next();
        counts[position]!++;
      }
      return counts;
    };
    expect(run((position) => position !== 0)).toEqual([0, 100, 100, 100]);
    // The second run may begin and end in the middle of a turn.
    for (const count of run(() => true)) expect(Math.abs(count - 75)).toBeLessThanOrEqual(1);
  });
});
