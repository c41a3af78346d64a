import { expect, test } from 'vitest';
import type { Order } from './messages-from-front.ts';
import { operatorRoutes } from './operator.ts';
import type { Outside } from './outside.ts';

function bench() {
  const given: Order[] = [];
  const outside = {
    order: async (order: Order) => {
      given.push(order);
      return { status: 200, body: '' };
    },
  } as Partial<Outside> as Outside;
  const routes = operatorRoutes(outside);
  const ask = async (word: string, query = '') =>
    routes[`POST /pools/:pool/backends/:backend/${word}`]!({
      params: { pool: 'pg', backend: 'pg1' },
      query: new URLSearchParams(query),
    });
  return { given, ask };
}

const about = { kind: 'operate', pool: 'pg', backend: 'pg1' };

test.each([
  ['drain', '', { state: 'drain', movesPinned: false }, false],
  ['drain', 'pinned=move&everywhere&force', { state: 'drain', movesPinned: true }, true],
  ['maintenance', 'everywhere=', { state: 'maintenance' }, true],
  ['undrain', '', { state: 'ready' }, false],
  ['weight', 'to=0', { weight: 0 }, false],
  ['weight', 'to=256', { weight: 256 }, false],
  ['weight', 'to=configured', { weight: 'configured' }, false],
])('%s?%s', async (word, query, order, isForAll) => {
  const { given, ask } = bench();
  expect(await ask(word, query)).toMatchObject({ status: 200 });
  expect(given).toEqual([{ ...about, order, isForAll, isForced: query.includes('force') }]);
});

test.each([
  ['drain', 'pinned=go', 'pinned: go is neither stay nor move'],
  [
    'drain',
    'everywhere=false',
    'everywhere: takes no value; leave it out where this instance alone is meant',
  ],
  ['weight', '', 'to: nothing is not a weight; give 0 to 256, or configured'],
  ['weight', 'to=257', 'to: 257 is not a weight; give 0 to 256, or configured'],
  ['weight', 'to=-1', 'to: -1 is not a weight; give 0 to 256, or configured'],
])('%s?%s is refused', async (word, query, error) => {
  const { given, ask } = bench();
  expect(await ask(word, query)).toEqual({ status: 400, body: { error } });
  expect(given).toEqual([]);
});
