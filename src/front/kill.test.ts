import { expect, test } from 'vitest';
import { killRoutes } from './kill.ts';
import type { Order } from './messages-from-front.ts';
import type { Outside } from './outside.ts';

async function ask(query: string) {
  const given: Order[] = [];
  const plans = (...names: string[]) => names.map((name) => ({ plan: { name } }));
  const snapshot = { listeners: plans('front'), pools: plans('pg', 'web') };
  const outside = {
    order: async (order: Order) => {
      given.push(order);
      return { status: 200, body: {} };
    },
    state: async () => ({ published: { snapshot }, backends: [{ pool: 'pg', backend: 'pg1' }] }),
  } as unknown as Outside;
  const handle = killRoutes(outside)['POST /connections/kill']!;
  const answer = await handle({ params: {}, query: new URLSearchParams(query) } as Parameters<
    typeof handle
  >[0]);
  return { answer, given };
}

test.each([
  ['all=1', {}, undefined],
  ['client=10.0.0.0/8&over-ms=2000', { client: '10.0.0.0/8' }, 2_000],
  ['listener=front&pool=pg&backend=pg1', { listener: 'front', pool: 'pg', backend: 'pg1' }, undefined],
])('%s', async (query, filter, overMs) => {
  const { answer, given } = await ask(query);
  expect(answer).toMatchObject({ status: 200 });
  expect(given).toEqual([{ kind: 'kill', filter, overMs, isForAll: false }]);
});

test('on all instances', async () => {
  expect((await ask('pool=pg&everywhere')).given).toEqual([
    { kind: 'kill', filter: { pool: 'pg' }, overMs: undefined, isForAll: true },
  ]);
});

test.each([
  ['', 400, /say which/],
  ['over-ms=5', 400, /say which/],
  ['all=1&everywhere=no', 400, /everywhere: takes no value/],
  ['all=1&over-ms=1h', 400, /1h is not a number/],
  ['client=nobody', 400, /nobody is neither an address nor a network/],
  ['listener=back', 404, /no listener back; there are: front/],
  ['pool=pq', 404, /no pool pq; there are: pg, web/],
  ['pool=web&backend=pg1', 404, /no backend pg1/],
  ['backend=pg2', 404, /no backend pg2; there are: pg1/],
])('%s is refused', async (query, status, error) => {
  const { answer, given } = await ask(query);
  expect(answer).toMatchObject({ status, body: { error: expect.stringMatching(error) } });
  expect(given).toEqual([]);
});
