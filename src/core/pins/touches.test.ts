/** Whoever reads touched slots again knows what is in the table: seeded, so that what fails can be run again. */
import { describe, expect, test } from 'vitest';
import { Address } from '../address.ts';
import { Key } from '../key.ts';
import { finishHash } from '../key-hash.ts';
import { seededRandom } from '../seeded-random.fixture.ts';
import { pinLayout, slotsPerGroup } from './layout.ts';
import { PinLocks } from './lock.ts';
import { PinProbe } from './probe.ts';
import { type Pin, PinTable } from './table.ts';

const ttlMs = 64_000;

function keyOf(index: number): Key {
  return new Key('client-ip', Address.v4(finishHash(index), 0));
}

function textOf({ poolId, w3, backendId }: Pin): string {
  return `${poolId} ${w3} ${backendId}`;
}

/** Knows the table by what it was shown alone. */
class Reader {
  readonly pins = new Map<number, Pin>();
  readonly #table: PinTable;

  constructor(table: PinTable) {
    this.#table = table;
    table.follow();
    for (let slot = 0; slot < table.slotCount; slot++) this.read(slot, 0);
  }

  read(slot: number, nowMs: number): void {
    const pin = this.#table.pinIn(slot, nowMs);
    if (pin === undefined) this.pins.delete(slot);
    else if (pin !== 'blocked') this.pins.set(slot, pin);
  }

  /** @returns how many slots were shown */
  follow(nowMs: number, max = Number.POSITIVE_INFINITY): number {
    const count = this.#table.takeTouched(max, (slots) => {
      for (const slot of slots) this.read(slot, nowMs);
    });
    for (const [slot, { expiresAtMs }] of this.pins) if (expiresAtMs <= nowMs) this.read(slot, nowMs);
    return count;
  }
}

describe('touched slots', () => {
  test.each(Array.from({ length: 6 }, (_, seed) => ({ seed, capacity: [20, 675, 2_000][seed % 3]! })))(
    'are all that has changed, whatever is done (seed $seed, $capacity pins)',
    ({ seed, capacity }) => {
      const random = seededRandom(seed);
      const pick = (count: number): number => Math.floor(random() * count);
      const table = PinTable.create(capacity, { reportChanges: seed % 2 === 0 });
      const worker = PinTable.attach(table.shared, 1);
      for (let i = 0; i < capacity / 4; i++) worker.claim(1, keyOf(i), 1, ttlMs, 0, 'policy');
      const reader = new Reader(table);
      const arrived: number[] = [];
      let nowMs = 0;
      for (let step = 0; step < 1_500; step++) {
        nowMs += pick(4) === 0 ? pick(200) : 0;
        const i = pick(capacity * 2);
        const key = keyOf(i);
        const id = 1 + pick(5);
        const choice = pick(12);
        if (choice < 4) worker.claim(1, key, id, pick(3) === 0 ? 1_000 : ttlMs, nowMs, 'policy');
        else if (choice === 4) worker.move(1, key, worker.lookup(1, key, nowMs), id, ttlMs, nowMs, 'retry');
        else if (choice === 5) worker.remove(1, key, 0, nowMs);
        else if (choice === 6) worker.confirm(1, key, worker.lookup(1, key, nowMs), ttlMs, nowMs);
        else if (choice === 7 && worker.arrive(1, key, id, 1_000, nowMs, true)) arrived.push(i);
        else if (choice === 8 && arrived.length > 0) worker.leave(1, keyOf(arrived.pop()!), 1_000, nowMs);
        else if (choice === 9) {
          const remote = { poolId: 1, backendId: pick(6), ttlMs, expiresAtMs: nowMs + 5_000, writer: 1 };
          table.applyRemote(key, { ...remote, reason: 'peer' }, nowMs);
        } else if (choice === 10) table.expire(nowMs, 64);
        else if (choice === 11) table.drainChanges(20, () => {});
        if (pick(20) > 0) continue;
        reader.follow(nowMs);
        const known = [...reader.pins.values()].map(textOf).sort();
        expect(known, `step ${step}`).toEqual([...table.entries(nowMs)].map(textOf).sort());
      }
      reader.follow(nowMs);
      expect(table.areTouched).toBe(false);
      expect(table.stats().claims).toBeGreaterThan(capacity / 4);
    },
  );

  test('are shown a part at a time, each once, and those at the end are not left out', () => {
    const table = PinTable.create(30_000, { reportChanges: false });
    table.follow();
    const slots = new Set<number>();
    for (let i = 0; i < 20_000; i++) table.claim(1, keyOf(i), 1, ttlMs, 0, 'policy');
    let looks = 0;
    let count = 0;
    while (table.areTouched) {
      looks++;
      count += table.takeTouched(1_000, (some) => {
        expect(new Set(some.map((slot) => Math.floor(slot / slotsPerGroup))).size).toBe(1);
        for (const slot of some) slots.add(slot);
      });
    }
    expect([slots.size, count]).toEqual([20_000, 20_000]);
    expect(looks).toBeGreaterThan(10);
  });

  test('are not noted before somebody follows, nor after they were shown', () => {
    const table = PinTable.create(100, { reportChanges: false });
    table.claim(1, keyOf(1), 1, ttlMs, 0, 'policy');
    expect(table.areTouched).toBe(false);
    table.follow();
    expect(table.areTouched).toBe(false);
    table.lookup(1, keyOf(1), 0);
    table.claim(1, keyOf(1), 2, ttlMs, 0, 'policy');
    table.touch(1, keyOf(1), ttlMs, 1);
    expect(table.areTouched).toBe(false);
    table.touch(1, keyOf(1), ttlMs, ttlMs / 2);
    expect(table.takeTouched(10, () => {})).toBe(1);
    expect(table.areTouched).toBe(false);
  });

  test('behind a lock that is not let go are shown once it is, and so is all that its holder may have written', () => {
    const table = PinTable.create(2_000, { reportChanges: false });
    const key = keyOf(7);
    table.claim(1, key, 1, ttlMs, 0, 'policy');
    const reader = new Reader(table);
    const layout = pinLayout(2_000);
    const { group } = new PinProbe(layout.groups).aim(1, key);
    const known = [...reader.pins.keys()][0]!;
    table.move(1, key, 1, 2, ttlMs, 0, 'retry');
    new PinLocks(new Int32Array(table.shared.buffer), layout.groupsAt, layout.groups, 5).acquire(group);
    expect(table.pinIn(known, 0)).toBe('blocked');
    expect(reader.follow(0)).toBe(0);
    expect(reader.pins.get(known)?.backendId).toBe(1);
    expect(table.areTouched).toBe(true);
    expect(table.releaseLocksOf(5)).toBe(1);
    expect(reader.follow(0)).toBe(slotsPerGroup);
    expect(reader.pins.get(known)?.backendId).toBe(2);
  });
});
