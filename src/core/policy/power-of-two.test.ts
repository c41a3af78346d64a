import { describe, expect, it } from 'vitest';
import { seededRandom } from '../seeded-random.fixture.ts';
import { candidatesOf } from './candidates.ts';
import { backendsOf, chiSquare, clientKeys, equalBackends, idleLoads, positionsFor } from './pool.fixture.ts';
import { PowerOfTwo } from './power-of-two.ts';

const key = clientKeys(1)[0]!;

/** A source of randomness that says the given numbers in turn. */
function scripted(...numbers: number[]): () => number {
  return () => {
    const number = numbers.shift();
    if (number === undefined) throw new Error('more draws than expected');
    return number;
  };
}

describe('PowerOfTwo', () => {
  it('names the less loaded of the two drawn, the other, then the rest in order', () => {
    const open = [9, 1, 5, 0];
    const backends = equalBackends(4);
    const loads = { ...idleLoads(backends), active: (position: number) => open[position]! };
    // 0.5 of 4 is backend 2; of the other three (0, 1, 3) the first is 0.
    const policy = new PowerOfTwo(candidatesOf(backends, 'name'), scripted(0.5, 0));
    expect(positionsFor(policy, key, loads)).toEqual([2, 0, 3, 1]);
  });

  it('weighs the load by the weight', () => {
    const open = [4, 10];
    const backends = backendsOf([1, 5]);
    const loads = { ...idleLoads(backends), active: (position: number) => open[position]! };
    const policy = new PowerOfTwo(candidatesOf(backends, 'name'), scripted(0, 0));
    expect(positionsFor(policy, key, loads)).toEqual([1, 0]);
  });

  it('draws in proportion to the live weights', () => {
    const backends = backendsOf([1, 2, 3, 4]);
    const live = [1, 2, 1.5, 1];
    const policy = new PowerOfTwo(candidatesOf(backends, 'name'), seededRandom(5));
    // Equal loads: the first drawn comes first.
    const loads = {
      active: (position: number) => live[position]!,
      weight: (position: number) => live[position]!,
      ready: () => 1,
    };
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 50_000; i++) {
      policy.start(key, loads);
      counts[policy.next()]!++;
    }
    // 3 degrees of freedom, p = 0.0001; the seed is fixed.
    expect(chiSquare(counts, live)).toBeLessThan(21.1);
  });

  it('draws two that differ, also at the ends of the line', () => {
    const backends = backendsOf([1, 256, 1]);
    const almostOne = 1 - 2 ** -53;
    for (const one of [0, 0.5, almostOne]) {
      for (const two of [0, 0.5, almostOne]) {
        const policy = new PowerOfTwo(candidatesOf(backends, 'name'), scripted(one, two));
        expect(new Set(positionsFor(policy, key, idleLoads(backends))).size).toBe(3);
      }
    }
  });

  it('keeps the fullest backend far nearer the average than one random draw', () => {
    const backends = equalBackends(100);
    const fill = (isTwo: boolean): number => {
      const open = backends.map(() => 0);
      const loads = { ...idleLoads(backends), active: (position: number) => (isTwo ? open[position]! : 0) };
      const policy = new PowerOfTwo(candidatesOf(backends, 'name'), seededRandom(9));
      for (let i = 0; i < 10_000; i++) {
        policy.start(key, loads);
        open[policy.next()]!++;
      }
      return Math.max(...open);
    };
    // 100 flows each on average. Mitzenmacher: the excess is about log log n, against sqrt(100 log n) for one draw.
    expect(fill(true)).toBeLessThanOrEqual(105);
    expect(fill(false)).toBeGreaterThan(115);
  });
});
