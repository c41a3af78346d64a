import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Address } from '../address.ts';
import { isSameKey, Key } from '../key.ts';
import { wordsOfBytes } from '../key-bytes.ts';
import { finishHash } from '../key-hash.ts';
import { PinEntry } from './entry.ts';
import { pinLayout } from './layout.ts';
import { blocked, PinLocks } from './lock.ts';
import { PinProbe } from './probe.ts';
import { PinSlots } from './slots.ts';
import { PinTable } from './table.ts';

const ttlMs = 64_000;
/** The largest table of one group. */
const oneGroup = 675;

/** Distinct for distinct numbers: finishHash is a bijection. */
function keyOf(index: number): Key {
  return new Key('client-ip', Address.v4(finishHash(index), 0));
}

/** What another thread would look for a key with. */
function sight(table: PinTable, key: Key): { slots: PinSlots; probe: PinProbe } {
  const layout = pinLayout(table.shared.capacity);
  const words = new Int32Array(table.shared.buffer, 0, layout.countersAt * 2);
  return { slots: new PinSlots(words, layout), probe: new PinProbe(layout.groups).aim(1, key) };
}

/** A key that has its lock in common with another. */
function neighbour(table: PinTable, key: Key): Key {
  const { group } = sight(table, key).probe;
  for (let index = 1_000_000; ; index++) {
    if (sight(table, keyOf(index)).probe.group === group) return keyOf(index);
  }
}

/** Takes the lock of a key's group as another thread would, and does not let go. */
function seize(table: PinTable, writerIndex: number, poolId: number, key: Key): void {
  const layout = pinLayout(table.shared.capacity);
  const words = new Int32Array(table.shared.buffer);
  const { group } = new PinProbe(layout.groups).aim(poolId, key);
  if (!new PinLocks(words, layout.groupsAt, layout.groups, writerIndex).acquire(group))
    throw new Error('held');
}

test('the lengths of ids that servers have chosen are known to all threads, from wherever their pins came', () => {
  const table = PinTable.create(100, { reportChanges: false });
  const worker = PinTable.attach(table.shared, 1);
  const idOf = (length: number): Key =>
    new Key('quic-id', wordsOfBytes(new Uint8Array(length).fill(length))!);
  const remote = { poolId: 1, backendId: 5, ttlMs, expiresAtMs: ttlMs, writer: 2 } as const;
  worker.claim(1, idOf(9), 5, ttlMs, 0, 'policy');
  worker.move(1, idOf(9), 5, 6, ttlMs, 0, 'retry');
  table.applyRemote(idOf(10), { ...remote, reason: 'policy' }, 0);
  worker.claim(1, new Key('payload', idOf(11)), 5, ttlMs, 0, 'learned');
  expect([table.quicIdLengths, worker.quicIdLengths], 'chosen for clients').toEqual([0, 0]);
  worker.claim(1, idOf(4), 5, ttlMs, 0, 'learned');
  table.applyRemote(idOf(8), { ...remote, reason: 'learned' }, 0);
  table.applyRemote(idOf(20), { ...remote, reason: 'peer' }, 0);
  const expected = (1 << 4) | (1 << 8) | (1 << 17);
  expect([table.quicIdLengths, worker.quicIdLengths]).toEqual([expected, expected]);
});

