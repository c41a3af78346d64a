import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { Key } from '../core/key.ts';
import { wordsOfBytes } from '../core/key-bytes.ts';
import { pinSlotsPerTurnMax } from '../core/limits.ts';
import { pinLayout } from '../core/pins/layout.ts';
import { PinLocks } from '../core/pins/lock.ts';
import { PinTable } from '../core/pins/table.ts';
import { type HandOutcome, PinsByHand } from './by-hand.ts';
import { PinNames } from './names.ts';

/** Pools 1 `web` (backends 11 x, 12 y), 2 `db` (21 x) and 3 `old`, which a reload removed (31 x, 32 y). */
function bench(capacity = 1_000, outcome: HandOutcome = 'here-only') {
  const told: string[] = [];
  const pins = PinTable.create(capacity, { reportChanges: false });
  const pools = new Map([
    ['web', 1],
    ['db', 2],
  ]);
  const backends = ['web/x 11', 'web/y 12', 'db/x 21'].map((one) => one.split(' '));
  const names = new PinNames(
    {
      poolName: (id) => ['', 'web', 'db', 'old'][id],
      poolId: (pool) => pools.get(pool) ?? 0,
      knownPoolId: (pool) => pools.get(pool) ?? 0,
      backendName: (id) => ['', 'x', 'y'][id % 10],
      backendId: (pool, backend) =>
        Number(backends.find(([name]) => name === `${pool}/${backend}`)?.[1] ?? 0),
    },
    pins,
    1,
  );
  const hand = new PinsByHand({
    pins,
    names,
    instance: () => 'a',
    nowMs: () => 0,
    share: async ({ text, backend }) => {
      told.push(`${text} ${backend}`);
      return outcome;
    },
  });
  for (const poolId of [1, 2, 3]) {
    for (let client = 1; client <= 5; client++) {
      const key = new Key('client-ip', Address.v4(client, 0));
      pins.claim(poolId, key, poolId * 10 + 1, 60_000, 0, 'policy');
    }
  }
  const at = async (backend: string) => (await hand.list({ backend }, 100)).map(({ pool }) => pool);
  return { hand, at, pins, told };
}

test('a move that one pool cannot make moves nobody', async () => {
  const { hand, at } = bench();
  expect(await hand.move({}, 'y')).toBeUndefined();
  expect(await at('y')).toEqual([]);
});

test('pins of a pool that is gone keep nobody from moving', async () => {
  const { hand, at } = bench();
  expect(await hand.move({ pool: 'web' }, 'y')).toEqual({ moved: 5, left: 0 });
  expect(await at('y')).toEqual(Array(5).fill('web'));
  expect(await hand.move({}, 'x')).toEqual({ moved: 5, left: 0 });
  expect(await at('y')).toEqual([]);
  expect(await hand.move({ pool: 'old' }, 'y')).toEqual({ moved: 0, left: 0 });
  expect(await hand.delete({ pool: 'old' })).toBe(5);
});

test('looking for pins that are not there leaves others their turns', async () => {
  const { hand } = bench(pinSlotsPerTurnMax * 2);
  let others = 0;
  setImmediate(() => others++);
  expect(await hand.list({ pool: 'nope' }, 1)).toEqual([]);
  expect(others).toBe(1);
});

const newcomer = new Key('client-ip', Address.v4(99, 0));

test('a pin that a table full of connected clients does not take is told as not stored, and told to the others', async () => {
  const { hand, pins, told } = bench(15, 'shared');
  for (const poolId of [1, 2, 3])
    for (let client = 1; client <= 5; client++)
      pins.arrive(poolId, new Key('client-ip', Address.v4(client, 0)), poolId * 10 + 1, 60_000, 0, true);
  expect(await hand.set('web', newcomer, 'y', 60_000)).toEqual({ notStored: 'full', others: 'shared' });
  expect(hand.find('web', newcomer)).toBeUndefined();
  expect(told).toEqual([expect.stringMatching(/ y$/)]);
  // Who has a pin can be pinned elsewhere all the same.
  expect(await hand.set('web', new Key('client-ip', Address.v4(1, 0)), 'y', 60_000)).toBe('shared');
});

