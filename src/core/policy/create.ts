/** From a pool's plan to its policy: the one place that knows them all. */
import type { PoolPlan } from '../plan.ts';
import { Bounded } from './bounded.ts';
import { type Candidate, candidatesOf } from './candidates.ts';
import { LeastConnections } from './least-connections.ts';
import { Maglev } from './maglev.ts';
import type { Policy, PolicyBackend } from './policy.ts';
import { PowerOfTwo } from './power-of-two.ts';
import { Ramped } from './ramped.ts';
import { Rendezvous } from './rendezvous.ts';
import { Ring } from './ring.ts';
import { RoundRobin } from './round-robin.ts';
import { Tiered } from './tiered.ts';

export interface PolicyPool {
  readonly plan: Pick<PoolPlan, 'policy' | 'bound' | 'tableSize' | 'identity' | 'spillBelow' | 'slowStartMs'>;
  readonly backends: readonly PolicyBackend[];
}

/**
 * A new cursor over the pool's backends. `random` gives numbers from 0 (included) to 1 (excluded).
 * `bound` applies to the hash policies and is ignored by the others, which look at the load anyway.
 * Throws RangeError for a table size that is not a prime or a bound below 1; the configuration refuses both.
 */
export function createPolicy(pool: PolicyPool, random: () => number): Policy {
  const { plan, backends } = pool;
  const candidates = candidatesOf(backends, plan.identity);
  const tierOf = ({ position }: Candidate): number => backends[position]?.tier ?? 0;
  const tiers = [...new Set(candidates.map(tierOf))].sort((a, b) => a - b);
  if (tiers.length < 2) return policyAmong(candidates, plan, random);
  return new Tiered(
    tiers.map((tier) => {
      const ofTier = candidates.filter((candidate) => tierOf(candidate) === tier);
      const isBackup = backends[ofTier[0]!.position]!.isBackup === true;
      return { number: tier, policy: policyAmong(ofTier, plan, random), candidates: ofTier, isBackup };
    }),
    plan.spillBelow,
  );
}

function policyAmong(
  candidates: readonly Candidate[],
  plan: PolicyPool['plan'],
  random: () => number,
): Policy {
  switch (plan.policy) {
    case 'maglev':
      return wrapped(new Maglev(candidates, plan.tableSize), candidates, plan);
    case 'rendezvous':
      return wrapped(new Rendezvous(candidates), candidates, plan);
    case 'ring':
      return wrapped(new Ring(candidates), candidates, plan);
    case 'least-connections':
      return new LeastConnections(candidates);
    case 'power-of-two':
      return new PowerOfTwo(candidates, random);
    case 'round-robin':
      return new RoundRobin(candidates);
  }
}

/**
 * Whether both pools get the same policy, so that one made for the first serves the second. Making one takes up to a second for
 * the largest rings and tables, in which a worker does nothing else: a change of `max_connections` must not cost that.
 */
export function samePolicy(one: PolicyPool, other: PolicyPool): boolean {
  return policyText(one) === policyText(other);
}

function policyText({ plan, backends }: PolicyPool): string {
  const { policy, bound, tableSize, identity, spillBelow, slowStartMs } = plan;
  const inputs = backends.map(({ name, addressText, weight, tier, isBackup }) => [
    name,
    addressText,
    weight,
    tier ?? 0,
    isBackup ?? false,
  ]);
  return JSON.stringify([policy, bound, tableSize, identity, spillBelow, slowStartMs > 0, inputs]);
}

/** A hash policy and what its pool wants around it. The others go by the weights in force, of which slow start is a part. */
function wrapped(
  policy: Policy,
  candidates: readonly Candidate[],
  { bound, slowStartMs }: PolicyPool['plan'],
): Policy {
  const bounded = bound === undefined ? policy : new Bounded(policy, candidates, bound);
  return slowStartMs === 0 ? bounded : new Ramped(bounded, candidates);
}