describe('one pin', () => {
  const create = (): PinTable => PinTable.create(100, { reportChanges: false });
  const key = keyOf(1);

  test('the first claim wins, later ones learn the winner', () => {
    const table = create();
    expect(table.lookup(1, key, 0)).toBe(0);
    expect(table.claim(1, key, 5, ttlMs, 0, 'policy')).toBe(5);
    expect(table.claim(1, key, 6, ttlMs, 1, 'policy')).toBe(5);
    expect(table.lookup(1, key, 1)).toBe(5);
    expect(table.stats()).toMatchObject({ live: 1, claims: 1 });
  });

  test('is known by pool, kind, address and port', () => {
    const table = create();
    const address = Address.parse('2001:db8::1', 0)!;
    const keys = [
      new Key('client-ip', address),
      new Key('client-subnet', address),
      new Key('flow', address.withPort(65_535)),
      new Key('flow', address.withPort(1)),
      new Key('client-ip', Address.parse('2001:db8::1:0:0:1', 0)!),
      new Key('client-ip', Address.parse('2001:db9::1', 0)!),
    ];
    let backendId = 0;
    for (const poolId of [1, 65_535]) {
      for (const each of keys) table.claim(poolId, each, ++backendId, ttlMs, 0, 'policy');
    }
    const found = [1, 65_535].flatMap((poolId) => keys.map((each) => table.lookup(poolId, each, 1)));
    expect(found).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    const listed = [...table.entries(1)];
    expect(listed.map(({ backendId: id }) => id).sort((a, b) => a - b)).toEqual(found);
    expect(listed.find((pin) => pin.backendId === 9)).toMatchObject({
      poolId: 65_535,
      kind: 'flow',
      w0: 0x20010db8,
      w3: 1,
      port: 65_535,
      reason: 'policy',
      ttlMs,
      expiresAtMs: ttlMs,
      isConfirmed: false,
      writer: 0,
    });
  });

  test('expires a ttl after its last use, to the millisecond', () => {
    const table = create();
    table.claim(1, key, 5, ttlMs, 1000.5, 'policy');
    expect(table.lookup(1, key, 1000 + ttlMs - 1)).toBe(5);
    expect(table.lookup(1, key, 1000 + ttlMs)).toBe(0);
    expect(table.claim(1, key, 6, ttlMs, 1000 + ttlMs, 'policy')).toBe(6);
    expect(table.touch(1, key, ttlMs, 1000 + ttlMs + ttlMs / 2)).toBe(6);
    expect(table.lookup(1, key, 1000 + ttlMs * 2)).toBe(6);
    expect(table.lookup(1, key, 1000 + ttlMs * 2.5)).toBe(0);
    expect(table.stats()).toMatchObject({ live: 1, claims: 2, expired: 1 });
  });

  test('a touch moves the expiry when it moves by more than a sixteenth of the ttl, and never back', () => {
    const table = create();
    const expiry = (): number => [...table.entries(0)][0]!.expiresAtMs;
    table.claim(1, key, 5, ttlMs, 0, 'policy');
    table.touch(1, key, ttlMs, ttlMs / 16);
    expect(expiry()).toBe(ttlMs);
    table.touch(1, key, ttlMs, ttlMs / 16 + 1);
    expect(expiry()).toBe(ttlMs + ttlMs / 16 + 1);
    table.touch(1, key, ttlMs / 2, ttlMs / 8);
    expect(expiry()).toBe(ttlMs + ttlMs / 16 + 1);
    table.touch(1, key, ttlMs * 2, ttlMs / 8);
    expect(expiry()).toBe(ttlMs / 8 + ttlMs * 2);
    expect(table.stats().slides).toBe(2);
  });

  test.each([0, 2 ** 31, 2 ** 32, 2 ** 40, Date.UTC(2100)])('time is no trouble near %d ms', (originMs) => {
    const table = create();
    const fromMs = originMs - 10;
    table.claim(1, key, 5, 20, Math.max(0, fromMs), 'policy');
    for (let nowMs = Math.max(0, fromMs); nowMs < originMs + 1000; nowMs += 7) {
      expect(table.touch(1, key, 20, nowMs)).toBe(5);
    }
    expect(table.lookup(1, key, originMs + 1020)).toBe(0);
    const ttlMsMax = 0xffffffff;
    table.claim(1, key, 6, ttlMsMax + 10, originMs + 1020, 'policy');
    expect([...table.entries(originMs + 1020)][0]).toMatchObject({
      ttlMs: ttlMsMax,
      expiresAtMs: originMs + 1020 + ttlMsMax,
    });
    expect(table.lookup(1, key, originMs + 1020 + ttlMsMax)).toBe(0);
  });

  test('moves only from where its mover saw it', () => {
    const table = create();
    expect(table.move(1, key, 5, 6, ttlMs, 0, 'retry')).toBe(0);
    expect(table.lookup(1, key, 0)).toBe(0);
    table.claim(1, key, 5, ttlMs, 0, 'policy');
    expect(table.move(1, key, 5, 6, ttlMs, 10, 'backend-down')).toBe(6);
    expect(table.move(1, key, 5, 7, ttlMs, 20, 'retry')).toBe(6);
    expect([...table.entries(20)][0]).toMatchObject({
      backendId: 6,
      reason: 'backend-down',
      expiresAtMs: ttlMs + 10,
    });
    expect(table.move(1, keyOf(2), 0, 9, ttlMs, 20, 'operator')).toBe(9);
    expect(table.stats()).toMatchObject({ moves: 1, claims: 2, live: 2 });
  });

  test('is removed from the backend named, or from any', () => {
    const table = create();
    table.claim(1, key, 5, ttlMs, 0, 'policy');
    expect(table.remove(1, key, 6, 1)).toBe(false);
    expect(table.remove(1, key, 5, 1)).toBe(true);
    expect(table.remove(1, key, 5, 1)).toBe(false);
    expect(table.lookup(1, key, 1)).toBe(0);
    table.claim(1, key, 6, ttlMs, 1, 'policy');
    expect(table.remove(1, key, 0, 1)).toBe(true);
    expect(table.stats()).toMatchObject({ removals: 2, live: 0 });
  });

  test('backend ids up to 65535 fit', () => {
    const table = create();
    table.claim(1, key, 65_535, ttlMs, 0, 'policy');
    expect(table.lookup(1, key, 0)).toBe(65_535);
    expect(table.move(1, key, 65_535, 65_534, ttlMs, 0, 'policy')).toBe(65_534);
  });
});

