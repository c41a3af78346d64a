import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PolicyName, policyNames } from '../plan.ts';
import { seededRandom } from '../seeded-random.fixture.ts';
import type { Loads, PolicyBackend } from './policy.ts';
import { backendsOf, clientKeys, equalBackends, idleLoads, policyOf, positionsFor } from './pool.fixture.ts';

// The laws every policy keeps; each policy's own are beside it.

const hashPolicies: readonly PolicyName[] = ['maglev', 'rendezvous', 'ring'];
const cases = [
  ...policyNames.map((policy) => ({ policy, bound: undefined as number | undefined })),
  ...hashPolicies.map((policy) => ({ policy, bound: 1.25 })),
];
const weight = fc.oneof(fc.integer({ min: 0, max: 5 }), fc.constantFrom(0, 1, 256));
const identity = fc.constantFrom('name' as const, 'address' as const);
const keys = clientKeys(64);

/** Loads of which any backend may have a live weight of 0, a part of its weight, or all of it. */
function randomLoads(backends: readonly PolicyBackend[], seed: number): Loads {
  const random = seededRandom(seed);
  const active = backends.map(() => Math.floor(random() * 20));
  const weights = backends.map((backend) => backend.weight * [0, random(), 1][Math.floor(random() * 3)]!);
  return {
    active: (position) => active[position]!,
    weight: (position) => weights[position]!,
    ready: (position) => Math.min(1, weights[position]!),
  };
}

describe.each(cases)('$policy, bound $bound', ({ policy, bound }) => {
  it('names each backend with a weight exactly once, then -1 for ever', () => {
    fc.assert(
      fc.property(fc.array(weight, { maxLength: 12 }), fc.integer(), identity, (weights, seed, text) => {
        const backends = backendsOf(weights);
        const expected = [...weights.keys()].filter((position) => weights[position]! > 0);
        const cursor = policyOf(policy, backends, { bound, tableSize: 251, identity: text });
        for (const key of keys.slice(0, 5)) {
          const positions = positionsFor(cursor, key, randomLoads(backends, seed));
          expect(positions.toSorted((a, b) => a - b)).toEqual(expected);
          expect(cursor.next()).toBe(-1);
        }
      }),
    );
  });

  it('starts afresh wherever the last caller stopped', () => {
    const backends = equalBackends(7);
    const cursor = policyOf(policy, backends, { bound });
    for (const [i, key] of keys.entries()) {
      cursor.start(key, idleLoads(backends));
      for (let taken = 0; taken < i % 8; taken++) cursor.next();
      expect(new Set(positionsFor(cursor, key, idleLoads(backends))).size).toBe(7);
    }
  });

  it('works with 1000 backends', () => {
    const backends = equalBackends(1000);
    const cursor = policyOf(policy, backends, { bound });
    for (const key of keys.slice(0, 5)) {
      expect(new Set(positionsFor(cursor, key, randomLoads(backends, 7))).size).toBe(1000);
    }
  });

  it('names two backends of one address once each', () => {
    const backends = backendsOf([1, 1, 1]).map((backend) => ({ ...backend, addressText: '10.0.0.1:5432' }));
    const cursor = policyOf(policy, backends, { bound, identity: 'address' });
    expect(positionsFor(cursor, keys[0]!, idleLoads(backends)).toSorted()).toEqual([0, 1, 2]);
  });
});

describe.each(hashPolicies)('%s', (policy) => {
  it('does not care for the order of the file', () => {
    const pool = fc
      .array(weight, { minLength: 1, maxLength: 12 })
      .map(backendsOf)
      .chain((backends) =>
        fc.tuple(
          fc.constant(backends),
          fc.shuffledSubarray(backends, { minLength: backends.length, maxLength: backends.length }),
        ),
      );
    fc.assert(
      fc.property(pool, identity, ([backends, shuffled], text) => {
        const plan = { tableSize: 251, identity: text };
        const one = policyOf(policy, backends, plan);
        const other = policyOf(policy, shuffled, plan);
        for (const key of keys) {
          const names = positionsFor(one, key, idleLoads(backends)).map(
            (position) => backends[position]!.name,
          );
          const same = positionsFor(other, key, idleLoads(shuffled)).map(
            (position) => shuffled[position]!.name,
          );
          expect(same).toEqual(names);
        }
      }),
    );
  });

  it('does not look at live weights or loads', () => {
    const backends = backendsOf([1, 2, 3, 4]);
    const cursor = policyOf(policy, backends);
    for (const key of keys) {
      const idle = positionsFor(cursor, key, idleLoads(backends));
      expect(positionsFor(cursor, key, randomLoads(backends, 3))).toEqual(idle);
    }
  });

  it('hashes the address when told so', () => {
    const backends = equalBackends(5);
    const renamed = backends.map((backend) => ({ ...backend, name: `other-${backend.name}` }));
    const first = (pool: PolicyBackend[], identity: 'name' | 'address'): number[] =>
      keys.map((key) => positionsFor(policyOf(policy, pool, { identity }), key, idleLoads(pool))[0]!);
    expect(first(renamed, 'address')).toEqual(first(backends, 'address'));
    expect(first(renamed, 'name')).not.toEqual(first(backends, 'name'));
  });
});

describe.each(['least-connections', 'power-of-two', 'round-robin'] as const)('%s', (policy) => {
  it('puts backends with a live weight of 0 last', () => {
    fc.assert(
      fc.property(fc.array(weight, { minLength: 1, maxLength: 12 }), fc.integer(), (weights, seed) => {
        const backends = backendsOf(weights);
        const loads = randomLoads(backends, seed);
        const positions = positionsFor(policyOf(policy, backends), keys[0]!, loads);
        const isLive = positions.map((position) => loads.weight(position) > 0);
        expect(isLive).toEqual(isLive.toSorted((a, b) => Number(b) - Number(a)));
      }),
    );
  });
});
