/**
 * From the checked file to the plan: fills in defaults, turns the file's words into the plan's, freezes all.
 * Everything here is allowed to assume that shape.ts and check.ts found nothing.
 */
import { planOf } from '../core/options.ts';
import type { ListenerPlan, Plan, PoolPlan, Protocol } from '../core/plan.ts';
import { poolsOf } from '../core/routes.ts';
import { digestOf } from './digest.ts';
import { buildListener } from './listener-shape.ts';
import { buildPool, buildUpstream } from './pool-shape.ts';
import { type FileShape, type Instance, instanceOptions } from './shape.ts';

/** The plan of a file without problems, frozen to the leaves. */
export function buildPlan(file: FileShape, source: string): Plan {
  const protocols = protocolsByPool(file);
  const { zone, ...instance } = planOf<Instance>(instanceOptions, file);
  const plan: Omit<Plan, 'digest'> = {
    source,
    ...instance,
    listeners: file.listeners.map(buildListener),
    pools: Object.entries(file.pools).map(([name, pool]) => buildPool(name, pool, protocols.get(name))),
  };
  const digest = digestOf(plan);
  // Source addresses and devices are one machine's own: added after the digest, which a pair compares.
  const upstreams = new Map(Object.entries(file.pools).map(([name, pool]) => [name, buildUpstream(pool)]));
  const listeners = plan.listeners.map((listener): ListenerPlan => {
    const upstream = listener.pool === undefined ? undefined : upstreams.get(listener.pool);
    return upstream === undefined ? listener : { ...listener, upstream };
  });
  const pools = plan.pools.map((each): PoolPlan => {
    const pool = withZone(each, zone);
    const upstream = upstreams.get(pool.name);
    if (upstream === undefined) return pool;
    const { sources } = upstream;
    return { ...pool, upstream, ...(sources.length === 0 ? {} : { health: { ...pool.health, sources } }) };
  });
  return deepFreeze({ ...plan, listeners, pools, digest });
}

/** A zone is one machine's own, too. Where no backend has one, nor may one that is found, it would be a difference that makes none. */
function withZone(pool: PoolPlan, zone: string | undefined): PoolPlan {
  const isAny = pool.discovery !== undefined || pool.backends.some((backend) => backend.zone !== undefined);
  return zone === undefined || !isAny ? pool : { ...pool, zone };
}

/** What the listeners in front of each pool speak. */
function protocolsByPool(file: FileShape): ReadonlyMap<string, readonly Protocol[]> {
  const protocols = new Map<string, Protocol[]>();
  for (const listener of file.listeners) {
    for (const pool of poolsOf(listener)) {
      const known = protocols.get(pool) ?? [];
      if (!known.includes(listener.bind.protocol)) known.push(listener.bind.protocol);
      protocols.set(pool, known);
    }
  }
  return protocols;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    for (const part of Object.values(value)) deepFreeze(part);
    Object.freeze(value);
  }
  return value;
}