test('behaves as a map of pins with expiries', () => {
  const keys = Array.from({ length: 12 }, (_, i) =>
    i % 3 === 0
      ? new Key('flow', Address.v4(i, 1000 + i))
      : new Key('client-ip', new Address(0, i, i % 2, i, 0)),
  );
  interface Model {
    backendId: number;
    expiresAtMs: number;
  }
  const operation = fc.record({
    kind: fc.constantFrom('lookup', 'touch', 'claim', 'move', 'confirm', 'remove', 'sweep', 'drain'),
    key: fc.nat(keys.length - 1),
    poolId: fc.integer({ min: 1, max: 2 }),
    backendId: fc.integer({ min: 1, max: 3 }),
    from: fc.integer({ min: 0, max: 3 }),
    ttlMs: fc.constantFrom(10, 160, 1000),
    elapsedMs: fc.constantFrom(0, 0, 1, 5, 40, 300),
  });
  const run = (
    steps: readonly (typeof operation extends fc.Arbitrary<infer T> ? T : never)[],
    report: boolean,
  ) => {
    const table = PinTable.create(100, { reportChanges: report });
    const model = new Map<string, Model>();
    let nowMs = 0;
    for (const step of steps) {
      nowMs += step.elapsedMs;
      const key = keys[step.key]!;
      const { poolId, backendId } = step;
      const name = `${poolId} ${step.key}`;
      const held = model.get(name);
      const pin = held !== undefined && held.expiresAtMs > nowMs ? held : undefined;
      const slide = (): void => {
        if (pin !== undefined && nowMs + step.ttlMs - pin.expiresAtMs > step.ttlMs / 16) {
          pin.expiresAtMs = nowMs + step.ttlMs;
        }
      };
      const put = (id: number): void =>
        void model.set(name, { backendId: id, expiresAtMs: nowMs + step.ttlMs });
      switch (step.kind) {
        case 'lookup':
          expect(table.lookup(poolId, key, nowMs)).toBe(pin?.backendId ?? 0);
          break;
        case 'touch':
          expect(table.touch(poolId, key, step.ttlMs, nowMs)).toBe(pin?.backendId ?? 0);
          slide();
          break;
        case 'claim':
          expect(table.claim(poolId, key, backendId, step.ttlMs, nowMs, 'policy')).toBe(
            pin?.backendId ?? backendId,
          );
          if (pin === undefined) put(backendId);
          break;
        case 'move': {
          const isMade = step.from === 0 ? pin === undefined : pin?.backendId === step.from;
          const result = table.move(poolId, key, step.from, backendId, step.ttlMs, nowMs, 'retry');
          expect(result).toBe(isMade ? backendId : (pin?.backendId ?? 0));
          if (isMade) put(backendId);
          break;
        }
        case 'confirm': {
          const before = [...table.entries(nowMs)].find(
            (each) => each.poolId === poolId && isSameKey(each, key),
          );
          table.confirm(poolId, key, backendId, step.ttlMs, nowMs);
          // The first confirmation is written anyway, so it moves the expiry by however little.
          if (pin?.backendId === backendId && before?.isConfirmed === false) {
            pin.expiresAtMs = Math.max(pin.expiresAtMs, nowMs + step.ttlMs);
          } else if (pin?.backendId === backendId) slide();
          break;
        }
        case 'remove':
          expect(table.remove(poolId, key, step.from, nowMs)).toBe(
            pin !== undefined && (step.from === 0 || pin.backendId === step.from),
          );
          if (pin !== undefined && (step.from === 0 || pin.backendId === step.from)) model.delete(name);
          break;
        case 'sweep':
          table.expire(nowMs, 10_000);
          break;
        case 'drain':
          table.drainChanges(2, () => {});
          break;
      }
    }
    const live = [...model].filter(([, { expiresAtMs }]) => expiresAtMs > nowMs);
    const listed = [...table.entries(nowMs)].map((pin) => {
      const index = keys.findIndex((key) => isSameKey(key, pin));
      return [`${pin.poolId} ${index}`, { backendId: pin.backendId, expiresAtMs: pin.expiresAtMs }] as const;
    });
    expect(new Map(listed)).toEqual(new Map(live));
    expect(listed.length).toBe(live.length);
    // Afterwards nothing may be left over in the counts or the slots.
    while (table.drainChanges(100, () => {}) > 0);
    table.expire(Number.MAX_SAFE_INTEGER / 1024, 10_000);
    expect(table.stats().live).toBe(0);
  };
  fc.assert(fc.property(fc.array(operation, { maxLength: 60 }), fc.boolean(), run), { numRuns: 500 });
});

