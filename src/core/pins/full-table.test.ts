/** Who keeps a pin when there are more clients than the table has room for, and how many pins that room is. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Address } from '../address.ts';
import { Key } from '../key.ts';
import { finishHash } from '../key-hash.ts';
import { pinsMax } from '../limits.ts';
import { pinLayout, unassignedWord } from './layout.ts';
import { PinLocks } from './lock.ts';
import { PinTable, type RemotePin } from './table.ts';

const ttlMs = 64_000;
/** The largest table of one group. */
const oneGroup = 675;
/** As entry.ts has them. */
const sweepsPerEra = 16;
const connectedErasMax = 8;
const sweepsToLapse = (connectedErasMax + 1) * sweepsPerEra;

/** Distinct for distinct numbers. */
function keyOf(index: number): Key {
  return new Key('client-ip', Address.v4(finishHash(index), 0));
}

function create(capacity = oneGroup, reportChanges = false): PinTable {
  return PinTable.create(capacity, { reportChanges });
}

/** As a TCP connection does it: claimed when the backend is chosen, served when it is connected. */
function connect(table: PinTable, index: number, nowMs = 0): boolean {
  table.claim(1, keyOf(index), 7, 60_000, nowMs, 'policy');
  return table.arrive(1, keyOf(index), 7, ttlMs, nowMs, true);
}

function comeAndGo(table: PinTable, index: number, nowMs = 0): void {
  if (connect(table, index, nowMs)) table.leave(1, keyOf(index), ttlMs, nowMs);
}

function pinned(table: PinTable, from: number, to: number, nowMs = 0): number {
  let found = 0;
  for (let i = from; i < to; i++) if (table.lookup(1, keyOf(i), nowMs) === 7) found++;
  return found;
}

const peer: RemotePin = { poolId: 1, backendId: 3, ttlMs, expiresAtMs: ttlMs, reason: 'peer', writer: 2 };

