import { expect, test } from 'vitest';
import { mayEjectOneMore, nextEjection, type PastEjections } from './ejection.ts';

const passive = { ejectMs: 10_000, ejectMsMax: 300_000 };

test('a backend that fails again at once is left out longer each time, up to the longest', () => {
  let past: PastEjections | undefined;
  const times: number[] = [];
  for (let nowMs = 0, i = 0; i < 40; i++) {
    const next = nextEjection(past, passive, nowMs);
    times.push(next.forMs / 1_000);
    nowMs += next.forMs;
    past = { times: next.times, endedAtMs: nowMs };
    nowMs += 1_000;
  }
  expect(times.slice(0, 4)).toEqual([10, 20, 30, 40]);
  expect(times.slice(28)).toEqual([290, ...new Array(11).fill(300)]);
});

test.each([
  [9_999, 6],
  [10_000, 5],
  [35_000, 3],
  [3_600_000, 1],
])('after %d ms without one it is time %d', (calmMs, times) => {
  expect(nextEjection({ times: 5, endedAtMs: 1_000 }, passive, 1_000 + calmMs).times).toBe(times);
});

test('the longest bounds the first one, too', () => {
  expect(nextEjection(undefined, { ejectMs: 10_000, ejectMsMax: 15_000 }, 0).forMs).toBe(10_000);
  expect(nextEjection({ times: 1, endedAtMs: 0 }, { ejectMs: 10_000, ejectMsMax: 15_000 }, 0)).toEqual({
    times: 2,
    forMs: 15_000,
  });
});

test.each([
  [0, 2, 0.1, true],
  [1, 2, 0.5, false],
  [1, 4, 0.5, true],
  [2, 4, 0.5, false],
  [2, 5, 0.5, false],
  [0, 10, 0, false],
  [9, 10, 1, true],
])('%d of %d ejected, at most %d: one more %s', (ejected, backends, share, may) => {
  expect(mayEjectOneMore(ejected, backends, share)).toBe(may);
});