test('what the cluster has and this table took while it was asked is stored', async () => {
  const { hand, pins } = bench(15);
  for (let client = 1; client <= 5; client++)
    for (const poolId of [1, 2, 3])
      pins.arrive(poolId, new Key('client-ip', Address.v4(client, 0)), poolId * 10 + 1, 60_000, 0, true);
  const setting = hand.set('web', newcomer, 'y', 60_000);
  pins.remove(3, new Key('client-ip', Address.v4(1, 0)), 0, 0);
  pins.claim(1, newcomer, 12, 60_000, 0, 'operator');
  expect(await setting).toBe('here-only');
});

test('a thread that pins the client a moment earlier does not win', async () => {
  const { hand, pins } = bench();
  const move = pins.move.bind(pins);
  pins.move = (...args) => {
    pins.move = move;
    pins.claim(1, newcomer, 11, 60_000, 0, 'policy');
    return move(...args);
  };
  expect(await hand.set('web', newcomer, 'y', 60_000)).toBe('here-only');
  expect(hand.find('web', newcomer)).toMatchObject({ backend: 'y', confirmed: true, reason: 'operator' });
});

test('where somebody holds the lock nothing is changed, and that is said', async () => {
  const { hand, pins, at } = bench();
  const { groupsAt, groups } = pinLayout(1_000);
  const others = new PinLocks(new Int32Array(pins.shared.buffer), groupsAt, groups, 7);
  for (let group = 0; group < groups; group++) others.acquire(group);
  expect(await hand.set('web', newcomer, 'y', 60_000)).toEqual({
    notStored: 'contended',
    others: 'here-only',
  });
  expect(await hand.set('web', new Key('client-ip', Address.v4(1, 0)), 'y', 60_000)).toEqual({
    notStored: 'contended',
    others: 'here-only',
  });
  for (let group = 0; group < groups; group++) others.release(group);
  // The walk passes over pins behind a lock; this one is taken between the look and the move.
  const move = pins.move.bind(pins);
  pins.move = (...args) => {
    for (let group = 0; group < groups; group++) others.acquire(group);
    const standsAt = move(...args);
    for (let group = 0; group < groups; group++) others.release(group);
    return standsAt;
  };
  expect(await hand.move({ pool: 'web', client: '0.0.0.1' }, 'y')).toEqual({ moved: 0, left: 1 });
  expect(await at('y')).toEqual([]);
  pins.move = move;
  expect(await hand.move({ pool: 'web' }, 'y')).toEqual({ moved: 5, left: 0 });
});

test('pins are found by the key of a client that has no address, and moved and forgotten by it', async () => {
  const { hand, told, pins } = bench();
  const name = (text: string): Key => new Key('server-name', wordsOfBytes(new TextEncoder().encode(text))!);
  for (const [i, text] of ['a.example', 'b.example', 'a.name.that.is.long.example'].entries())
    pins.claim(1, name(text), 11 + (i % 2), 60_000, 0, 'policy');
  const list = async (client: string) => (await hand.list({ client }, 100)).map((row) => row.client);
  expect(await list('server-name=A.example')).toEqual(['a.example']);
  expect(await list('server-name=c.example')).toEqual([]);
  expect(await list('payload=a.example')).toEqual([]);
  expect((await list('0.0.0.1')).length).toBe(3);
  // What is longer than 16 bytes is found by its name, and shown as what it is known by.
  const [hashed] = await list('server-name=a.name.that.is.long.example');
  expect(hashed).toMatch(/^#[0-9a-f]{32}$/);
  expect(await list(`server-name=${hashed}`)).toEqual([hashed]);
  expect(await hand.move({ client: 'server-name=a.example' }, 'y')).toEqual({ moved: 1, left: 0 });
  expect(hand.find('web', name('a.example'))).toMatchObject({
    kind: 'server-name',
    client: 'a.example',
    backend: 'y',
  });
  expect(await hand.delete({ client: 'server-name=b.example' })).toBe(1);
  expect(told).toEqual(['web/4/b.example ']);
});
