/** The pages for pins by hand: list, set, move, delete. Changes go to all instances of the cluster. */
import { clientMatcher, type PinFilter } from '../control/cluster/hand.ts';
import type { Control } from '../control/control.ts';
import { Address } from '../core/address.ts';
import { keyOf } from '../core/key.ts';
import type { Answer, Routes } from './http.ts';

const listMax = 100_000;

export function pinRoutes(control: Control): Routes {
  return {
    'GET /pins': ({ query }) =>
      withFilter(query, (filter) => {
        const most = Math.min(listMax, Number(query.get('most') ?? 1_000) || 1_000);
        return { status: 200, body: { pins: control.sharing.hand.list(filter, most) } };
      }),
    'POST /pins/set': ({ query }) => set(control, query),
    'POST /pins/move': ({ query }) =>
      withFilter(query, async (filter) => {
        const to = query.get('to') ?? '';
        const moved = await control.sharing.hand.move(filter, to);
        if (moved !== undefined) return { status: 200, body: { moved } };
        return { status: 404, body: { error: `a pool of these pins has no backend ${to}` } };
      }),
    'POST /pins/delete': ({ query }) =>
      withFilter(query, async (filter) => ({
        status: 200,
        body: { deleted: await control.sharing.hand.delete(filter) },
      })),
  };
}

/** Pins a client of a listener: the listener says in which pool, what a client is recognised by, and for how long. */
async function set(control: Control, query: URLSearchParams): Promise<Answer> {
  const name = query.get('listener') ?? '';
  const text = query.get('client') ?? '';
  const backend = query.get('backend') ?? '';
  const listener = control.plan.listeners.find((one) => one.name === name);
  if (listener === undefined) return { status: 404, body: { error: `no listener ${name}` } };
  if (listener.affinity.key === 'none') {
    return { status: 409, body: { error: `listener ${name} has affinity none: it keeps no pins` } };
  }
  const client = Address.parseWithPort(text) ?? Address.parse(text, 0);
  if (client === undefined) return { status: 400, body: { error: `client: ${text} is not an IP address` } };
  const key = keyOf(client, listener.affinity);
  const outcome = await control.sharing.hand.set(listener.pool, key, backend, listener.affinity.ttlMs);
  if (outcome === undefined) {
    return { status: 404, body: { error: `pool ${listener.pool} has no backend ${backend}` } };
  }
  return { status: 200, body: { pool: listener.pool, key: `${key.kind} ${key.text}`, backend, outcome } };
}

function withFilter(
  query: URLSearchParams,
  act: (filter: PinFilter) => Answer | Promise<Answer>,
): Answer | Promise<Answer> {
  const filter: PinFilter = {
    ...(query.has('pool') ? { pool: query.get('pool')! } : {}),
    ...(query.has('backend') ? { backend: query.get('backend')! } : {}),
    ...(query.has('client') ? { client: query.get('client')! } : {}),
  };
  try {
    if (filter.client !== undefined) clientMatcher(filter.client);
  } catch (error) {
    return { status: 400, body: { error: (error as Error).message } };
  }
  return act(filter);
}
