import { describe, expect, it } from 'vitest';
import { hashPolicies } from '../plan.ts';
import type { Loads } from './policy.ts';
import { backendsOf, clientKeys, equalBackends, policyOf, positionsFor } from './pool.fixture.ts';

const keys = clientKeys(8_000);
const backends = equalBackends(4);

/** Where each client goes when the backends have so much of their share. */
function placesWith(ready: readonly number[], policy = policyOf('maglev', backends, { slowStartMs: 1 })) {
  const loads: Loads = { active: () => 0, weight: (i) => ready[i]!, ready: (i) => ready[i]! };
  return keys.map((key) => {
    policy.start(key, loads);
    return policy.next();
  });
}

describe.each(hashPolicies)('%s', (name) => {
  const policy = policyOf(name, backends, { slowStartMs: 1 });
  const whole = placesWith([1, 1, 1, 1], policy);

  it('gives who has just come up its part of its own keys, more as it grows, and moves nobody else', () => {
    let before = new Set<number>();
    for (const ready of [0.1, 0.4, 0.9]) {
      const places = placesWith([1, 1, ready, 1], policy);
      const own = [...whole.keys()].filter((i) => whole[i] === 2);
      const has = new Set([...places.keys()].filter((i) => places[i] === 2));
      // Some 2,000 keys: four standard deviations are 0.045.
      expect(Math.abs(has.size / own.length - ready)).toBeLessThan(0.05);
      for (const i of before) expect(has).toContain(i);
      for (const [i, place] of places.entries()) if (whole[i] !== 2) expect(place).toBe(whole[i]);
      before = has;
    }
  });

  it('where all have just come up everybody is where he belongs', () => {
    expect(placesWith([0.3, 0.3, 0.3, 0.3], policy)).toEqual(whole);
  });

  it('names every backend once, those that hold back last', () => {
    const loads: Loads = { active: () => 0, weight: () => 1, ready: (i) => [1, 0.000_01, 1, 0][i]! };
    for (const key of keys.slice(0, 50)) {
      const positions = positionsFor(policy, key, loads);
      expect(positions.toSorted()).toEqual([0, 1, 2, 3]);
      expect(positions.at(-1)).toBe(1);
    }
  });
});

it('a tier that comes back gets its clients by and by, and not to the loss of one that came up with it', () => {
  const tiers = backendsOf([1, 1, 1, 1]).map((backend, i) => ({ ...backend, tier: i < 2 ? 0 : 1 }));
  const policy = policyOf('maglev', tiers, { slowStartMs: 1, spillBelow: 1 });
  const first = (ready: readonly number[]): number =>
    placesWith(ready, policy).filter((place) => place < 2).length / keys.length;
  expect(first([0, 0, 1, 1])).toBe(0);
  expect(first([0.1, 0.1, 1, 1])).toBeCloseTo(0.1, 1);
  expect(first([0.6, 0.6, 1, 1])).toBeCloseTo(0.6, 1);
  expect(first([0.1, 0.1, 0.1, 0.1]), 'all were down together').toBe(1);
});
