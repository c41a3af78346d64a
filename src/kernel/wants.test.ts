/** Buckets and exceptional pins against the pin table, through pool changes: seeded, so that what fails can be run again. */

import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { BackendStates } from '../core/backend-states.ts';
import { bucketSeed, kernelBucket } from '../core/kernel-bucket.ts';
import { keyOf } from '../core/key.ts';
import { PinTable } from '../core/pins/table.ts';
import { seededRandom } from '../core/seeded-random.fixture.ts';
import type { BackendView, ListenerView, PoolView } from '../core/snapshot.ts';
import { Wants } from './wants.ts';

const tableSize = 251;
const affinity = { key: 'client-ip', prefixV4: 32, prefixV6: 128, ttlMs: 600_000 } as const;
const listener = {
  id: 0,
  poolId: 1,
  plan: { name: 'web', protocol: 'tcp', affinity },
} as unknown as ListenerView;

const backend = (id: number): BackendView => ({
  id,
  name: `b${id}`,
  target: { kind: 'inet', ip: `10.0.0.${id}`, port: 80 },
  addressText: `10.0.0.${id}:80`,
  weight: 1,
  maxConnections: 0,
});

function poolOf(ids: readonly number[], version: number, more: object = {}): PoolView {
  const plan = {
    name: 'p',
    policy: 'maglev',
    tableSize,
    identity: 'name',
    panicBelow: 0,
    slowStartMs: 0,
    spillBelow: 0,
  };
  return { id: 1, version, plan: { ...plan, ...more }, backends: ids.map(backend) } as unknown as PoolView;
}

function worldOf(ids: readonly number[]) {
  const states = new BackendStates();
  for (const id of ids) {
    states.setUp(id, true);
    states.setWeight(id, 1);
  }
  const pins = PinTable.create(4_096, { reportChanges: false });
  let nowMs = 0;
  const wants = new Wants({ states, pins, nowMs: () => nowMs });
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { states, pins, wants, pass };
}

const client = (n: number): Address => Address.v4(0x0a010000 + n, 0);
const bucketOf = (n: number): number =>
  kernelBucket(client(n), { ...affinity, seed: bucketSeed, modulus: tableSize });

test('a bucket is led to the first of its policy that takes new clients; to nobody where nobody does', () => {
  const { states, wants } = worldOf([1, 2, 3]);
  const pool = poolOf([1, 2, 3], 1);
  const before = [...wants.bucketsOf(pool, 4)];
  expect(new Set(before)).toEqual(new Set([1, 2, 3]));
  states.setUp(2, false);
  const after = [...wants.bucketsOf(pool, 4)];
  // Only those of the one that is down go elsewhere.
  for (const [i, id] of before.entries()) expect(after[i] === id).toBe(id !== 2);
  expect(new Set(wants.bucketsOf(pool, 6))).toEqual(new Set([0]));
  states.setUp(1, false);
  states.setUp(3, false);
  expect(new Set(wants.bucketsOf(pool, 4))).toEqual(new Set([0]));
  expect(new Set(wants.bucketsOf(poolOf([1, 2, 3], 2, { failOpen: true }), 4)).size).toBe(3);
  states.setUp(2, true);
  states.setDraining(2, true);
  expect(new Set(wants.bucketsOf(poolOf([1, 2, 3], 2, { failOpen: true }), 4))).toEqual(new Set([1, 3]));
});