describe('clients that are connected keep their pins', () => {
  const crowds: Record<string, (table: PinTable, index: number) => void> = {
    'clients that come and go': comeAndGo,
    'clients that were never served': (table, i) => table.claim(1, keyOf(i), 7, ttlMs, 1, 'policy'),
    'clients of a peer': (table, i) => table.applyRemote(keyOf(i), peer, 1),
    'one and the other in turn': (table, i) => {
      if (i % 2 === 0) comeAndGo(table, i, 1);
      else table.claim(1, keyOf(i), 7, ttlMs, 1, 'policy');
    },
  };
  test.each(Object.keys(crowds))('against a crowd of %s', (name) => {
    const table = create();
    // Connected ones have the stalest pins, and are most of the table.
    for (let i = 0; i < 600; i++) expect(connect(table, i)).toBe(true);
    for (let i = 1_000; i < 11_000; i++) crowds[name]!(table, i);
    expect(pinned(table, 0, 600, 1)).toBe(600);
    expect(table.stats()).toMatchObject({ live: oneGroup, notStored: 0, evictions: 10_600 - oneGroup });
  });

  test('in any order of the two, with pins that await reporting', () => {
    const table = create(oneGroup, true);
    for (let i = 0; i < 10_000; i++) {
      comeAndGo(table, 20_000 + i);
      if (i % 20 === 0) connect(table, i / 20);
      while (table.drainChanges(100, () => {}) > 0);
    }
    expect(pinned(table, 0, 500)).toBe(500);
    expect(table.stats().live).toBe(oneGroup);
  });

  test('and once they have left, or said nothing for two minutes, others get theirs', () => {
    const table = create();
    for (let i = 0; i < 600; i++) connect(table, i);
    for (let i = 0; i < 200; i++) table.leave(1, keyOf(i), ttlMs, 1);
    for (let sweep = 0; sweep < sweepsToLapse - 2; sweep++) {
      table.expire(1, 16);
      for (let i = 200; i < 400; i++) table.stay(1, keyOf(i), ttlMs, 1);
    }
    for (let i = 1_000; i < 2_000; i++) comeAndGo(table, i, 2);
    expect([pinned(table, 0, 200, 2), pinned(table, 200, 600, 2)]).toEqual([0, 400]);
    // The worker that had the last 200 has died without a word.
    for (let sweep = 0; sweep < sweepsPerEra + 1; sweep++) table.expire(1, 16);
    for (let i = 2_000; i < 10_000; i++) comeAndGo(table, i, 2);
    expect([pinned(table, 200, 400, 2), pinned(table, 400, 600, 2)]).toEqual([200, 0]);
  });

  test('whoever counts eras anew: what has lapsed does not come back with them', () => {
    const table = create();
    connect(table, 0);
    const { slots } = pinLayout(oneGroup);
    // 256 eras later the number of the era is the one it was marked with.
    for (let sweep = 0; sweep < 256 * sweepsPerEra; sweep++) table.expire(1, slots / 80 / sweepsPerEra);
    for (let i = 1; i < 5_000; i++) comeAndGo(table, i, 2);
    expect(table.lookup(1, keyOf(0), 2)).toBe(0);
  });

  test('as long as one of their connections is open', () => {
    const table = create();
    for (let i = 0; i < 3; i++) connect(table, 1);
    for (let i = 0; i < 300; i++) connect(table, 2);
    for (let i = 0; i < 2; i++) table.leave(1, keyOf(1), ttlMs, 0);
    for (let i = 10; i < 5_000; i++) comeAndGo(table, i, 1);
    expect(pinned(table, 1, 3, 1)).toBe(2);
    table.leave(1, keyOf(1), ttlMs, 1);
    // So many are not counted to the end, and lapse.
    for (let i = 0; i < 300; i++) table.leave(1, keyOf(2), ttlMs, 1);
    for (let i = 5_000; i < 10_000; i++) comeAndGo(table, i, 2);
    expect([pinned(table, 1, 2, 2), pinned(table, 2, 3, 2)]).toEqual([0, 1]);
    for (let sweep = 0; sweep < sweepsToLapse; sweep++) table.expire(1, 16);
    for (let i = 10_000; i < 15_000; i++) comeAndGo(table, i, 2);
    expect(pinned(table, 2, 3, 2)).toBe(0);
  });

  test('though a peer moves them, or an operator forgets them and they are pinned anew', () => {
    const table = create();
    connect(table, 1);
    connect(table, 2);
    table.applyRemote(keyOf(1), peer, 1);
    table.remove(1, keyOf(2), 0, 1);
    table.claim(1, keyOf(2), 7, ttlMs, 1, 'policy');
    table.stay(1, keyOf(2), ttlMs, 1);
    for (let i = 10; i < 5_000; i++) comeAndGo(table, i, 1);
    expect(table.lookup(1, keyOf(1), 1)).toBe(3);
    expect(table.lookup(1, keyOf(2), 1)).toBe(7);
  });

  test('and one whose claim was pushed out before it was served is pinned where it is served', () => {
    const table = create();
    table.claim(1, keyOf(1), 7, ttlMs, 0, 'policy');
    for (let i = 10; i < 5_000; i++) comeAndGo(table, i, 1);
    expect(table.lookup(1, keyOf(1), 1)).toBe(0);
    expect(table.arrive(1, keyOf(1), 7, ttlMs, 1, false), 'one that is not to').toBe(false);
    expect(table.arrive(1, keyOf(1), 7, ttlMs, 1, true)).toBe(true);
    expect(table.lookup(1, keyOf(1), 1)).toBe(7);
  });
});

describe('time that passes while nobody runs', () => {
  test('takes no pin from a client that is connected, and one from who has left', () => {
    const table = create(oneGroup, true);
    connect(table, 1);
    comeAndGo(table, 2);
    while (table.drainChanges(100, () => {}) > 0);
    const nowMs = ttlMs * 5;
    table.expire(nowMs, 2_000);
    expect([table.lookup(1, keyOf(1), nowMs), table.lookup(1, keyOf(2), nowMs)]).toEqual([7, 0]);
    expect([...table.entries(nowMs)]).toMatchObject([{ expiresAtMs: ttlMs }]);
    expect(table.claim(1, keyOf(1), 8, ttlMs, nowMs, 'policy')).toBe(7);
    table.stay(1, keyOf(1), ttlMs, nowMs);
    expect([...table.entries(nowMs)]).toMatchObject([{ expiresAtMs: nowMs + ttlMs }]);
    // It is news for the others, too.
    const told: number[] = [];
    table.drainChanges(100, ({ expiresAtMs }) => told.push(expiresAtMs));
    expect(told).toEqual([nowMs + ttlMs]);
    table.leave(1, keyOf(1), ttlMs, nowMs * 2);
    expect(table.lookup(1, keyOf(1), nowMs * 2 + ttlMs - 1)).toBe(7);
    expect(table.lookup(1, keyOf(1), nowMs * 2 + ttlMs)).toBe(0);
  });

  test('does so for two minutes of sweeps, where a worker has died', () => {
    const table = create();
    connect(table, 1);
    for (let sweep = 0; sweep < sweepsToLapse - 2; sweep++) table.expire(ttlMs * 5, 2_000);
    expect(table.lookup(1, keyOf(1), ttlMs * 5)).toBe(7);
    table.expire(ttlMs * 5, 2_000);
    expect([table.lookup(1, keyOf(1), ttlMs * 5), table.stats().live]).toEqual([0, 0]);
  });
});

