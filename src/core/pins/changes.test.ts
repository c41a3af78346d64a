import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Address } from '../address.ts';
import { Key } from '../key.ts';
import { PinChanges } from './changes.ts';
import { PinEntry } from './entry.ts';
import { pinLayout, scopeWord } from './layout.ts';
import { PinLocks } from './lock.ts';
import { PinProbe } from './probe.ts';
import { PinSlots } from './slots.ts';
import { type PinChange, PinTable, type RemotePin } from './table.ts';

const ttlMs = 64_000;
/** The largest table of one group. */
const oneGroup = 675;
const create = (capacity = 1000): PinTable => PinTable.create(capacity, { reportChanges: true });
const keyOf = (index: number): Key => new Key('client-ip', new Address(1, 2, 3, index, 0));

function drain(table: PinTable, max = 1000): PinChange[] {
  const changes: PinChange[] = [];
  while (table.drainChanges(max, (change) => changes.push(change)) === max);
  return changes;
}

function pin(table: PinTable, index: number, backendId: number, nowMs = 0): void {
  table.claim(1, keyOf(index), backendId, ttlMs, nowMs, 'policy');
  table.confirm(1, keyOf(index), backendId, ttlMs, nowMs);
}

function remote(backendId: number, more: Partial<RemotePin> = {}): RemotePin {
  return { poolId: 1, backendId, ttlMs, expiresAtMs: ttlMs, reason: 'peer', writer: 2, ...more };
}

