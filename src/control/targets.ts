/**
 * Where the backends of some pools are, as far as that can be said soon: a start or a reload must not wait for a name
 * server that is away. Names whose answer is late are to be asked for again once the others serve.
 */
import type { Checks } from '../checks/client.ts';
import type { Target } from '../checks/resolve.ts';
import type { BackendPlan, PoolPlan } from '../core/plan.ts';

/** More than glibc takes when its first name server is away: it asks the second after 5 s (resolv.conf(5), `timeout`). */
const resolveWithinMs = 7_000;

export type Targets = ReadonlyMap<BackendPlan, Target>;

interface Finding {
  /** Milliseconds. */
  readonly withinMs?: number;
  /** Where a backend is that need not be asked for; undefined: nobody knows. */
  readonly known?: (pool: string, plan: BackendPlan) => Target;
}

/** Asks for all names side by side. */
export async function findTargets(
  checks: Pick<Checks, 'resolve'>,
  pools: readonly PoolPlan[],
  { withinMs = resolveWithinMs, known = () => undefined }: Finding = {},
): Promise<Targets> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'unanswered'>((resolve) => {
    timer = setTimeout(resolve, withinMs, 'unanswered');
  });
  const targets = new Map<BackendPlan, Target>();
  const find = async (pool: string, plan: BackendPlan): Promise<void> => {
    targets.set(plan, known(pool, plan) ?? (await Promise.race([checks.resolve(plan.address), late])));
  };
  await Promise.all(pools.flatMap(({ name, backends }) => backends.map((plan) => find(name, plan))));
  clearTimeout(timer);
  return targets;
}

/** Why a backend is down that has no address. */
export function unresolvedBecause(target: Target, { address }: BackendPlan): string {
  const host = address.kind === 'name' ? address.host : 'its name';
  return target === 'unanswered'
    ? `${host}: no name server has answered yet`
    : `${host} has no address: neither the name servers of /etc/resolv.conf nor /etc/hosts know it`;
}
