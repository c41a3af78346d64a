import { beforeEach, describe, expect, test } from 'vitest';
import { poolPlan } from '../engine/conformance/listener.ts';
import { Address } from './address.ts';
import { BackendStates } from './backend-states.ts';
import { Chooser } from './choose.ts';
import { Counters } from './counters.ts';
import { Key } from './key.ts';
import { PinTable } from './pins/table.ts';
import type { PoolPlan } from './plan.ts';
import { createPolicy } from './policy/create.ts';
import type { PoolView } from './snapshot.ts';

const ttlMs = 60_000;
let states: BackendStates;
let counters: Counters;
let pins: PinTable;

beforeEach(() => {
  states = new BackendStates();
  counters = Counters.create(1);
  pins = PinTable.create(1024, { reportChanges: false });
});

function poolOf(
  names: readonly string[],
  change: Partial<PoolPlan> & { maxConnections?: number } = {},
): PoolView {
  const { maxConnections = 0, ...plan } = change;
  const backends = names.map((name) => {
    const id = name.charCodeAt(0) - 96;
    states.setUp(id, true);
    states.setWeight(id, 1);
    const target = { kind: 'inet', ip: '127.0.0.1', port: 1000 + id } as const;
    return { id, name, target, addressText: `127.0.0.1:${1000 + id}`, weight: 1, maxConnections };
  });
  return {
    id: 1,
    version: 1,
    plan: poolPlan({ tableSize: 65_537, tries: 3, ...plan }),
    backends,
  };
}

function chooserOf(pool: PoolView): Chooser {
  return new Chooser(
    pool,
    createPolicy(pool, () => 0.5),
    states,
    counters,
    pins,
  );
}

const client = (n: number): Key => new Key('client-ip', Address.v4(0x0a000000 + n, 0));
const request = (key: Key, failed: number[] = []) => ({
  key,
  pinTtlMs: ttlMs,
  claimTtlMs: ttlMs,
  failed,
  candidateId: 0,
});

function take(backendId: number, max: number): boolean {
  return counters.places.takeBackend(backendId, max);
}

/** Names the backend 100 clients get, in order. */
function assignment(chooser: Chooser, nowMs = 0): string[] {
  return Array.from({ length: 100 }, (_, n) => chooser.choose(request(client(n)), nowMs)!.backend.name);
}