describe('control is told', () => {
  test('of a pin once a backend has served it, with everything about it', () => {
    const table = create();
    const key = new Key('flow', Address.parseWithPort('[2001:db8::9]:5353')!);
    table.claim(7, key, 3, ttlMs, 5, 'fail-open');
    expect(drain(table)).toEqual([]);
    table.confirm(7, key, 4, ttlMs, 6);
    expect(drain(table)).toEqual([]);
    table.confirm(7, key, 3, ttlMs, 6);
    const [change, ...others] = drain(table);
    expect(others).toEqual([]);
    expect(change).toEqual({
      poolId: 7,
      kind: 'flow',
      w0: key.w0,
      w1: key.w1,
      w2: key.w2,
      w3: key.w3,
      port: 5353,
      backendId: 3,
      previousBackendId: 0,
      ttlMs,
      expiresAtMs: ttlMs + 6,
      reason: 'fail-open',
    });
    expect(drain(table)).toEqual([]);
  });

  test('of a move, with the backend to compare with', () => {
    const table = create();
    pin(table, 1, 3);
    drain(table);
    table.move(1, keyOf(1), 3, 4, ttlMs, 1, 'operator');
    expect(drain(table)).toMatchObject([{ backendId: 4, previousBackendId: 3, reason: 'operator' }]);
  });

  test('once of several changes', () => {
    const table = create();
    pin(table, 1, 3);
    table.move(1, keyOf(1), 3, 4, ttlMs, 1, 'retry');
    table.move(1, keyOf(1), 4, 5, ttlMs, 2, 'retry');
    expect(drain(table)).toMatchObject([{ backendId: 5, previousBackendId: 0 }]);
  });

  test('of a use when the expiry has slid by a quarter of the ttl', () => {
    const table = create();
    pin(table, 1, 3);
    drain(table);
    const toldAtMs: number[] = [];
    for (let nowMs = 0; nowMs <= ttlMs * 2; nowMs += ttlMs / 100) {
      table.touch(1, keyOf(1), ttlMs, nowMs);
      for (const { backendId, previousBackendId, expiresAtMs } of drain(table)) {
        expect([backendId, previousBackendId, expiresAtMs]).toEqual([3, 3, nowMs + ttlMs]);
        toldAtMs.push(nowMs);
      }
    }
    const gaps = toldAtMs.map((nowMs, i) => (nowMs - (toldAtMs[i - 1] ?? 0)) / ttlMs);
    expect(gaps.length).toBeGreaterThanOrEqual(5);
    for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(0.25);
    for (const gap of gaps) expect(gap).toBeLessThan(0.4);
  });

  test('of a removal, with its key, and the slot is kept until then', () => {
    const table = create(1);
    pin(table, 1, 3);
    drain(table);
    table.remove(1, keyOf(1), 0, 1);
    expect(table.lookup(1, keyOf(1), 1)).toBe(0);
    expect([...table.entries(1)]).toEqual([]);
    for (let i = 2; i < 5000; i++) table.claim(1, keyOf(i), 9, ttlMs, 1, 'policy');
    expect(drain(table)).toMatchObject([{ w3: keyOf(1).w3, backendId: 0, previousBackendId: 3 }]);
    expect(drain(table)).toEqual([]);
  });

  test('of a removed pin that was made again as of one that was moved', () => {
    const table = create();
    pin(table, 1, 3);
    drain(table);
    table.remove(1, keyOf(1), 0, 1);
    pin(table, 1, 4, 1);
    expect(table.stats().live).toBe(1);
    expect(drain(table)).toMatchObject([{ backendId: 4, previousBackendId: 3 }]);
  });

  test('of a removal, while its successor is not confirmed', () => {
    const table = create();
    pin(table, 1, 3);
    drain(table);
    table.remove(1, keyOf(1), 0, 1);
    table.claim(1, keyOf(1), 4, ttlMs, 1, 'policy');
    expect(drain(table)).toMatchObject([{ backendId: 0, previousBackendId: 3 }]);
    expect(table.lookup(1, keyOf(1), 1)).toBe(4);
    table.confirm(1, keyOf(1), 4, ttlMs, 1);
    expect(drain(table)).toMatchObject([{ backendId: 4, previousBackendId: 0 }]);
  });

  test('nothing of pins that came and went in between, of evictions, of expiries', () => {
    const table = create(oneGroup);
    pin(table, 1, 3);
    table.remove(1, keyOf(1), 0, 1);
    for (let i = 2; i < 500; i++) pin(table, i, 3);
    drain(table);
    for (let i = 500; i < 5000; i++) table.claim(1, keyOf(i), 9, ttlMs, ttlMs / 2, 'policy');
    for (let i = 5000; i < 6000; i++) table.claim(1, keyOf(i), 9, ttlMs, ttlMs * 3, 'policy');
    table.expire(ttlMs * 10, 10_000);
    expect(table.stats().evictions).toBeGreaterThan(0);
    expect(drain(table)).toEqual([]);
    expect(table.stats().live).toBe(0);
  });

  test('of everything when a ring overflows, by several writers, in small portions', () => {
    const table = create(20_000);
    const { ringSlots } = pinLayout(20_000);
    const writers = [table, PinTable.attach(table.shared, 1), PinTable.attach(table.shared, 64)];
    for (let i = 0; i < 12_000; i++) pin(writers[i % 3]!, i, 1 + (i % 100));
    expect(table.stats().ringOverflows).toBe(12_000 - 3 * ringSlots);
    const told = drain(table, 77);
    expect(told.length).toBe(12_000);
    expect(new Set(told.map(({ w3 }) => w3)).size).toBe(12_000);
    for (const { w3, backendId } of told) expect(backendId).toBe(1 + (w3 % 100));
    for (let i = 0; i < 12_000; i++) writers[1]!.remove(1, keyOf(i), 0, 1);
    expect(drain(table, 77).length).toBe(12_000);
    expect(table.stats()).toMatchObject({ live: 0, reported: 24_000, notStored: 0 });
    pin(table, 1, 5);
    expect(drain(table)).toMatchObject([{ backendId: 5, previousBackendId: 0 }]);
  });

  test('nothing while it does not ask to be, and then of all', () => {
    const table = PinTable.create(1000, { reportChanges: false });
    for (let i = 0; i < 100; i++) pin(table, i, 3);
    table.remove(1, keyOf(0), 0, 0);
    table.claim(1, keyOf(100), 3, ttlMs, 0, 'policy');
    expect(drain(table)).toEqual([]);
    table.reportChanges(true);
    expect(
      drain(table)
        .map(({ w3 }) => w3)
        .sort((a, b) => a - b),
    ).toEqual(Array.from({ length: 99 }, (_, i) => i + 1));
    table.reportChanges(false);
    table.remove(1, keyOf(1), 0, 0);
    expect(drain(table)).toEqual([]);
  });

  test('of what one that died was taking out, to whoever asks after it', () => {
    const table = create();
    pin(table, 1, 3);
    const { buffer, capacity } = table.shared;
    const layout = pinLayout(capacity);
    const dead = new PinChanges(new Int32Array(buffer, 0, layout.countersAt * 2), layout, 64);
    expect(dead.peek(0)).toBeGreaterThanOrEqual(0);
    dead.advance(0);
    pin(table, 2, 3);
    expect(drain(table).map(({ w3 }) => w3)).toEqual([2]);
    table.reportChanges(true);
    expect(drain(table).map(({ w3 }) => w3)).toEqual([1]);
  });

  test('while it is being told, and may use the table', () => {
    const table = create();
    for (let i = 0; i < 10; i++) pin(table, i, 3);
    const seen: number[] = [];
    table.drainChanges(100, (change) => {
      seen.push(change.w3);
      const key = new Key(change.kind, change);
      if (change.previousBackendId === 0) table.move(change.poolId, key, 3, 4, ttlMs, 0, 'operator');
    });
    expect(seen.length).toBe(20);
  });
});

