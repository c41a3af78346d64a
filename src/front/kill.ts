/**
 * The page that ends open connections: `POST /connections/kill?listener=&pool=&backend=&client=[&all=1][&over-ms=][&everywhere]`. On
 * this instance, or on all of the cluster; TCP connections evenly over the time that their pool gives, or `over-ms`.
 */
import { keyMatcher } from '../core/client-matcher.ts';
import type { FlowFilter } from '../core/flow-filter.ts';
import { killOverMsMax } from '../core/kill-order.ts';
import type { Answer, Handle, Routes } from './answer.ts';
import { everywhereRule, hasValue } from './most.ts';
import type { Outside } from './outside.ts';

const keys = ['listener', 'pool', 'backend', 'client'] as const;

export function killRoutes(outside: Pick<Outside, 'order' | 'state'>): Routes {
  const kill: Handle = async ({ query }) => {
    const filter: FlowFilter = Object.fromEntries(
      keys.flatMap((key) => (query.has(key) ? [[key, query.get(key)!]] : [])),
    );
    const unmeant = await whyNotMeant(outside, filter, query.get('all') === '1');
    if (unmeant !== undefined) return unmeant;
    const over = query.get('over-ms');
    if (over !== null && !(/^\d{1,8}$/.test(over) && Number(over) <= killOverMsMax))
      return refused(400, `over-ms: ${over} is not a number of milliseconds up to ${killOverMsMax}`);
    if (hasValue(query, 'everywhere')) return refused(400, everywhereRule);
    const overMs = over === null ? undefined : Number(over);
    return outside.order({ kind: 'kill', filter, overMs, isForAll: query.has('everywhere') });
  };
  return { 'POST /connections/kill': kill };
}

/** Why flows are not ended by these words; a preview is refused for the same. */
export async function whyNotMeant(
  outside: Pick<Outside, 'state'>,
  filter: FlowFilter,
  isAll: boolean,
): Promise<Answer | undefined> {
  if (!isAll && Object.keys(filter).length === 0)
    return refused(
      400,
      'connections kill: say which: listener, pool, backend or client; all=1 for every one',
    );
  try {
    if (filter.client !== undefined) keyMatcher(filter.client);
  } catch (error) {
    return refused(400, (error as Error).message);
  }
  const unknown = await unknownIn(outside, filter);
  return unknown === undefined ? undefined : refused(404, unknown);
}

/** A name that is wrong must not look like one without connections. */
async function unknownIn(
  outside: Pick<Outside, 'state'>,
  { listener, pool, backend }: FlowFilter,
): Promise<string | undefined> {
  const { published, backends } = await outside.state();
  const listeners = (published.snapshot?.listeners ?? []).map(({ plan }) => plan.name);
  if (listener !== undefined && !listeners.includes(listener))
    return `no listener ${listener}; there are: ${listeners.join(', ')}`;
  const pools = (published.snapshot?.pools ?? []).map(({ plan }) => plan.name);
  if (pool !== undefined && !pools.includes(pool)) return `no pool ${pool}; there are: ${pools.join(', ')}`;
  const known = backends.filter((one) => pool === undefined || one.pool === pool);
  if (backend === undefined || known.some((one) => one.backend === backend)) return undefined;
  return `no backend ${backend}; there are: ${[...new Set(known.map((one) => one.backend))].join(', ')}`;
}

function refused(status: number, error: string): Answer {
  return { status, body: { error } };
}
