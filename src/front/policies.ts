/**
 * Policies for `explain`. Making that of a large ring or table takes half a second in which this thread answers nobody, so
 * one that is made is kept. Only of those that hash: the others keep a cursor, and the next who asks would see it moved.
 */
import { explainPoliciesMax } from '../core/limits.ts';
import { hashPolicies } from '../core/plan.ts';
import { createPolicy, samePolicy } from '../core/policy/create.ts';
import type { Policy } from '../core/policy/policy.ts';
import type { PoolView } from '../core/snapshot.ts';

interface Made {
  readonly pool: PoolView;
  readonly policy: Policy;
}

export class KeptPolicies {
  /** By the pool's id, the one that was asked for last at the end. */
  readonly #made = new Map<number, Made>();

  /** True if {@link of} takes no more than a moment. */
  isAtHand(pool: PoolView): boolean {
    return !hashPolicies.includes(pool.plan.policy) || this.#kept(pool) !== undefined;
  }

  of(pool: PoolView): Policy {
    const policy = this.#kept(pool) ?? createPolicy(pool, Math.random);
    if (!hashPolicies.includes(pool.plan.policy)) return policy;
    this.#made.delete(pool.id);
    this.#made.set(pool.id, { pool, policy });
    const [first] = this.#made.keys();
    if (this.#made.size > explainPoliciesMax && first !== undefined) this.#made.delete(first);
    return policy;
  }

  #kept(pool: PoolView): Policy | undefined {
    const made = this.#made.get(pool.id);
    const isSame = made !== undefined && (made.pool === pool || samePolicy(made.pool, pool));
    return isSame ? made.policy : undefined;
  }
}