describe("a peer's word", () => {
  test('is taken and not reported', () => {
    const table = create();
    expect(table.applyRemote(keyOf(1), remote(3), 0)).toBe(true);
    expect([...table.entries(0)]).toMatchObject([
      { backendId: 3, reason: 'peer', writer: 2, isConfirmed: true },
    ]);
    pin(table, 2, 4);
    expect(table.applyRemote(keyOf(2), remote(5), 0)).toBe(true);
    expect(table.lookup(1, keyOf(2), 0)).toBe(5);
    expect(table.applyRemote(keyOf(1), remote(0), 0)).toBe(true);
    expect(table.lookup(1, keyOf(1), 0)).toBe(0);
    expect(drain(table)).toEqual([]);
    expect(table.stats()).toMatchObject({ live: 1, remotes: 3 });
    table.move(1, keyOf(2), 5, 6, ttlMs, 0, 'backend-down');
    expect(drain(table)).toMatchObject([{ backendId: 6, previousBackendId: 5 }]);
    expect([...table.entries(0)]).toMatchObject([{ writer: 0 }]);
  });

  test('that has expired is nothing', () => {
    const table = create();
    expect(table.applyRemote(keyOf(1), remote(3, { expiresAtMs: 10 }), 10)).toBe(false);
    expect(table.stats().live).toBe(0);
  });

  test('that others know of it with an earlier expiry takes nothing from what is still to be told of its use', () => {
    const table = create();
    pin(table, 1, 3);
    // The answer to a claim, which lasts a minute at most, comes after the client was served for the whole ttl.
    table.applyRemote(keyOf(1), remote(3, { ttlMs: 10_000, expiresAtMs: 10_000 }), 0);
    expect(drain(table)).toMatchObject([{ backendId: 3, previousBackendId: 3, ttlMs, expiresAtMs: ttlMs }]);
    // What is nearly as late is as good.
    table.applyRemote(keyOf(1), remote(3, { expiresAtMs: ttlMs - 1_000 }), 0);
    expect(drain(table)).toEqual([]);
    // One that nobody was told of yet, as it has not served: it has now, elsewhere.
    table.claim(1, keyOf(2), 3, ttlMs, 0, 'policy');
    table.applyRemote(keyOf(2), remote(3, { expiresAtMs: 1_000 }), 0);
    expect(drain(table)).toMatchObject([{ backendId: 3, previousBackendId: 3, expiresAtMs: ttlMs }]);
  });

  test('does not shorten a pin both agree on', () => {
    const table = create();
    pin(table, 1, 3, 100);
    table.applyRemote(keyOf(1), remote(3, { expiresAtMs: 50_000 }), 100);
    expect([...table.entries(100)]).toMatchObject([{ expiresAtMs: 100 + ttlMs }]);
    table.applyRemote(keyOf(1), remote(4, { expiresAtMs: 50_000 }), 100);
    expect([...table.entries(100)]).toMatchObject([{ backendId: 4, expiresAtMs: 50_000 }]);
  });

  test('that only repeats what was known does not undo a change that waits to be reported', () => {
    const table = create();
    for (const index of [1, 2]) table.applyRemote(keyOf(index), remote(3), 0);
    table.move(1, keyOf(1), 3, 4, ttlMs, 0, 'backend-down');
    table.remove(1, keyOf(2), 0, 0);
    for (const index of [1, 2]) expect(table.applyRemote(keyOf(index), remote(3), 0)).toBe(true);
    expect(table.lookup(1, keyOf(1), 0)).toBe(4);
    expect(table.lookup(1, keyOf(2), 0)).toBe(0);
    expect(drain(table)).toMatchObject([
      { backendId: 4, previousBackendId: 3 },
      { backendId: 0, previousBackendId: 3 },
    ]);
  });

  test('finds room in a full table', () => {
    const table = create(oneGroup);
    for (let i = 0; i < 3000; i++) expect(table.applyRemote(keyOf(i), remote(3), 0)).toBe(true);
    expect(table.stats()).toMatchObject({ live: oneGroup, evictions: 3000 - oneGroup });
    expect(table.lookup(1, keyOf(2999), 0)).toBe(3);
  });
});

