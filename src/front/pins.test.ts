import { expect, test } from 'vitest';
import type { Key } from '../core/key.ts';
import type { HandOutcome, NotStored, PinFilter } from '../pins/by-hand.ts';
import { type PinPages, pinRoutes } from './pins.ts';
import { Turns } from './turns.ts';

const outcomes: Record<string, HandOutcome | NotStored> = {
  b1: 'shared',
  full: { notStored: 'full', others: 'here-only' },
  'full-shared': { notStored: 'full', others: 'shared' },
  held: { notStored: 'contended', others: 'here-only' },
};

function bench() {
  const done: [string, PinFilter, unknown?][] = [];
  const hand = {
    list: async (filter: PinFilter, most: number) => {
      if (most > 1) done.push(['list', filter, most]);
      return filter.pool === 'left-over' ? ['a pin'] : [];
    },
    move: async (filter: PinFilter, to: string) => {
      done.push(['move', filter, to]);
      return to === 'b9' ? undefined : { moved: 3, left: to === 'held' ? 2 : 0 };
    },
    set: async (pool: string, key: Key, backend: string) => {
      if (pool !== 'web') done.push(['set', { pool }, `${key.kind} ${key.text}`]);
      return outcomes[backend];
    },
    delete: async (filter: PinFilter) => done.push(['delete', filter]),
  };
  const pools = [
    ...['web', 'db'].map((name) => ({ plan: { name } })),
    { plan: { name: 'game' }, scope: { id: 9, name: '@world', elsewhere: [] } },
  ];
  const listeners = [
    { plan: { name: 'front', pool: 'web', affinity: { key: 'client-ip', ttlMs: 1 } } },
    { plan: { name: 'play', pool: 'game', affinity: { key: 'server-name', ttlMs: 1, group: 'world' } } },
  ];
  const outside = { state: async () => ({ published: { snapshot: { pools, listeners } } }) };
  const turns = new Turns();
  const routes = pinRoutes({ hand, outside, turns } as unknown as PinPages);
  const ask = async (route: string, query: string) =>
    routes[route]!({ params: {}, query: new URLSearchParams(query) });
  return { ask, done, hand, turns };
}

test('to move or delete pins one has to say which, or that all are meant', async () => {
  const { ask, done } = bench();
  for (const route of ['POST /pins/move', 'POST /pins/delete']) {
    expect(await ask(route, 'to=b2')).toMatchObject({ status: 400 });
  }
  expect(done).toEqual([]);
  expect(await ask('POST /pins/delete', 'backend=b1')).toMatchObject({ status: 200 });
  expect(await ask('POST /pins/delete', 'all=1')).toMatchObject({ status: 200 });
  expect(await ask('POST /pins/move', 'to=b2&pool=web')).toMatchObject({ status: 200 });
  expect(done).toEqual([
    ['delete', { backend: 'b1' }],
    ['delete', {}],
    ['move', { pool: 'web' }, 'b2'],
  ]);
});

test('a pool that is not there is not one without pins', async () => {
  const { ask, done } = bench();
  for (const route of ['GET /pins', 'POST /pins/move', 'POST /pins/delete']) {
    expect(await ask(route, 'pool=nope')).toEqual({
      status: 404,
      body: { error: 'no pool nope; there are: web, db, game, @world' },
    });
  }
  expect(done).toEqual([]);
  // Its pins outlive a pool that a reload removed.
  expect(await ask('POST /pins/delete', 'pool=left-over')).toMatchObject({ status: 200 });
});

test('pins of a group are asked for by one of its pools, or by the name they are listed under', async () => {
  const { ask, done } = bench();
  for (const pool of ['game', '@world'])
    expect(await ask('POST /pins/delete', `pool=${pool}`), pool).toMatchObject({ status: 200 });
  expect(done).toEqual(Array(2).fill(['delete', { pool: '@world' }]));
  expect(await ask('GET /pins', 'pool=@other')).toMatchObject({ status: 404 });
});

