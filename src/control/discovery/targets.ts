/** Where the backends of some pools are: every name asked for once, side by side. */
import type { BackendPlan, Bind, PoolPlan } from '../../core/plan.ts';
import { resolveAddress } from './resolve.ts';

/** undefined: the name does not resolve. */
export type Targets = ReadonlyMap<BackendPlan, Bind | undefined>;

export async function findTargets(pools: readonly PoolPlan[]): Promise<Targets> {
  const plans = pools.flatMap(({ backends }) => backends);
  return new Map(
    await Promise.all(
      plans.map(async (plan): Promise<[BackendPlan, Bind | undefined]> => {
        return [plan, await resolveAddress(plan.address)];
      }),
    ),
  );
}
