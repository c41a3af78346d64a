import { expect, test } from 'vitest';
import { seededRandom } from '../core/seeded-random.fixture.ts';
import { DueSlots } from './due-slots.ts';

const all = Number.POSITIVE_INFINITY;

test('a slot is due in the second it was filed under, once, and at the earlier of two', () => {
  const due = new DueSlots(10, 5_000);
  due.file(1, 7_900);
  due.file(2, 6_100);
  due.file(3, 1_000);
  expect([due.take(5_000, all), due.areAny(5_900)]).toEqual([[3], false]);
  due.file(1, 9_000);
  due.file(2, 5_500);
  expect(due.take(5_999, all)).toEqual([2]);
  expect(due.take(7_000, all)).toEqual([1]);
  expect(due.take(99_000, all)).toEqual([]);
});

test('what is filed again for the second that is looked at is due in the next look', () => {
  const due = new DueSlots(10, 0);
  due.file(1, 400);
  expect(due.take(300, all)).toEqual([1]);
  due.file(1, 400);
  expect(due.take(350, all)).toEqual([1]);
  due.file(1, 1_400);
  expect(due.take(950, all)).toEqual([]);
  expect(due.take(1_000, 1)).toEqual([1]);
});

test.each(Array.from({ length: 5 }, (_, seed) => seed))(
  'whoever looks and files anew misses no moment, however many are taken at a time (seed %i)',
  (seed) => {
    const random = seededRandom(seed);
    const pick = (count: number): number => Math.floor(random() * count);
    const due = new DueSlots(200, 1_000);
    const expires = new Map<number, number>();
    let nowMs = 1_000;
    for (let step = 0; step < 3_000; step++) {
      const slot = pick(200);
      const atMs = nowMs + pick(20_000);
      // A later moment is not told: it is found out by a look.
      if (!expires.has(slot) || atMs < expires.get(slot)!) due.file(slot, atMs);
      expires.set(slot, atMs);
      nowMs += pick(100) === 0 ? pick(30_000) : pick(50);
      if (pick(3) > 0) continue;
      const max = pick(2) === 0 ? all : 1 + pick(5);
      const taken = due.take(nowMs, max);
      expect(taken.length).toBeLessThanOrEqual(max);
      for (const one of taken) {
        if (expires.get(one)! <= nowMs) expires.delete(one);
        else due.file(one, expires.get(one)!);
      }
      if (max === all) expect([...expires.values()].filter((ms) => ms <= nowMs)).toEqual([]);
    }
  },
);
