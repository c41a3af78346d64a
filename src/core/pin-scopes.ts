/**
 * Where pins belong: those of a pool to the pool, those of the pools of a group (`affinity.group`) to the group, under the
 * backend's name. So a client that is pinned by one listener of a group finds the backend of the same name by the others:
 * login and game, SIP and RTP, RADIUS authentication and accounting.
 *
 * A scope has a name among those of pools, and numbers of its own for its backends; `@` cannot begin the name of a pool.
 */
import type { ListenerPlan, Plan } from './plan.ts';
import { poolsOf } from './routes.ts';

/** What a plan says of scopes; a pool and a backend need no more than their names for it. */
export interface ScopedPlan {
  readonly listeners: readonly Pick<ListenerPlan, 'pool' | 'routes' | 'affinity'>[];
  readonly pools: readonly {
    readonly name: string;
    readonly backends: readonly Pick<Plan['pools'][number]['backends'][number], 'name'>[];
  }[];
}

/** The scope of each pool that belongs to a group, by the pool's name; of others it is the pool. */
export function groupScopes({ listeners }: Pick<ScopedPlan, 'listeners'>): ReadonlyMap<string, string> {
  const scopes = new Map<string, string>();
  for (const listener of listeners) {
    const { group, key } = listener.affinity;
    if (group === undefined || key === 'none') continue;
    for (const pool of poolsOf(listener)) scopes.set(pool, `@${group}`);
  }
  return scopes;
}

/** Names of the backends of each group, by the scope: those of all its pools. */
export function groupBackends(plan: ScopedPlan): ReadonlyMap<string, ReadonlySet<string>> {
  const scopes = groupScopes(plan);
  const backends = new Map<string, Set<string>>();
  for (const pool of plan.pools) {
    const scope = scopes.get(pool.name);
    if (scope === undefined) continue;
    const names = backends.get(scope) ?? new Set();
    backends.set(scope, names);
    for (const { name } of pool.backends) names.add(name);
  }
  return backends;
}