describe('a pin', () => {
  test('that was never confirmed is not prolonged by being chosen again: a forged source must not fill the table', () => {
    const chooser = chooserOf(poolOf(['a', 'b']));
    const asked = { ...request(client(1)), claimTtlMs: 1000 };
    const first = chooser.choose(asked, 0)!;
    expect(chooser.choose(asked, 500)).toEqual({ backend: first.backend, reason: 'pin' });
    expect([...pins.entries(500)].map((pin) => pin.expiresAtMs)).toEqual([1500]);
    pins.confirm(1, client(1), first.backend.id, ttlMs, 500);
    expect(chooser.choose(asked, 30_000)!.reason).toBe('pin');
  });

  test('keeps every client where it was when a backend is added', () => {
    const before = assignment(chooserOf(poolOf(['a', 'b', 'c'])));
    expect(new Set(before).size).toBe(3);
    expect(assignment(chooserOf(poolOf(['a', 'b', 'c', 'd'])))).toEqual(before);
  });

  test('is not followed to a backend that is down; the client moves once and does not come back', () => {
    const chooser = chooserOf(poolOf(['a', 'b', 'c']));
    const before = assignment(chooser);
    states.setUp(2, false);
    const during = assignment(chooser);
    for (const [n, name] of before.entries()) expect(during[n] === name).toBe(name !== 'b');
    states.setUp(2, true);
    expect(assignment(chooser)).toEqual(during);
  });

  test('is followed to a draining backend, which gets nobody new', () => {
    const chooser = chooserOf(poolOf(['a', 'b', 'c']));
    const before = assignment(chooser);
    states.setDraining(2, true);
    expect(assignment(chooser)).toEqual(before);
    const fresh = Array.from(
      { length: 100 },
      (_, n) => chooser.choose(request(client(1000 + n)), 0)!.backend.name,
    );
    expect(fresh).not.toContain('b');
  });

  test('stays when its backend is full, and the flow goes elsewhere', () => {
    const chooser = chooserOf(poolOf(['a', 'b'], { maxConnections: 5 }));
    const first = chooser.choose(request(client(1)), 0)!;
    for (let taken = 1; taken < 5; taken++) expect(take(first.backend.id, 5)).toBe(true);
    const second = chooser.choose(request(client(1)), 0)!;
    expect(second.backend.name).not.toBe(first.backend.name);
    counters.places.giveBackend(first.backend.id);
    expect(chooser.choose(request(client(1)), 0)).toEqual({ backend: first.backend, reason: 'pin' });
  });

  test('is moved when the dial to its backend failed', () => {
    const chooser = chooserOf(poolOf(['a', 'b', 'c']));
    const first = chooser.choose(request(client(1)), 0)!;
    const second = chooser.choose(request(client(1), [first.backend.id]), 0)!;
    expect(second.reason).toBe('retry');
    expect(chooser.choose(request(client(1)), 0)).toEqual({ backend: second.backend, reason: 'pin' });
  });

  test('to a backend that left the pool is replaced', () => {
    const before = assignment(chooserOf(poolOf(['a', 'b', 'c'])));
    const after = assignment(chooserOf(poolOf(['a', 'c'])));
    for (const [n, name] of before.entries()) {
      if (name === 'b') expect(after[n]).not.toBe('b');
      else expect(after[n]).toBe(name);
    }
    expect(assignment(chooserOf(poolOf(['a', 'b', 'c'])))).toEqual(after);
  });

  test('made by another thread a moment ago wins over our choice', () => {
    const chooser = chooserOf(poolOf(['a', 'b', 'c'], { policy: 'round-robin' }));
    const other = chooserOf(poolOf(['a', 'b', 'c'], { policy: 'round-robin' }));
    const first = chooser.choose(request(client(1)), 0)!;
    expect(other.choose(request(client(1)), 0)).toEqual({ backend: first.backend, reason: 'pin' });
  });

  test('made by another thread a moment ago is not followed to a backend that is full', () => {
    const chooser = chooserOf(poolOf(['a', 'b'], { maxConnections: 1 }));
    const own = chooser.candidate(client(1), [])!;
    const other = own.id === 1 ? 2 : 1;
    take(other, 1);
    const claim = pins.claim.bind(pins);
    pins.claim = (poolId, key, ...rest) => {
      // The other thread comes between the look and the claim.
      pins.claim = claim;
      claim(poolId, key, other, ttlMs, 0, 'policy');
      return claim(poolId, key, ...rest);
    };
    expect(chooser.choose(request(client(1)), 0)!.backend.id).toBe(own.id);
    expect(pins.lookup(1, client(1), 0)).toBe(other);
  });

  test('is neither read nor written with affinity none', () => {
    const chooser = chooserOf(poolOf(['a', 'b', 'c'], { policy: 'round-robin' }));
    const none = { ...request(client(1)), pinTtlMs: 0 };
    const names = Array.from({ length: 6 }, () => chooser.choose(none, 0)!.backend.name);
    expect(names).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
    expect(pins.stats().live).toBe(0);
  });

  test('expires when it is not used, and slides when it is', () => {
    const chooser = chooserOf(poolOf(['a', 'b', 'c']));
    const first = chooser.choose(request(client(1)), 0)!;
    pins.confirm(1, client(1), first.backend.id, ttlMs, 0);
    expect(chooser.choose(request(client(1)), ttlMs * 0.9)!.reason).toBe('pin');
    expect(chooser.choose(request(client(1)), ttlMs * 1.8)!.reason).toBe('pin');
    expect(chooser.choose(request(client(1)), ttlMs * 3)!.reason).toBe('policy');
  });
});

describe('without a backend that is up', () => {
  test('there is no choice', () => {
    const chooser = chooserOf(poolOf(['a', 'b']));
    states.setUp(1, false);
    states.setUp(2, false);
    expect(chooser.choose(request(client(1)), 0)).toBeUndefined();
  });

  test('fail_open uses the pinned one, then the others, each once', () => {
    const chooser = chooserOf(poolOf(['a', 'b'], { failOpen: true }));
    const first = chooser.choose(request(client(1)), 0)!;
    states.setUp(1, false);
    states.setUp(2, false);
    expect(chooser.choose(request(client(1)), 0)).toEqual({ backend: first.backend, reason: 'fail-open' });
    const second = chooser.choose(request(client(1), [first.backend.id]), 0)!;
    expect(second.backend.id).not.toBe(first.backend.id);
    expect(chooser.choose(request(client(1), [1, 2]), 0)).toBeUndefined();
  });

  test('fail_open leaves those alone that an operator has taken out, whoever is pinned to them', () => {
    const chooser = chooserOf(poolOf(['a', 'b'], { failOpen: true }));
    const first = chooser.choose(request(client(1)), 0)!;
    for (const id of [1, 2]) states.setUp(id, false);
    states.setDraining(first.backend.id, true, true);
    const other = chooser.choose(request(client(1)), 0)!;
    expect(other).toMatchObject({ reason: 'fail-open', backend: { id: 3 - first.backend.id } });
    expect(chooser.choose(request(client(1), [other.backend.id]), 0)).toBeUndefined();
  });

  test('draining alone is no reason to fail open', () => {
    const chooser = chooserOf(poolOf(['a', 'b'], { failOpen: true }));
    states.setDraining(1, true);
    states.setDraining(2, true);
    expect(chooser.choose(request(client(1)), 0)).toBeUndefined();
  });
});

