import { expect, test } from 'vitest';
import { RateWatch } from './rates.ts';

function bench() {
  let nowMs = 0;
  const counts = new Map<string, number>();
  const read = (kind: string) => (id: number, field: string) => counts.get(`${kind} ${id} ${field}`) ?? 0;
  const watch = new RateWatch({ listener: read('l'), backend: read('b') } as never, () => nowMs);
  const add = (key: string, amount: number) => counts.set(key, (counts.get(key) ?? 0) + amount);
  const second = (ids: readonly number[] = [1], ms = 1_000) => {
    nowMs += ms;
    watch.sample({ listeners: ids, backends: ids });
  };
  return { watch, add, second };
}

test('nothing is known before there are two samples', () => {
  const { watch, add, second } = bench();
  add('l 1 opened', 500);
  second();
  expect(watch.listener(1).last1s.newFlowsPerS).toBe(0);
  expect(watch.listener(7).last10s.bytesInPerS).toBe(0);
});

test('over the last second and the last ten, by the time there was between the samples', () => {
  const { watch, add, second } = bench();
  second();
  for (let i = 0; i < 20; i++) {
    add('l 1 opened', i === 19 ? 100 : 10);
    add('b 1 bytesIn', 1_000);
    second([1], i === 19 ? 2_000 : 1_000);
  }
  expect(watch.listener(1).last1s.newFlowsPerS).toBe(50);
  expect(watch.listener(1).last10s.newFlowsPerS).toBe(17.3);
  expect(watch.backend(1).last1s.bytesInPerS).toBe(500);
});

test('one that is new, with the count of a former time, does not jump; several are summed', () => {
  const { watch, add, second } = bench();
  second([1]);
  add('b 2 opened', 1_000_000);
  add('b 1 opened', 4);
  second([1, 2]);
  expect(watch.backend(2).last10s.newFlowsPerS).toBe(0);
  add('b 2 opened', 6);
  add('b 1 opened', 4);
  second([1, 2]);
  expect(watch.backend(1, 2).last1s.newFlowsPerS).toBe(10);
});

test('flows of the last minute', () => {
  const { watch, add, second } = bench();
  second();
  for (let i = 0; i < 100; i++) {
    add('b 1 opened', 1);
    second();
  }
  expect(watch.openedInMinute(1)).toBeGreaterThanOrEqual(60);
  expect(watch.openedInMinute(1)).toBeLessThanOrEqual(70);
});