describe('where all are connected', () => {
  test('newcomers go without a pin, at no cost, until one leaves', () => {
    const table = create();
    for (let i = 0; i < oneGroup; i++) connect(table, i);
    for (let i = 1_000; i < 2_000; i++) {
      expect(table.claim(1, keyOf(i), 7, ttlMs, 1, 'policy')).toBe(7);
      expect(table.arrive(1, keyOf(i), 7, ttlMs, 1, true)).toBe(false);
    }
    expect(table.applyRemote(keyOf(3_000), peer, 1)).toBe(false);
    expect(pinned(table, 0, 3_000, 1)).toBe(oneGroup);
    expect(table.stats()).toMatchObject({ live: oneGroup, evictions: 0, notStored: 1_001 });
    table.leave(1, keyOf(5), ttlMs, 1);
    expect(connect(table, 1_000, 2)).toBe(true);
    expect([table.lookup(1, keyOf(5), 2), table.lookup(1, keyOf(1_000), 2)]).toEqual([0, 7]);
    expect(connect(table, 1_001, 2)).toBe(false);
    table.remove(1, keyOf(6), 0, 2);
    expect(connect(table, 1_001, 2)).toBe(true);
  });

  test('and in part await reporting, they get one as soon as control was told', () => {
    const table = create(oneGroup, true);
    for (let i = 0; i < 600; i++) connect(table, i);
    for (let i = 600; i < oneGroup; i++) comeAndGo(table, i);
    expect(connect(table, 1_000)).toBe(false);
    while (table.drainChanges(100, () => {}) > 0);
    expect(connect(table, 1_000)).toBe(true);
  });
});

describe('the capacity', () => {
  const groups = 8;
  const capacity = Math.floor(groups * 1024 * 0.66);

  test.each([1, 7, oneGroup, capacity])('of %d is what a table takes, and not one more', (pins) => {
    const table = create(pins);
    for (let i = 0; i < pins; i++) connect(table, i);
    expect(table.stats()).toMatchObject({ live: pins, evictions: 0, notStored: 0 });
    for (let i = 0; i < pins; i++) table.leave(1, keyOf(i), ttlMs, 0);
    for (let i = pins; i < pins * 3 + 100; i++) comeAndGo(table, i, 1);
    expect(table.stats()).toMatchObject({ live: pins, evictions: pins * 2 + 100, notStored: 0 });
  });

  test('may be as much as a configuration may say', () => {
    const layout = pinLayout(pinsMax);
    expect(layout.capacity).toBe(16_777_216);
    expect(layout.bytes / 4, 'words, counted in 32 bits').toBeLessThan(2 ** 31);
    expect(() => pinLayout(pinsMax + 1)).toThrow(RangeError);
  });

  test('is there again when pins have gone, however they went', () => {
    const table = create(capacity);
    const half = Math.floor(capacity / 2);
    const { slots } = pinLayout(capacity);
    for (let round = 0; round < 6; round++) {
      const startMs = round * ttlMs * 3;
      const nowMs = startMs + ttlMs;
      const from = round * capacity;
      for (let i = 0; i < capacity; i++) {
        table.claim(1, keyOf(from + i), 7, i < half ? ttlMs : ttlMs * 2, startMs, 'policy');
      }
      expect(table.stats()).toMatchObject({ live: capacity, evictions: 0, notStored: 0 });
      if (round % 2 === 0) table.expire(nowMs, slots);
      else for (let i = 0; i < half; i++) table.remove(1, keyOf(from + i), 0, startMs);
      expect(table.stats().live).toBe(capacity - half);
      for (let i = 0; i < half; i++) {
        table.applyRemote(keyOf(-1 - i), { ...peer, expiresAtMs: nowMs + ttlMs }, nowMs);
      }
      expect(table.stats()).toMatchObject({ live: capacity, evictions: 0, notStored: 0 });
      table.expire(nowMs + ttlMs, slots);
      expect(table.stats().live).toBe(0);
    }
  });

  test('is there again when a thread was killed that had just taken some of it', () => {
    const table = create(capacity);
    const layout = pinLayout(capacity);
    const words = new Int32Array(table.shared.buffer);
    const busy = new PinLocks(words, layout.groupsAt, layout.groups, 5);
    for (let kill = 0; kill < 10; kill++) {
      new PinLocks(words, layout.groupsAt, layout.groups, 9).acquire(3);
      Atomics.sub(words, unassignedWord, 16);
      // In the first half somebody else is in the middle of a write when control looks.
      if (kill < 5) busy.acquire(6);
      expect(table.releaseLocksOf(9)).toBe(1);
      if (kill < 5) busy.release(6);
    }
    table.expire(0, 16);
    for (let i = 0; i < capacity; i++) connect(table, i);
    expect(table.stats()).toMatchObject({ live: capacity, evictions: 0, notStored: 0 });
    expect(connect(table, capacity)).toBe(false);
  });
});

