import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { untoldFlowsToldEveryMs } from '../core/limits.ts';
import { UntoldFlows } from './untold-flows.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

test('counts of all workers are one event at once and then one a second, and nothing is lost at the end', () => {
  const told: number[] = [];
  const untold = new UntoldFlows((event) => {
    if (event.event === 'flows-untold') told.push(event.count);
  });
  untold.add(0);
  expect(told).toEqual([]);
  untold.add(5);
  for (let i = 0; i < 40; i++) untold.add(10);
  expect(told).toEqual([5]);
  vi.advanceTimersByTime(untoldFlowsToldEveryMs);
  expect(told).toEqual([5, 400]);
  vi.advanceTimersByTime(untoldFlowsToldEveryMs);
  expect(told).toEqual([5, 400]);
  untold.add(1);
  untold.add(2);
  untold.end();
  vi.advanceTimersByTime(5 * untoldFlowsToldEveryMs);
  expect(told).toEqual([5, 400, 1, 2]);
});