test('whoever follows the changes knows every confirmed pin, and each change fits on what it knew', () => {
  const step = fc.record({
    kind: fc.constantFrom(
      ...(['claim', 'confirm', 'move', 'remove', 'touch', 'drain', 'peer', 'rescan'] as const),
      ...(['arrive', 'stay', 'leave'] as const),
    ),
    index: fc.nat(5),
    backendId: fc.integer({ min: 1, max: 3 }),
    from: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const table = create(oneGroup);
      const layout = pinLayout(oneGroup);
      const words = new Int32Array(table.shared.buffer);
      const cluster = new Map<number, number>();
      const follow = (change: PinChange): void => {
        const index = change.w3;
        expect(change.previousBackendId).toBe(cluster.get(index) ?? 0);
        if (change.backendId === 0) cluster.delete(index);
        else cluster.set(index, change.backendId);
      };
      let nowMs = 0;
      for (const { kind, index, backendId, from } of steps) {
        nowMs += 1;
        const key = keyOf(index);
        if (kind === 'claim') table.claim(1, key, backendId, ttlMs, nowMs, 'policy');
        if (kind === 'confirm') table.confirm(1, key, table.lookup(1, key, nowMs), ttlMs, nowMs);
        if (kind === 'move') table.move(1, key, from, backendId, ttlMs, nowMs, 'retry');
        if (kind === 'remove') table.remove(1, key, from, nowMs);
        if (kind === 'touch') table.touch(1, key, ttlMs * 2 ** from, nowMs);
        if (kind === 'arrive') table.arrive(1, key, backendId, ttlMs, nowMs, from > 0);
        if (kind === 'stay') table.stay(1, key, ttlMs * 2 ** from, nowMs);
        if (kind === 'leave') table.leave(1, key, ttlMs * 2 ** from, nowMs);
        if (kind === 'drain') table.drainChanges(from, follow);
        if (kind === 'rescan') new PinChanges(words, layout, 0).askForRescan(0);
        if (kind === 'peer') {
          if (from === 0) cluster.delete(index);
          else cluster.set(index, from);
          table.applyRemote(key, remote(from, { expiresAtMs: nowMs + ttlMs }), nowMs);
        }
      }
      while (table.drainChanges(3, follow) === 3);
      const confirmed = [...table.entries(nowMs)].filter(({ isConfirmed }) => isConfirmed);
      expect(cluster).toEqual(new Map(confirmed.map((each) => [each.w3, each.backendId])));
    }),
    { numRuns: 2000 },
  );
});

describe('a writer that is killed in the middle of a write', () => {
  /** Does what a write does up to some point, holding the lock, as writer 9. */
  function die(
    table: PinTable,
    index: number,
    until: (slots: PinSlots, slot: number, entry: PinEntry) => void,
  ): void {
    const layout = pinLayout(table.shared.capacity);
    const words = new Int32Array(table.shared.buffer, 0, layout.countersAt * 2);
    const slots = new PinSlots(words, layout);
    const probe = new PinProbe(layout.groups).aim(1, keyOf(index));
    new PinLocks(words, layout.groupsAt, layout.groups, 9).acquire(probe.group);
    const entry = new PinEntry();
    const slot = slots.find(probe);
    entry.load(words, slots.entryAt(slot));
    until(slots, slot, entry);
  }

  test('leaves a change that is reported all the same', () => {
    const table = create();
    pin(table, 1, 3);
    drain(table);
    die(table, 1, (slots, slot, entry) => {
      entry.backendId = 4;
      entry.save(slots.words, slots.entryAt(slot));
    });
    expect(drain(table)).toEqual([]);
    expect(table.releaseLocksOf(9)).toBe(1);
    expect(drain(table)).toMatchObject([{ backendId: 4, previousBackendId: 3 }]);
  });

  test('leaves a free slot of one that was changing hands', () => {
    const table = create();
    pin(table, 1, 3);
    pin(table, 2, 3);
    drain(table);
    die(table, 1, (slots, slot) => {
      slots.free(slot);
      Atomics.store(slots.words, slots.entryAt(slot) + scopeWord, 12_345);
    });
    table.releaseLocksOf(9);
    expect(table.lookup(1, keyOf(1), 1)).toBe(0);
    expect(table.stats().live).toBe(1);
    expect(table.claim(1, keyOf(1), 5, ttlMs, 1, 'policy')).toBe(5);
    expect([...table.entries(1)].map((each) => each.poolId)).toEqual([1, 1]);
  });

  test('keeps nothing from being reported that waits behind its lock', () => {
    const table = create(oneGroup);
    for (let i = 0; i < 10; i++) pin(table, i, 3);
    die(table, 1, () => {});
    expect(drain(table)).toEqual([]);
    table.releaseLocksOf(9);
    expect(drain(table).length).toBe(10);
  });
});