describe('a table', () => {
  test('for a million pins takes a million, in 64 MB, and loses none', () => {
    const pins = 1_000_000;
    const table = PinTable.create(pins, { reportChanges: true });
    expect(table.shared.buffer.byteLength).toBeLessThanOrEqual(64_000_000);
    const salt = Math.floor(Math.random() * 2 ** 32);
    const random = (i: number): Key =>
      new Key('client-ip', new Address(0x20010db8, finishHash(i ^ salt), salt, i, 0));
    for (let i = 0; i < pins; i++) {
      if (table.claim(1, random(i), 1 + (i % 16_000), ttlMs, i / pins, 'policy') !== 1 + (i % 16_000)) {
        throw new Error(`pin ${i} was there before it was made (salt ${salt})`);
      }
    }
    expect(table.stats(), `salt ${salt}`).toMatchObject({
      live: pins,
      claims: pins,
      evictions: 0,
      notStored: 0,
    });
    for (let i = 0; i < pins; i++) {
      if (table.lookup(1, random(i), 1) !== 1 + (i % 16_000))
        throw new Error(`pin ${i} is lost (salt ${salt})`);
    }
    expect(table.lookup(1, random(pins), 1)).toBe(0);
  }, 60_000);

  test.each([1, 500, 5_000, 67_583])('for %d pins takes as many without evicting', (pins) => {
    const table = PinTable.create(pins, { reportChanges: false });
    for (let i = 0; i < pins; i++) table.claim(1, keyOf(i), 1, ttlMs, 0, 'policy');
    expect(table.stats()).toMatchObject({ live: pins, evictions: 0, capacity: pins });
  });

  test('too small, too large, or of another build is refused', () => {
    for (const capacity of [0, -1, 1.5, 2 ** 31, Number.NaN]) {
      expect(() => PinTable.create(capacity, { reportChanges: false })).toThrow(RangeError);
    }
    const { shared } = PinTable.create(1000, { reportChanges: false });
    for (const index of [0, 67, 1.5]) expect(() => PinTable.attach(shared, index)).toThrow(RangeError);
    expect(() => PinTable.attach({ ...shared, capacity: 100_000 }, 1)).toThrow(TypeError);
    const zeroed = new SharedArrayBuffer(shared.buffer.byteLength);
    expect(() => PinTable.attach({ ...shared, buffer: zeroed }, 1)).toThrow(TypeError);
  });

  test('attached elsewhere is the same table', () => {
    const table = PinTable.create(1000, { reportChanges: false });
    const worker = PinTable.attach(structuredClone(table.shared), 64);
    table.claim(1, keyOf(1), 3, ttlMs, 0, 'policy');
    expect(worker.claim(1, keyOf(1), 4, ttlMs, 0, 'policy')).toBe(3);
    expect(worker.remove(1, keyOf(1), 3, 0)).toBe(true);
    expect(table.lookup(1, keyOf(1), 0)).toBe(0);
    expect(table.stats()).toMatchObject({ claims: 1, hits: 0, removals: 1, live: 0 });
  });
});

