import { expect, test } from 'vitest';
import { explainPoliciesMax } from '../core/limits.ts';
import { clientKeys, equalBackends, idleLoads } from '../core/policy/pool.fixture.ts';
import type { PoolView } from '../core/snapshot.ts';
import { KeptPolicies } from './policies.ts';

function poolOf(id: number, policy: string, backends = 3): PoolView {
  const plan = { policy, bound: undefined, tableSize: 251, identity: 'name' };
  return { id, version: 1, plan, backends: equalBackends(backends) } as unknown as PoolView;
}

test('a policy that hashes is made once, and anew when its pool is another', () => {
  const policies = new KeptPolicies();
  for (const policy of ['maglev', 'rendezvous', 'ring']) {
    expect(policies.isAtHand(poolOf(1, policy))).toBe(false);
    const first = policies.of(poolOf(1, policy));
    expect(policies.isAtHand(poolOf(1, policy))).toBe(true);
    // Each snapshot that is published brings pools of its own.
    expect(policies.of(poolOf(1, policy))).toBe(first);
    const larger = policies.of(poolOf(1, policy, 4));
    expect(larger).not.toBe(first);
    const backends = equalBackends(4);
    const chosen = clientKeys(100).map((key) => {
      larger.start(key, idleLoads(backends));
      return larger.next();
    });
    expect(new Set(chosen)).toEqual(new Set([0, 1, 2, 3]));
  }
});

test('a policy that takes turns is not kept: who asks would move it', () => {
  const policies = new KeptPolicies();
  for (const policy of ['round-robin', 'least-connections', 'power-of-two']) {
    expect(policies.isAtHand(poolOf(1, policy))).toBe(true);
    expect(policies.of(poolOf(1, policy))).not.toBe(policies.of(poolOf(1, policy)));
  }
});

test('of many pools those that were asked for last are kept', () => {
  const policies = new KeptPolicies();
  const made = Array.from({ length: explainPoliciesMax }, (_, i) => policies.of(poolOf(i, 'maglev')));
  expect(policies.of(poolOf(0, 'maglev'))).toBe(made[0]);
  policies.of(poolOf(explainPoliciesMax, 'maglev'));
  expect(policies.of(poolOf(0, 'maglev'))).toBe(made[0]);
  expect(policies.of(poolOf(1, 'maglev'))).not.toBe(made[1]);
});
