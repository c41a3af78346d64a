/**
 * Tiers: which backends come first, and how many clients go past them. The order is that of the file (`priority`), inside
 * a priority the instance's own zone, and after all others those that are a `backup`.
 *
 *    priority 1, own zone | priority 1, other zones | priority 2, own zone | ... || backups
 *
 * Clients spill over by share and not at once: a tier that has lost more than `spill_below` allows keeps the part of the
 * clients it can carry, and the next ones have the rest. That is Envoy's priority load with an overprovisioning factor of
 * 1 / spill_below (envoyproxy.io, "Priority levels"): 70 % is its default of 1.4. Which clients spill is decided by their hash
 * (policy/tiered.ts), so that one who has spilled is not called back and forth as the share moves.
 */

import type { BackendPlan } from './plan.ts';
import type { BackendView } from './snapshot.ts';

export interface Placed {
  /** 1 is the first. */
  readonly priority: number;
  /** Only for when none of the others can serve. */
  readonly isBackup: boolean;
  readonly zone: string | undefined;
}

/**
 * The tier of each backend, from 0, without gaps.
 * @param zone of this instance; undefined: it has none, and those of backends mean nothing
 */
export function tiersOf(backends: readonly Placed[], zone: string | undefined): number[] {
  const ranks = backends.map((backend) => rankOf(backend, zone));
  const distinct = [...new Set(ranks)].sort((a, b) => a - b);
  return ranks.map((rank) => distinct.indexOf(rank));
}

/** What the data plane may know of it, for each backend of a pool. */
export function tierViewsOf({
  backends,
  zone,
}: {
  readonly backends: readonly BackendPlan[];
  readonly zone?: string | undefined;
}): Pick<BackendView, 'tier' | 'isBackup'>[] {
  const placed = backends.map((plan) => ({
    priority: plan.priority ?? 1,
    isBackup: plan.isBackup ?? false,
    zone: plan.zone,
  }));
  const tiers = tiersOf(placed, zone);
  return placed.map(({ isBackup }, i) => ({
    ...(tiers[i] === 0 ? {} : { tier: tiers[i]! }),
    ...(isBackup ? { isBackup } : {}),
  }));
}

/** The tier of each backend as people count, from 1. */
export function tierNumbersOf(pool: Parameters<typeof tierViewsOf>[0]): ReadonlyMap<BackendPlan, number> {
  const views = tierViewsOf(pool);
  return new Map(pool.backends.map((plan, i) => [plan, (views[i]?.tier ?? 0) + 1]));
}

function rankOf({ priority, isBackup, zone }: Placed, ownZone: string | undefined): number {
  const isElsewhere = ownZone !== undefined && zone !== ownZone;
  return (isBackup ? 1_000_000 : 0) + priority * 2 + (isElsewhere ? 1 : 0);
}

/**
 * Shares clients out to tiers.
 * @param ready the weight of each that can have clients now
 * @param whole the weight it is configured with, above 0
 * @param spillBelow 0 to 1: the ready share of a tier below which clients go past it; 0: not while anybody of it is ready
 * @param shares gets the part of the clients of each tier from `from` up to, and without, `to`: 1 in all, or 0 where none is ready
 * @returns what they are in all: 1 or 0
 */
export function shareOut(
  ready: Float64Array,
  whole: Float64Array,
  spillBelow: number,
  shares: Float64Array,
  from: number,
  to: number,
): number {
  let given = 0;
  for (let tier = from; tier < to; tier++) {
    const share = Math.min(1 - given, healthOf(ready[tier]! / whole[tier]!, spillBelow));
    shares[tier] = share;
    given += share;
  }
  if (given >= 1) return 1;
  // All together cannot carry all clients as they should: each takes more, in proportion.
  if (given > 0) for (let tier = from; tier < to; tier++) shares[tier]! /= given;
  return given > 0 ? 1 : 0;
}

/** How much of the clients a tier can carry by itself. */
function healthOf(readyShare: number, spillBelow: number): number {
  if (readyShare <= 0) return 0;
  return readyShare >= spillBelow ? 1 : readyShare / spillBelow;
}
