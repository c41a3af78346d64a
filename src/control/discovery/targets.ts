/**
 * Where the backends of some pools are, as far as that can be said soon: a start or a reload must not wait for a name
 * server that is away. Names whose answer is late are to be asked for again once the others serve.
 */
import type { BackendPlan, Bind, PoolPlan } from '../../core/plan.ts';
import { resolveAddress } from './resolve.ts';

/** More than glibc takes when its first name server is away: it asks the second after 5 s (resolv.conf(5), `timeout`). */
const resolveWithinMs = 7_000;

/** undefined: the name does not resolve. */
export type Targets = ReadonlyMap<BackendPlan, Bind | 'late' | undefined>;

/** Asks for all names side by side. */
export async function findTargets(pools: readonly PoolPlan[]): Promise<Targets> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(resolve, resolveWithinMs, 'late');
  });
  const targets = new Map<BackendPlan, Bind | 'late' | undefined>();
  const find = async (plan: BackendPlan): Promise<void> => {
    targets.set(plan, await Promise.race([resolveAddress(plan.address), late]));
  };
  await Promise.all(pools.flatMap(({ backends }) => backends.map(find)));
  clearTimeout(timer);
  return targets;
}

/** What a target that is none is put down to. */
export function unresolvedBecause(target: Bind | 'late' | undefined): string {
  return target === 'late'
    ? `its name has not resolved within ${resolveWithinMs / 1000} s`
    : 'its name does not resolve';
}
