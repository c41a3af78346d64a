/** What an operator's order to a backend would do, before it is given: who stays, who is ended, and where new clients go then. */
import type { BackendStatus } from '../../control/backend-status.ts';
import { pinIdOf } from '../../core/choose.ts';
import { expectedShares, type Standing } from '../../core/expected-shares.ts';
import type { OperatorOrder } from '../../core/operator-word.ts';
import { formatDuration } from '../../core/quantities.ts';
import type { BackendView, PoolView } from '../../core/snapshot.ts';
import { onDownFor } from '../../core/verdict.ts';
import type { SharedViews } from '../../rooms/shared.ts';
import type { FrontState } from '../state.ts';
import type { PinCounts } from './pin-counts.ts';
import type { Preview } from './shapes.ts';
import { standingNow } from './standing.ts';

export interface AskedOrder {
  readonly pool: string;
  readonly backend: string;
  /** drain, undrain, maintenance, weight */
  readonly word: string;
  readonly order: OperatorOrder;
  readonly isForced: boolean;
}

/** @returns undefined if there is no such backend */
export function preview(
  { published: { snapshot }, backends }: Pick<FrontState, 'published' | 'backends'>,
  { states, counters }: Pick<SharedViews, 'states' | 'counters'>,
  pins: PinCounts | undefined,
  asked: AskedOrder,
): Preview | undefined {
  const pool = snapshot?.pools.find(({ plan }) => plan.name === asked.pool);
  const backend = pool?.backends.find(({ name }) => name === asked.backend);
  const status = backends.find(({ id }) => id === backend?.id);
  if (pool === undefined || backend === undefined || status === undefined) return undefined;
  const { order, word, isForced } = asked;
  const now = (one: BackendView): Standing => standingNow(one, states);
  const before = expectedShares(pool, now);
  const after = expectedShares(pool, (one) =>
    one.id === backend.id ? standingAfter(now(one), status, order) : now(one),
  );
  const isLast = sum(before) > 0 && sum(after) === 0;
  const refused =
    isLast && !isForced
      ? 'it is the last backend of its pool that takes new clients: they would be turned away; force does it all the same'
      : null;
  const flows = counters.backend(backend.id, 'active');
  const fate = order.state === 'maintenance' ? onDownFor(pool.plan, 'operator') : undefined;
  const flowsEnd = fate?.action === 'close' ? flows : 0;
  const seen: Omit<Preview, 'text'> = {
    dryRun: true,
    pool: asked.pool,
    backend: asked.backend,
    order: word,
    refused,
    pins: pins === undefined ? null : (pins.get(pool.scope?.id ?? pool.id)?.get(pinIdOf(backend)) ?? 0),
    flows,
    flowsEnd,
    flowsEndOverMs: flowsEnd === 0 || fate === undefined ? 0 : fate.graceMs + pool.plan.closeOverMs,
    newClients: pool.backends.map(({ id, name }) => ({
      backend: name,
      before: round(before.get(id) ?? 0),
      after: round(after.get(id) ?? 0),
    })),
  };
  return { ...seen, text: inWords(seen, order, pool) };
}

function standingAfter(now: Standing, status: BackendStatus, { state, weight }: OperatorOrder): Standing {
  const wanted = weight === 'configured' ? status.configuredWeight : weight;
  return {
    ...now,
    ...(wanted === undefined
      ? {}
      : { weight: wanted, checkShare: now.checkShare === 0 ? 1 : now.checkShare }),
    ...(state === undefined ? {} : { isDraining: state !== 'ready' }),
    // What its check says meanwhile nobody knows: it is taken to pass.
    ...(state === 'ready' && status.reason === 'operator' ? { isUp: true } : {}),
  };
}

function inWords(
  { refused, pins, flows, flowsEnd, flowsEndOverMs, newClients }: Omit<Preview, 'text'>,
  { state, movesPinned }: OperatorOrder,
  { plan }: PoolView,
): string {
  if (refused !== null) return `Refused: ${refused}.`;
  const sentences: string[] = [];
  const clients = pins === null ? 'pinned clients' : plural(pins, 'pinned client');
  if (state === 'drain' && movesPinned === true)
    sentences.push(`${plural(flows, 'flow')} stay; ${clients} move with their next connection.`);
  else if (state === 'drain') sentences.push(`${clients} and ${plural(flows, 'flow')} stay.`);
  else if (state === 'maintenance') {
    const when = flowsEndOverMs === 0 ? 'at once' : `within ${formatDuration(flowsEndOverMs)}`;
    const end = flowsEnd === 0 ? `${plural(flows, 'flow')} stay` : `${plural(flowsEnd, 'flow')} end ${when}`;
    sentences.push(`${end}; ${clients} go elsewhere with their next connection.`);
  }
  const going = newClients.filter(({ after }) => after > 0);
  const shares = going.map(({ backend, after }) => `${backend} ${Math.round(after * 100)} %`).join(', ');
  sentences.push(
    going.length === 0
      ? `Nobody of pool ${plan.name} takes new clients then.`
      : `New clients of pool ${plan.name} go to ${shares}.`,
  );
  return sentences.join(' ');
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function sum(shares: ReadonlyMap<number, number>): number {
  return [...shares.values()].reduce((total, share) => total + share, 0);
}

function round(share: number): number {
  return Math.round(share * 1_000) / 1_000;
}
