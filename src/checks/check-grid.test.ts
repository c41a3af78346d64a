import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { CheckGrid } from './check-grid.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('what is due about the same time runs at one point, once, unless it was dropped', async () => {
  const grid = new CheckGrid();
  const fromMs = performance.now();
  const ran: [string, number][] = [];
  const runs = ['a', 'b', 'c', 'd'].map((name) => () => void ran.push([name, performance.now() - fromMs]));
  await vi.advanceTimersByTimeAsync(50 - (fromMs % 50));
  const shiftMs = performance.now() - fromMs;
  const points = [980, 1_004, 1_020, 1_030].map((delayMs, i) => grid.put(delayMs, 50, runs[i]!));
  expect(vi.getTimerCount()).toBe(2);
  expect(points.map((point) => Math.round(point - fromMs - shiftMs))).toEqual([1_000, 1_000, 1_000, 1_050]);
  grid.drop(points[1]!, runs[1]!);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(ran.map(([name, atMs]) => [name, Math.round(atMs - shiftMs)])).toEqual([
    ['a', 1_000],
    ['c', 1_000],
    ['d', 1_050],
  ]);
});