describe('a full table', () => {
  const create = (reportChanges = false): PinTable => PinTable.create(oneGroup, { reportChanges });
  const crowd = 10_000;

  test('makes room for every client', () => {
    const table = create();
    for (let i = 0; i < crowd; i++) {
      expect(table.claim(1, keyOf(i), 7, ttlMs, i, 'policy')).toBe(7);
      expect(table.lookup(1, keyOf(i), i)).toBe(7);
    }
    const { live, evictions, notStored } = table.stats();
    expect(live + evictions).toBe(crowd);
    expect(live).toBe(oneGroup);
    expect(notStored).toBe(0);
    expect([...table.entries(crowd)].length).toBe(live);
  });

  test('evicts the pin that was not used for longest, whatever its ttl', () => {
    const table = create();
    const ttlOf = (i: number): number => (i % 2 === 0 ? ttlMs : ttlMs * 10);
    for (let i = 0; i < 600; i++) table.claim(1, keyOf(i), 7, ttlOf(i), 0, 'policy');
    // Rounds of newcomers push out each other and the last 300, as the first 300 are used again and again.
    for (let round = 0; round < 30; round++) {
      const nowMs = ((round + 1) * ttlMs) / 1.1;
      for (let i = 0; i < 300; i++) expect(table.touch(1, keyOf(i), ttlOf(i), nowMs)).toBe(7);
      for (let i = 0; i < 100; i++) {
        table.claim(1, keyOf(1000 + round * 100 + i), 7, ttlMs * 1000, nowMs - 1, 'policy');
      }
    }
    expect(table.stats().evictions).toBeGreaterThan(2000);
    const unused = Array.from({ length: 300 }, (_, i) => table.lookup(1, keyOf(300 + i), 1));
    expect(unused.filter((backendId) => backendId !== 0)).toEqual([]);
  });

  test('spares confirmed pins while there are others', () => {
    const table = create();
    for (let i = 0; i < 500; i++) {
      table.claim(1, keyOf(i), 7, ttlMs, 0, 'policy');
      table.confirm(1, keyOf(i), 7, ttlMs, 0);
    }
    for (let i = 500; i < crowd; i++) table.claim(1, keyOf(i), 7, ttlMs, 100, 'policy');
    expect(table.stats().evictions).toBeGreaterThan(5000);
    for (let i = 0; i < 500; i++) expect(table.lookup(1, keyOf(i), 100)).toBe(7);
  });

  test('takes expired pins first', () => {
    const table = create();
    for (let i = 0; i < crowd; i++) table.claim(1, keyOf(i), 7, 100, 0, 'policy');
    const before = table.stats();
    for (let i = crowd; i < crowd + 300; i++) table.claim(1, keyOf(i), 7, 100, 100, 'policy');
    const after = table.stats();
    expect(after.evictions).toBe(before.evictions);
    expect(after.expired + after.live).toBe(before.live + 300);
  });

  test('does not drop what control has yet to be told, and then turns newcomers away', () => {
    const table = create(true);
    for (let i = 0; i < crowd; i++) {
      expect(table.claim(1, keyOf(i), 7, ttlMs, 0, 'policy')).toBe(7);
      table.confirm(1, keyOf(i), 7, ttlMs, 0);
    }
    const { live, notStored, evictions } = table.stats();
    expect(evictions).toBe(0);
    expect(live + notStored).toBe(crowd);
    let told = 0;
    while (table.drainChanges(100, () => told++) > 0);
    expect(told).toBe(live);
    table.claim(1, keyOf(crowd), 7, ttlMs, 0, 'policy');
    expect(table.lookup(1, keyOf(crowd), 0)).toBe(7);
  });
});

describe('the sweep', () => {
  test('frees what has expired, a part at a time', () => {
    const table = PinTable.create(10_000, { reportChanges: false });
    const slots = pinLayout(10_000).slots;
    for (let i = 0; i < 10_000; i++) table.claim(1, keyOf(i), 1, i % 2 === 0 ? 100 : 1000, 0, 'policy');
    expect(table.expire(99, slots)).toBe(0);
    const first = table.expire(100, slots / 4);
    expect(first).toBeGreaterThan(500);
    expect(first).toBeLessThan(2500);
    expect(first + table.expire(100, slots)).toBe(5000);
    expect(table.stats()).toMatchObject({ live: 5000, expired: 5000, evictions: 0 });
    for (let i = 1; i < 10_000; i += 2) expect(table.lookup(1, keyOf(i), 100)).toBe(1);
  });
});