describe('in a panic', () => {
  const pool = (): PoolView => poolOf(['a', 'b', 'c', 'd'], { panicBelow: 0.5 });
  const fresh = (chooser: Chooser) =>
    Array.from({ length: 200 }, (_, n) => chooser.choose(request(client(1000 + n)), 0)!);

  test('those that are down are tried as well, pinned clients by theirs, and no pin is made to them', () => {
    const chooser = chooserOf(pool());
    const before = assignment(chooser);
    for (const id of [1, 2]) states.setUp(id, false);
    expect(new Set(fresh(chooser).map(({ backend }) => backend.name)), 'half is enough').toEqual(
      new Set(['c', 'd']),
    );
    states.setUp(3, false);
    expect(assignment(chooser).filter((name, i) => name !== before[i])).toEqual([]);
    const live = pins.stats().live;
    const choices = Array.from({ length: 200 }, (_, n) => chooser.choose(request(client(5000 + n)), 0)!);
    expect(new Set(choices.map(({ backend }) => backend.name))).toEqual(new Set(['a', 'b', 'c', 'd']));
    for (const { backend, reason } of choices)
      expect(reason).toBe(backend.name === 'd' ? 'policy' : 'fail-open');
    expect(pins.stats().live - live).toBe(choices.filter(({ backend }) => backend.name === 'd').length);
  });

  test('each is tried once, those that are draining not at all, and it ends with the threshold', () => {
    const chooser = chooserOf(pool());
    for (const id of [1, 2, 3, 4]) states.setUp(id, false);
    states.setDraining(4, true);
    const failed: number[] = [];
    for (let tried = 0; tried < 3; tried++) {
      const choice = chooser.choose(request(client(1), failed), 0)!;
      expect(choice.reason).toBe('fail-open');
      failed.push(choice.backend.id);
    }
    expect(failed.toSorted()).toEqual([1, 2, 3]);
    expect(chooser.choose(request(client(1), failed), 0)).toBeUndefined();
    for (const id of [1, 2]) states.setUp(id, true);
    expect(new Set(fresh(chooser).map(({ backend }) => backend.name))).toEqual(new Set(['a', 'b']));
  });
});

describe('with tiers', () => {
  /** a and b first, then c, and z for when nobody else is up. */
  function tieredPool(): PoolView {
    const pool = poolOf(['a', 'b', 'c', 'z']);
    const tierOf: Record<string, number> = { c: 1, z: 2 };
    const backends = pool.backends.map((backend) => ({
      ...backend,
      tier: tierOf[backend.name] ?? 0,
      isBackup: backend.name === 'z',
    }));
    return { ...pool, backends };
  }
  const lose = (...ids: number[]): void => {
    for (const id of ids) states.setUp(id, false);
  };
  const regain = (...ids: number[]): void => {
    for (const id of ids) states.setUp(id, true);
  };
  const z = 26;

  test('clients who went over stay where they are pinned; newcomers are back at once', () => {
    const chooser = chooserOf(tieredPool());
    lose(1, 2);
    const during = assignment(chooser);
    expect(new Set(during)).toEqual(new Set(['c']));
    regain(1, 2);
    expect(assignment(chooser)).toEqual(during);
    const fresh = Array.from(
      { length: 50 },
      (_, n) => chooser.choose(request(client(500 + n)), 0)!.backend.name,
    );
    expect(new Set(fresh)).toEqual(new Set(['a', 'b']));
  });

  test('a tier that flaps moves nobody who is pinned past it', () => {
    const chooser = chooserOf(tieredPool());
    const first = assignment(chooser);
    const seen = first.map((name) => new Set([name]));
    for (let flap = 0; flap < 10; flap++) {
      lose(2);
      for (const [i, name] of assignment(chooser).entries()) seen[i]!.add(name);
      regain(2);
      for (const [i, name] of assignment(chooser).entries()) seen[i]!.add(name);
    }
    // Those of b moved once; nobody went to and fro.
    for (const [i, names] of seen.entries()) expect(names.size).toBe(first[i] === 'b' ? 2 : 1);
  });

  test('a backup is nobody’s home: all together down, and who was pinned to it leaves with the first that is up', () => {
    const chooser = chooserOf(tieredPool());
    lose(1, 2, 3);
    expect(new Set(assignment(chooser))).toEqual(new Set(['z']));
    expect(chooser.choose(request(client(1)), 0)!.reason).toBe('pin');
    regain(3);
    expect(new Set(assignment(chooser))).toEqual(new Set(['c']));
    lose(z);
    regain(1, 2);
    expect(new Set(assignment(chooser)), 'c is a home as any other').toEqual(new Set(['c']));
  });

  test('a backup takes who finds the others full, and keeps him while they are', () => {
    const pool = tieredPool();
    const chooser = chooserOf({
      ...pool,
      backends: pool.backends.map((backend) => ({
        ...backend,
        maxConnections: backend.name === 'z' ? 0 : 1,
      })),
    });
    for (const id of [1, 2, 3]) expect(take(id, 1)).toBe(true);
    expect(chooser.choose(request(client(1)), 0)!.backend.name).toBe('z');
    expect(chooser.choose(request(client(1)), 0)!.reason).toBe('pin');
    counters.places.giveBackend(1);
    expect(chooser.choose(request(client(1)), 0)!.backend.name).toBe('a');
  });
});

