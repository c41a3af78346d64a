import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { Key } from '../core/key.ts';
import { pinSlotsPerTurnMax } from '../core/limits.ts';
import { PinTable } from '../core/pins/table.ts';
import { PinsByHand } from './by-hand.ts';
import { PinNames } from './names.ts';

/** Pools 1 `web` (backends 11 x, 12 y), 2 `db` (21 x) and 3 `old`, which a reload removed (31 x, 32 y). */
function bench(capacity = 1_000) {
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
    share: async () => 'here-only',
  });
  for (const poolId of [1, 2, 3]) {
    for (let client = 1; client <= 5; client++) {
      const key = new Key('client-ip', Address.v4(client, 0));
      pins.claim(poolId, key, poolId * 10 + 1, 60_000, 0, 'policy');
    }
  }
  const at = async (backend: string) => (await hand.list({ backend }, 100)).map(({ pool }) => pool);
  return { hand, at };
}

test('a move that one pool cannot make moves nobody', async () => {
  const { hand, at } = bench();
  expect(await hand.move({}, 'y')).toBeUndefined();
  expect(await at('y')).toEqual([]);
});

test('pins of a pool that is gone keep nobody from moving', async () => {
  const { hand, at } = bench();
  expect(await hand.move({ pool: 'web' }, 'y')).toBe(5);
  expect(await at('y')).toEqual(Array(5).fill('web'));
  expect(await hand.move({}, 'x')).toBe(5);
  expect(await at('y')).toEqual([]);
  expect(await hand.move({ pool: 'old' }, 'y')).toBe(0);
  expect(await hand.delete({ pool: 'old' })).toBe(5);
});

test('looking for pins that are not there leaves others their turns', async () => {
  const { hand } = bench(pinSlotsPerTurnMax * 2);
  let others = 0;
  setImmediate(() => others++);
  expect(await hand.list({ pool: 'nope' }, 1)).toEqual([]);
  expect(others).toBe(1);
});