test('a list has a length that is a number', async () => {
  const { ask, done } = bench();
  for (const most of ['abc', '0', '100001', '1e3', '-1', ''])
    expect(await ask('GET /pins', `most=${most}`), most).toMatchObject({ status: 400 });
  for (const query of ['', 'most=7']) expect(await ask('GET /pins', query)).toMatchObject({ status: 200 });
  expect(done).toEqual([
    ['list', {}, 1_000],
    ['list', {}, 7],
  ]);
});

test('to look whether a pool has pins is one of the pages that take turns', async () => {
  const { ask, hand, turns } = bench();
  let inTurn = false;
  const take = turns.take.bind(turns);
  turns.take = (make) =>
    take(async () => {
      inTurn = true;
      return Promise.resolve(make()).finally(() => {
        inTurn = false;
      });
    });
  const list = hand.list;
  const looks: boolean[] = [];
  hand.list = (filter, most) => {
    looks.push(inTurn);
    return list(filter, most);
  };
  for (const route of ['GET /pins', 'POST /pins/move', 'POST /pins/delete']) await ask(route, 'pool=nope');
  expect(looks).toEqual([true, true, true]);
});

test('a pin that was not stored is no success', async () => {
  const { ask } = bench();
  const set = (backend: string) => ask('POST /pins/set', `listener=front&client=10.0.0.9&backend=${backend}`);
  const place = { pool: 'web', key: 'client-ip 10.0.0.9' };
  const full =
    'the table is full of pins of connected clients; raise limits.pins, or try again when some have left';
  expect(await set('b1')).toEqual({ status: 200, body: { ...place, backend: 'b1', outcome: 'shared' } });
  for (const [backend, error] of [
    ['full', `10.0.0.9 is not pinned on this instance: ${full}`],
    [
      'full-shared',
      `10.0.0.9 is not pinned on this instance (the other instances of the cluster have pinned it): ${full}`,
    ],
    [
      'held',
      '10.0.0.9 is not pinned on this instance: others were writing to its place in the table; try again',
    ],
  ] as const) {
    const body = { error, ...place, backend, outcome: 'not-stored' };
    expect(await set(backend)).toEqual({ status: 503, body });
  }
  expect(await set('b9')).toMatchObject({ status: 404 });
});

test('a move that left pins where they were is no success', async () => {
  const { ask } = bench();
  const move = (to: string) => ask('POST /pins/move', `pool=web&to=${to}`);
  expect(await move('b2')).toEqual({ status: 200, body: { moved: 3 } });
  const error = '2 of 5 pins were not moved: they were being written to; run this again';
  expect(await move('held')).toEqual({ status: 503, body: { error, moved: 3, left: 2 } });
  expect(await move('b9')).toMatchObject({ status: 404 });
});

test('the pins of a pool that belongs to a group are those of the group', async () => {
  const { ask, done } = bench();
  expect(await ask('POST /pins/move', 'pool=game&to=b2')).toMatchObject({ status: 200 });
  const client = encodeURIComponent('server-name=A.example');
  expect(await ask('GET /pins', `pool=game&client=${client}`)).toMatchObject({ status: 200 });
  expect(await ask('POST /pins/set', `listener=play&client=${client}&backend=b1`)).toEqual({
    status: 200,
    body: { pool: '@world', key: 'server-name a.example', backend: 'b1', outcome: 'shared' },
  });
  expect(done).toEqual([
    ['move', { pool: '@world' }, 'b2'],
    ['list', { pool: '@world', client: 'server-name=A.example' }, 1_000],
    ['set', { pool: '@world' }, 'server-name a.example'],
  ]);
});

test('a key of another kind than that of the listener is nobody there', async () => {
  const { ask } = bench();
  const set = (listener: string, client: string) =>
    ask('POST /pins/set', `listener=${listener}&client=${encodeURIComponent(client)}&backend=b1`);
  expect(await set('front', 'server-name=a.example')).toEqual({
    status: 400,
    body: { error: 'this listener recognises clients by client-ip, not by server-name' },
  });
  expect(await set('play', 'quic-id=x')).toMatchObject({ status: 400 });
  expect(await set('play', '192.0.2.1')).toMatchObject({ body: { key: 'client-ip 192.0.2.1' } });
});