describe('a lock whose holder is gone', () => {
  test('fails no flow, costs the wait once, and ends when control releases it', () => {
    const table = PinTable.create(1000, { reportChanges: true });
    const worker = PinTable.attach(table.shared, 2);
    const pinned = keyOf(1);
    worker.claim(1, pinned, 5, ttlMs, 0, 'policy');
    seize(table, 9, 1, pinned);
    // Who is pinned stays so: to read takes no lock.
    expect(worker.lookup(1, pinned, 1)).toBe(5);
    expect(worker.touch(1, pinned, ttlMs, ttlMs / 2)).toBe(5);
    expect(worker.claim(1, pinned, 6, ttlMs, 1, 'policy')).toBe(5);
    const other = neighbour(table, pinned);
    expect(worker.lookup(1, other, 1)).toBe(0);
    for (let i = 0; i < 1000; i++) expect(worker.claim(1, other, 6, ttlMs, 1, 'policy')).toBe(6);
    expect(worker.move(1, pinned, 5, 8, ttlMs, 1, 'retry')).toBe(8);
    expect(worker.remove(1, pinned, 5, 1)).toBe(false);
    expect(worker.arrive(1, pinned, 5, ttlMs, 1, true)).toBe(false);
    expect([...table.entries(1)]).toEqual([]);
    expect(worker.stats()).toMatchObject({ notStored: 1002, blockedReads: 0 });
    expect(table.releaseLocksOf(8)).toBe(0);
    expect(table.releaseLocksOf(9)).toBe(1);
    expect(worker.lookup(1, pinned, 1)).toBe(5);
    expect(worker.claim(1, other, 6, ttlMs, 1, 'policy')).toBe(6);
    expect(table.stats().live).toBe(2);
  });

  test('lets nobody read a pin that is changing hands', () => {
    const table = PinTable.create(1000, { reportChanges: false });
    const worker = PinTable.attach(table.shared, 2);
    const [one, other] = [keyOf(1), neighbour(table, keyOf(1))];
    worker.claim(1, one, 5, ttlMs, 0, 'policy');
    seize(table, 9, 1, one);
    const { slots, probe } = sight(table, one);
    const slot = slots.find(probe);
    // The holder goes on between two words of the reader: the slot is found with the old key, and read with the new value.
    const find = PinSlots.prototype.find;
    const value = new PinEntry();
    value.backendId = 9;
    value.setExpiry(ttlMs, 0);
    PinSlots.prototype.find = function (aimed: PinProbe): number {
      const found = find.call(this, aimed);
      PinSlots.prototype.find = find;
      slots.occupy(slot, sight(table, other).probe, value);
      return found;
    };
    expect(worker.lookup(1, one, 1)).toBe(0);
  });

  test('is not passed by readers or writers', () => {
    const layout = pinLayout(1);
    const words = new Int32Array(new SharedArrayBuffer(layout.bytes));
    const one = new PinLocks(words, layout.groupsAt, layout.groups, 0);
    const other = new PinLocks(words, layout.groupsAt, layout.groups, 64);
    const stamp = other.stamp(0);
    expect(other.unchanged(0, stamp)).toBe(true);
    expect(one.acquire(0)).toBe(true);
    expect(other.unchanged(0, stamp)).toBe(false);
    expect(other.stamp(0)).toBe(blocked);
    expect(other.acquire(0)).toBe(false);
    one.release(0);
    expect(other.unchanged(0, stamp)).toBe(false);
    expect(other.acquire(0)).toBe(true);
  });

  test('counts releases without end', () => {
    const layout = pinLayout(1);
    const words = new Int32Array(new SharedArrayBuffer(layout.bytes));
    const locks = new PinLocks(words, layout.groupsAt, layout.groups, 64);
    // The last sequence number before it wraps.
    words[layout.groupsAt] = 0xffffff80;
    const stamp = locks.stamp(0);
    expect(stamp).not.toBe(blocked);
    expect(locks.acquire(0)).toBe(true);
    locks.release(0);
    expect(locks.unchanged(0, stamp)).toBe(false);
    expect(locks.stamp(0)).toBe(0);
  });
});
