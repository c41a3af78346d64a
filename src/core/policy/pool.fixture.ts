/** Pools, keys and loads for the tests of the policies. */
import { Address } from '../address.ts';
import { Key } from '../key.ts';
import { seededRandom } from '../seeded-random.fixture.ts';
import { createPolicy, type PolicyPool } from './create.ts';
import type { Loads, Policy, PolicyBackend } from './policy.ts';

/** Backends b0, b1, ... at 10.0.0.0:5432, 10.0.0.1:5432, ... with these weights. */
export function backendsOf(weights: readonly number[]): PolicyBackend[] {
  return weights.map((weight, i) => ({
    id: i + 1,
    name: `b${i}`,
    addressText: `10.0.${i >> 8}.${i & 255}:5432`,
    weight,
  }));
}

export function equalBackends(count: number): PolicyBackend[] {
  return backendsOf(new Array<number>(count).fill(1));
}

/** Clients 10.0.0.0, 10.0.0.1, ...: neighbours, as in life, so that a weak hash shows. */
export function clientKeys(count: number): Key[] {
  return Array.from({ length: count }, (_, i) => new Key('client-ip', Address.v4(0x0a000000 + i, 0)));
}

/** Nothing open, every weight as configured. */
export function idleLoads(backends: readonly PolicyBackend[]): Loads {
  return { active: () => 0, weight: (position) => backends[position]!.weight, ready: () => 1 };
}

export function policyOf(
  policy: PolicyPool['plan']['policy'],
  backends: readonly PolicyBackend[],
  plan: Partial<PolicyPool['plan']> = {},
): Policy {
  return createPolicy(
    {
      plan: {
        policy,
        bound: undefined,
        tableSize: 65_537,
        identity: 'name',
        spillBelow: 0.7,
        slowStartMs: 0,
        ...plan,
      },
      backends,
    },
    seededRandom(1),
  );
}

/** All positions that come for `key`, up to and without the -1. Fails after `limit`. */
export function positionsFor(policy: Policy, key: Key, loads: Loads, limit = 10_000): number[] {
  const positions: number[] = [];
  policy.start(key, loads);
  for (let position = policy.next(); position >= 0; position = policy.next()) {
    positions.push(position);
    if (positions.length > limit) throw new Error('the cursor does not end');
  }
  return positions;
}

/** How many of `keys` come to each backend first. */
export function firstCounts(
  policy: Policy,
  keys: readonly Key[],
  backends: readonly PolicyBackend[],
): number[] {
  const counts = backends.map(() => 0);
  const loads = idleLoads(backends);
  for (const key of keys) {
    policy.start(key, loads);
    counts[policy.next()]!++;
  }
  return counts;
}

/** Pearson's chi-square of `counts` against shares in proportion to `weights`. */
export function chiSquare(counts: readonly number[], weights: readonly number[]): number {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const totalWeight = weights.reduce((sum, weight) => sum + weight, 0);
  return counts.reduce((sum, count, i) => {
    const expected = (total * weights[i]!) / totalWeight;
    return sum + (count - expected) ** 2 / expected;
  }, 0);
}
