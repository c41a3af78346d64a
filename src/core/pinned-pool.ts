/**
 * Among the pools that a listener's routes lead to: the one in which a key is pinned. A QUIC client that goes on with its connection
 * from another address says none of what routes go by, and belongs where its connection is.
 */
import { pinIdOf } from './choose.ts';
import type { Key } from './key.ts';
import { routedPoolsToSearchMax } from './limits.ts';
import type { PinTable } from './pins/table.ts';
import type { PoolView } from './snapshot.ts';

/**
 * @param pools all of the listener's; of more than `routedPoolsToSearchMax` none is looked at
 * @returns undefined: none, or several, whose pins are those of one group and do not say which of them it is
 */
export function pinnedPool(
  pools: readonly PoolView[],
  key: Key,
  pins: Pick<PinTable, 'lookup'>,
  nowMs: number,
): PoolView | undefined {
  if (pools.length > routedPoolsToSearchMax) return undefined;
  const [first, ...others] = pools.filter(({ id, scope, backends }) => {
    const pinnedId = pins.lookup(scope?.id ?? id, key, nowMs);
    return pinnedId !== 0 && backends.some((backend) => pinIdOf(backend) === pinnedId);
  });
  return others.length === 0 ? first : undefined;
}
