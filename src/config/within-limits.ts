/**
 * The part of a file that is worth judging. Of what there are too many it keeps one more than is allowed, so that this
 * is told, and drops the rest: a hundred thousand backends would each be found to be one too many.
 */
import { backendIdsMax, backendsPerPoolMax, listenersMax, poolIdsMax } from '../core/limits.ts';
import { isMap } from './issues.ts';

/** A copy of the upper levels if anything was dropped; what is below is shared. */
export function withinLimits(file: unknown): unknown {
  if (!isMap(file)) return file;
  const result: Record<string, unknown> = { ...file };
  if (Array.isArray(file.listeners)) result.listeners = file.listeners.slice(0, listenersMax + 1);
  if (isMap(file.pools)) result.pools = poolsWithin(file.pools);
  return result;
}

function poolsWithin(pools: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  let count = 0;
  let backends = 0;
  for (const [name, pool] of Object.entries(pools)) {
    if (count++ > poolIdsMax || backends > backendIdsMax) break;
    kept[name] = pool;
    if (!isMap(pool) || !Array.isArray(pool.backends)) continue;
    backends += pool.backends.length;
    if (pool.backends.length > backendsPerPoolMax)
      kept[name] = { ...pool, backends: pool.backends.slice(0, backendsPerPoolMax + 1) };
  }
  return kept;
}
