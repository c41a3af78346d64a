/** Whether a list that was found can serve a pool: what config/ asks of the backends of a file, of those that come later. */
import { formatAddress } from '../../core/address-text.ts';
import { bindsOf } from '../../core/binds.ts';
import { withoutPort } from '../../core/dial-target.ts';
import { backendsPerPoolMax, ringPointsMax } from '../../core/limits.ts';
import type { BackendPlan, Plan, PoolPlan } from '../../core/plan.ts';
import { pointsPerWeight } from '../../core/policy/ring.ts';
import { poolsOf } from '../../core/routes.ts';

/**
 * A pool's own backends and the found ones besides. One of the file has its name for itself: what the operator has written counts.
 */
export function withFound(pool: PoolPlan, found: readonly BackendPlan[]): PoolPlan {
  const own = new Set(pool.backends.map(({ name }) => name));
  return { ...pool, backends: [...pool.backends, ...found.filter(({ name }) => !own.has(name))] };
}

/**
 * @param pool with all its backends
 * @returns why it cannot be, a sentence without its subject; undefined: it can
 */
export function misfit(pool: PoolPlan, listeners: Plan['listeners']): string | undefined {
  const { backends, policy, tableSize } = pool;
  if (backends.length > backendsPerPoolMax)
    return `make ${backends.length} backends; a pool has at most ${backendsPerPoolMax}`;
  const points = backends.reduce((sum, { weight }) => sum + weight, 0) * pointsPerWeight;
  if (policy === 'ring' && points > ringPointsMax)
    return `make a ring of ${points} points (${pointsPerWeight} for each unit of weight); at most ${ringPointsMax} are possible: use smaller weights`;
  if (policy === 'maglev' && tableSize < backends.length)
    return `are ${backends.length} backends; table_size is ${tableSize}, so some would get no client`;
  if (pool.identity === 'address') {
    const twice = repeated(backends.map(({ address }) => formatAddress(address)));
    if (twice !== undefined) return `have ${twice} twice, which identity: address does not allow`;
  }
  const unix = backends.find(({ address }) => address.kind === 'unix');
  const udp = listeners.find(
    (listener) => listener.protocol === 'udp' && poolsOf(listener).includes(pool.name),
  );
  if (unix !== undefined && udp !== undefined)
    return `have ${unix.name}, a unix socket, which cannot serve the UDP listener ${udp.name}`;
  return shiftedMisfit(pool, listeners);
}

/** The rules of config/check-ports.ts. */
function shiftedMisfit(
  { name: poolName, backends, health }: PoolPlan,
  listeners: Plan['listeners'],
): string | undefined {
  const binds = listeners.filter((listener) => poolsOf(listener).includes(poolName)).flatMap(bindsOf);
  const seen = new Set<number>();
  for (const { name, address } of backends) {
    const shift = address.kind === 'unix' ? undefined : address.portShift;
    if (shift === undefined || seen.has(shift)) continue;
    seen.add(shift);
    const at = `have ${name} at ${formatAddress(address)}`;
    if (health.type !== 'none' && health.port === undefined)
      return `${at}, which has no port of its own that could be checked: give health.port, or health: { type: none }`;
    for (const bind of binds) {
      const why = withoutPort(bind, shift);
      if (why !== undefined) return `${at}: ${why}`;
    }
  }
  return undefined;
}

function repeated(texts: readonly string[]): string | undefined {
  const seen = new Set<string>();
  return texts.find((text) => seen.size === seen.add(text).size);
}