test('bounded load leaves the share of a lost backend to the others', () => {
  const chooser = chooserOf(poolOf(['a', 'b', 'c', 'd'], { bound: 1.25 }));
  states.setUp(1, false);
  states.setUp(2, false);
  for (let n = 0; n < 100; n++) chooser.choose(request(client(n)), 0);
  expect(counters.backend(3, 'active')).toBeLessThanOrEqual(63);
  expect(counters.backend(4, 'active')).toBeLessThanOrEqual(63);
});

test('a candidate found earlier is taken while it takes newcomers; the policy is not asked again', () => {
  const chooser = chooserOf(poolOf(['a', 'b'], { policy: 'round-robin' }));
  const names = [1, 2, 3, 4].map((n) => {
    const candidateId = chooser.candidate(client(n), [])!.id;
    return chooser.choose({ ...request(client(n)), candidateId }, 0)!.backend.name;
  });
  expect(names).toEqual(['a', 'b', 'a', 'b']);
  states.setUp(1, false);
  expect(chooser.choose({ ...request(client(5)), candidateId: 1 }, 0)!.backend.name).toBe('b');
});

describe('pools of a group', () => {
  const names = ['a', 'b', 'c', 'd'];
  /** What pins hold for `a` is 11, and so on; where they are has the number 9. */
  const grouped = (id: number, has: readonly string[]): Chooser => {
    const pool = poolOf(has);
    const pinId = (name: string): number => name.charCodeAt(0) - 86;
    return chooserOf({
      ...pool,
      id,
      backends: pool.backends.map((one) => ({ ...one, id: one.id + id * 100, pinId: pinId(one.name) })),
      scope: { id: 9, name: '@g', elsewhere: names.filter((name) => !has.includes(name)).map(pinId) },
    });
  };
  const bothUp = (...ids: readonly number[]): void => {
    for (const id of ids) {
      states.setUp(id, true);
      states.setWeight(id, 1);
    }
  };

  test('send a client to backends of one name, whichever of them it came to first', () => {
    bothUp(101, 102, 103, 201, 202, 203);
    const login = grouped(1, ['a', 'b', 'c']);
    const game = grouped(2, ['c', 'b', 'a']);
    // Somebody is where no hash would have it.
    for (let n = 0; n < 100; n += 2) pins.claim(9, client(n), 11 + (n % 3), ttlMs, 0, 'operator');
    const first = assignment(login);
    expect(assignment(game)).toEqual(first);
    expect(new Set(first).size).toBe(3);
    expect(
      [...pins.entries(0)].every((pin) => pin.poolId === 9 && pin.backendId >= 11 && pin.backendId <= 13),
    ).toBe(true);
    states.setUp(102, false);
    const moved = assignment(login);
    expect(moved).not.toContain('b');
    expect(assignment(game)).toEqual(moved);
  });

  test('that lacks the backend of a pin chooses anew, and the pin stays for the others', () => {
    bothUp(101, 102, 202, 203);
    const login = grouped(1, ['a', 'b']);
    const game = grouped(2, ['b', 'c']);
    pins.claim(9, client(1), 11, ttlMs, 0, 'policy');
    const there = game.choose(request(client(1)), 0)!;
    expect(there.reason).toBe('policy');
    expect(game.choose(request(client(1)), 0)!.backend).toBe(there.backend);
    expect(login.choose(request(client(1)), 0)).toMatchObject({ reason: 'pin', backend: { name: 'a' } });
    expect(pins.lookup(9, client(1), 0)).toBe(11);
  });

  test('move a pin to a backend that no pool has any more', () => {
    bothUp(101, 102);
    const login = grouped(1, ['a', 'b']);
    pins.claim(9, client(1), 55, ttlMs, 0, 'policy');
    const { backend } = login.choose(request(client(1)), 0)!;
    expect(pins.lookup(9, client(1), 0)).toBe(backend.pinId);
  });
});