test.each(Array.from({ length: 8 }, (_, seed) => seed))(
  'what the kernel is told of a client is what its pin says, if that is followed (seed %i)',
  (seed) => {
    const dice = seededRandom(seed);
    const pick = (n: number): number => Math.floor(dice() * n);
    const all = [1, 2, 3, 4, 5];
    const { states, pins, wants, pass } = worldOf(all);
    let pool = poolOf([1, 2, 3], 1);
    const home = new Map<number, number>();
    for (let step = 0; step < 100; step++) {
      pass(1_000);
      const n = pick(300);
      const choice = dice();
      if (choice < 0.5 && !home.has(n)) {
        // A client comes: the kernel leads it by its bucket, and so it is pinned.
        const id = wants.bucketsOf(pool, 4)[bucketOf(n)]!;
        if (id !== 0)
          home.set(
            n,
            pins.claim(1, keyOf(client(n), affinity as never), id, 600_000, step * 1_000, 'policy'),
          );
      } else if (choice < 0.7)
        pool = poolOf(
          all.filter(() => dice() < 0.7),
          pool.version + 1,
        );
      else if (choice < 0.85) states.setUp(1 + pick(5), dice() < 0.6);
      else if (choice < 0.95) states.setDraining(1 + pick(5), dice() < 0.5);
      else if (home.has(n)) {
        // An operator moves it.
        const to = 1 + pick(5);
        pins.move(
          1,
          keyOf(client(n), affinity as never),
          home.get(n)!,
          to,
          600_000,
          step * 1_000,
          'moved' as never,
        );
        home.set(n, to);
      }
      wants.isOther([{ view: listener, pool }]);
      const buckets = wants.bucketsOf(pool, 4);
      const exceptions = new Map(
        [...wants.pinsOf(pool, listener)].map((one) => [one.client.ip, one.backendId]),
      );
      for (const [of, id] of home) {
        const isFollowed = pool.backends.some((one) => one.id === id) && states.servesPinned(id);
        const bucket = buckets[bucketOf(of)]!;
        expect(exceptions.get(client(of).ip) ?? bucket).toBe(isFollowed ? id : bucket);
        // And nothing is said twice.
        if (bucket === id || !isFollowed) expect(exceptions.has(client(of).ip)).toBe(false);
      }
      expect(exceptions.size).toBeLessThanOrEqual(home.size);
    }
  },
);

test('a change of states, and one of exceptional pins, is noticed; a pin that says what its bucket says is none', () => {
  const { states, pins, wants, pass } = worldOf([1, 2]);
  const open = [{ view: listener, pool: poolOf([1, 2], 1) }];
  pass(1_000);
  wants.isOther(open);
  pass(1_000);
  expect(wants.isOther(open)).toBe(false);
  const [{ pool }] = open as [(typeof open)[0]];
  const bucket = wants.bucketsOf(pool, 4)[bucketOf(1)]!;
  pins.claim(1, keyOf(client(1), affinity as never), bucket, 600_000, 1_000, 'policy');
  pass(1_000);
  expect(wants.isOther(open)).toBe(false);
  pins.move(1, keyOf(client(1), affinity as never), bucket, 3 - bucket, 600_000, 2_000, 'policy');
  pass(1_000);
  expect(wants.isOther(open)).toBe(true);
  expect(wants.isOther(open)).toBe(false);
  states.setUp(1, false);
  expect(wants.isOther(open)).toBe(true);
});

test('what was written meanwhile and is as before again is noticed', () => {
  const { states, pins, wants, pass } = worldOf([1, 2]);
  const [one] = [{ view: listener, pool: poolOf([1, 2], 1) }];
  const bucket = wants.bucketsOf(one.pool, 4)[bucketOf(1)]!;
  const key = keyOf(client(1), affinity as never);
  pins.claim(1, key, bucket, 600_000, 0, 'policy');
  pass(1_000);
  wants.isOther([one]);
  pins.move(1, key, bucket, 3 - bucket, 600_000, 1_000, 'moved' as never);
  states.setDraining(3 - bucket, true);
  // Made for whatever reason, before the next look.
  wants.begin([one]);
  expect([...wants.pinsWanted(one.pool, listener)]).toHaveLength(1);
  states.setDraining(3 - bucket, false);
  expect(wants.isOther([one])).toBe(true);
  wants.begin([one]);
  [...wants.pinsWanted(one.pool, listener)];
  pins.move(1, key, 3 - bucket, bucket, 600_000, 1_000, 'moved' as never);
  pass(1_000);
  expect(wants.isOther([one])).toBe(true);
  expect(wants.isOther([one])).toBe(false);
});
