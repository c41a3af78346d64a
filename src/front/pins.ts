/** The pages for pins by hand: list, set, move, delete. Changes go to all instances of the cluster. */
import { keyOfAsked, readAskedClient } from '../core/asked-client.ts';
import { keyMatcher } from '../core/client-matcher.ts';
import type { Key } from '../core/key.ts';
import { poolsOf } from '../core/routes.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { NotStored, PinFilter, PinsByHand } from '../pins/by-hand.ts';
import type { Answer, Routes } from './http.ts';
import { everywhereRule, hasValue, mostRule, readMost } from './most.ts';
import type { Outside } from './outside.ts';
import type { FrontState } from './state.ts';
import type { Turns } from './turns.ts';

export interface PinPages {
  readonly hand: Pick<PinsByHand, 'list' | 'set' | 'move' | 'delete'>;
  readonly outside: { state(): Promise<Pick<FrontState, 'published'>>; order: Outside['order'] };
  readonly turns: Turns;
}

export function pinRoutes(pages: PinPages): Routes {
  const { hand } = pages;
  return {
    'GET /pins': ({ query }) =>
      withFilter(pages, query, async (filter) => {
        const most = readMost(query.get('most'));
        if (most === undefined) return refused(400, `most ${query.get('most')}: ${mostRule}`);
        return { status: 200, body: { pins: await hand.list(filter, most) } };
      }),
    'POST /pins/set': ({ query }) => set(pages, query),
    'POST /pins/move': ({ query }) =>
      withFilter(pages, query, async (filter) => {
        if (!saysWhich(query, filter)) return refused(400, sayWhich('move'));
        if (hasValue(query, 'everywhere')) return refused(400, everywhereRule);
        const to = query.get('to') ?? '';
        const result = await hand.move(filter, to);
        if (result === undefined) return refused(404, `a pool of these pins has no backend ${to}`);
        const { moved, left } = result;
        if (left > 0) return notAllMoved(moved, left);
        return query.has('now')
          ? endMoved(pages, filter, to, moved, query.has('everywhere'))
          : { status: 200, body: { moved } };
      }),
    'POST /pins/delete': ({ query }) =>
      withFilter(pages, query, async (filter) => {
        if (!saysWhich(query, filter)) return refused(400, sayWhich('delete'));
        return { status: 200, body: { deleted: await hand.delete(filter) } };
      }),
  };
}

/** Who is connected elsewhere is to come back, and then gets the backend that he is pinned to now. */
async function endMoved(
  { outside }: PinPages,
  { pool, backend, client }: PinFilter,
  movedTo: string,
  moved: number,
  isForAll: boolean,
): Promise<Answer> {
  const filter = {
    ...(pool === undefined ? {} : { pool }),
    ...(backend === undefined ? {} : { backend }),
    ...(client === undefined ? {} : { client }),
    movedTo,
  };
  const answer = await outside.order({ kind: 'kill', filter, overMs: undefined, isForAll });
  return { ...answer, body: { moved, ...(answer.body as object) } };
}

/** A forgotten filter must not move or forget the clients of every pool. */
function saysWhich(query: URLSearchParams, filter: PinFilter): boolean {
  return query.get('all') === '1' || Object.keys(filter).length > 0;
}

function sayWhich(verb: string): string {
  return `pins ${verb}: say which: pool, backend or client; all=1 for every pin`;
}

function refused(status: number, error: string): Answer {
  return { status, body: { error } };
}

/** Pins a client of a listener: the listener says in which pool, what a client is recognised by, and for how long. */
async function set({ hand, outside }: PinPages, query: URLSearchParams): Promise<Answer> {
  const name = query.get('listener') ?? '';
  const text = query.get('client') ?? '';
  const backend = query.get('backend') ?? '';
  const { snapshot } = (await outside.state()).published;
  const listener = snapshot?.listeners.find(({ plan }) => plan.name === name)?.plan;
  if (listener === undefined) return refused(404, `no listener ${name}`);
  if (listener.affinity.key === 'none') {
    return refused(409, `listener ${name} has affinity none: it keeps no pins`);
  }
  let key: Key;
  try {
    key = keyOfAsked(readAskedClient(text), listener.affinity);
  } catch (error) {
    return refused(400, (error as Error).message);
  }
  const pools = poolsOf(listener);
  const own = query.get('pool') ?? (pools.length === 1 ? pools[0]! : '');
  if (!pools.includes(own)) {
    const which = own === '' ? 'say which pool' : `no pool ${own}`;
    return refused(404, `${which}: listener ${name} leads to ${pools.join(', ')}`);
  }
  const pool = scopeOf(snapshot, own);
  const outcome = await hand.set(pool, key, backend, listener.affinity.ttlMs);
  if (outcome === undefined) return refused(404, `pool ${pool} has no backend ${backend}`);
  const place = { pool, key: `${key.kind} ${key.text}`, backend };
  if (typeof outcome === 'string') return { status: 200, body: { ...place, outcome } };
  return { status: 503, body: { error: notStored(text, outcome), ...place, outcome: 'not-stored' } };
}

function notAllMoved(moved: number, left: number): Answer {
  const error = `${left} of ${moved + left} pins were not moved: they were being written to; run this again`;
  return { status: 503, body: { error, moved, left } };
}

function notStored(client: string, { notStored, others }: NotStored): string {
  const why =
    notStored === 'full'
      ? 'the table is full of pins of connected clients; raise limits.pins, or try again when some have left'
      : 'others were writing to its place in the table; try again';
  const elsewhere = others === 'shared' ? ' (the other instances of the cluster have pinned it)' : '';
  return `${client} is not pinned on this instance${elsewhere}: ${why}`;
}

/** The name that the pins of a pool are under: its own, or that of its group. */
function scopeOf(snapshot: Snapshot | undefined, pool: string): string {
  return snapshot?.pools.find(({ plan }) => plan.name === pool)?.scope?.name ?? pool;
}

async function withFilter(
  { hand, outside, turns }: PinPages,
  query: URLSearchParams,
  act: (filter: PinFilter) => Answer | Promise<Answer>,
): Promise<Answer> {
  const filter: PinFilter = {
    ...(query.has('pool') ? { pool: query.get('pool')! } : {}),
    ...(query.has('backend') ? { backend: query.get('backend')! } : {}),
    ...(query.has('client') ? { client: query.get('client')! } : {}),
  };
  try {
    if (filter.client !== undefined) keyMatcher(filter.client);
  } catch (error) {
    return refused(400, (error as Error).message);
  }
  const { snapshot } = (await outside.state()).published;
  const pools = (snapshot?.pools ?? []).map(({ plan }) => plan.name);
  // Pins of a group are listed under the name of its scope, so this is a name for them too.
  const scopes = new Set(snapshot?.pools.flatMap(({ scope }) => scope?.name ?? []));
  const isKnown = async (pool: string): Promise<boolean> =>
    pools.includes(pool) || scopes.has(pool) || (await hand.list({ pool }, 1)).length > 0;
  return turns.take(async () => {
    const { pool } = filter;
    if (pool === undefined) return act(filter);
    if (await isKnown(pool)) return act({ ...filter, pool: scopeOf(snapshot, pool) });
    return refused(404, `no pool ${pool}; there are: ${[...pools, ...scopes].join(', ')}`);
  });
}