test('no order of events makes more pins than there may be, or costs a connected client its pin', () => {
  const step = fc.record({
    kind: fc.constantFrom(
      ...(['claim', 'connect', 'connect', 'close', 'stay', 'confirm', 'move'] as const),
      ...(['remove', 'peer', 'forget', 'drain', 'sweep', 'report'] as const),
    ),
    index: fc.nat(25),
    elapsedMs: fc.constantFrom(0, 0, 1, 100, ttlMs / 10),
  });
  const run = (
    capacity: number,
    steps: readonly (typeof step extends fc.Arbitrary<infer T> ? T : never)[],
  ) => {
    const table = create(capacity, true);
    const open = new Map<number, number>();
    let nowMs = 0;
    for (const { kind, index, elapsedMs } of steps) {
      nowMs += elapsedMs;
      const key = keyOf(index);
      const flows = open.get(index) ?? 0;
      if (kind === 'claim') table.claim(1, key, 7, ttlMs, nowMs, 'policy');
      if (kind === 'confirm') table.confirm(1, key, 7, ttlMs, nowMs);
      if (kind === 'move') table.move(1, key, 7, 8, ttlMs, nowMs, 'retry');
      if (kind === 'stay' && flows > 0) table.stay(1, key, ttlMs, nowMs);
      if (kind === 'connect' && connect(table, index, nowMs)) open.set(index, flows + 1);
      if (kind === 'peer') table.applyRemote(key, { ...peer, expiresAtMs: nowMs + ttlMs }, nowMs);
      if (kind === 'drain') table.drainChanges(3, () => {});
      if (kind === 'sweep') table.expire(nowMs, 2_000);
      if (kind === 'report') table.reportChanges(index % 2 === 0);
      if (kind === 'close' && flows > 0) {
        table.leave(1, key, ttlMs, nowMs);
        open.set(index, flows - 1);
      }
      // Whoever is forgotten on purpose has no pin to keep. Afterwards its flows close, as far as they are counted.
      if (kind === 'remove') table.remove(1, key, 0, nowMs);
      if (kind === 'forget') table.applyRemote(key, { ...peer, backendId: 0 }, nowMs);
      if (kind === 'remove' || kind === 'forget') {
        for (let flow = 0; flow < flows; flow++) table.leave(1, key, ttlMs, nowMs);
        open.delete(index);
      }
      for (const [other, count] of open) {
        if (count === 0) continue;
        expect(table.lookup(1, keyOf(other), nowMs), `client ${other} after ${kind}`).not.toBe(0);
      }
      const pins = [...table.entries(0)].length;
      expect(table.stats().live).toBeLessThanOrEqual(capacity);
      expect(pins).toBe(table.stats().live);
    }
    for (const [index, flows] of open) {
      for (let flow = 0; flow < flows; flow++) table.leave(1, keyOf(index), ttlMs, nowMs);
    }
    while (table.drainChanges(100, () => {}) > 0);
    table.expire(Number.MAX_SAFE_INTEGER / 1024, 2_000);
    expect(table.stats().live).toBe(0);
    for (let i = 100; i < 100 + capacity; i++) connect(table, i, nowMs);
    expect(pinned(table, 100, 100 + capacity, nowMs)).toBe(capacity);
  };
  fc.assert(fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 120 }), run), {
    numRuns: 500,
  });
});
