import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BackendStates } from '../core/backend-states.ts';
import { SlowStarts } from './slow-starts.ts';

let states: BackendStates;
let starts: SlowStarts;

beforeEach(() => {
  vi.useFakeTimers();
  states = new BackendStates();
  states.setUp(1, true);
  states.setWeight(1, 10);
  starts = new SlowStarts(states, () => Date.now());
});

afterEach(() => {
  starts.stop();
  expect(vi.getTimerCount()).toBe(0);
  vi.useRealTimers();
});

test('grows from a tenth to the whole in a straight line, and is done then', () => {
  starts.begin(1, 10_000);
  const seen = [states.ramp(1)];
  for (let second = 1; second <= 10; second++) {
    vi.advanceTimersByTime(1_000);
    seen.push(states.ramp(1));
  }
  const expected = Array.from({ length: 11 }, (_, second) => expect.closeTo(0.1 + 0.09 * second, 3));
  expect(seen).toEqual(expected);
  expect(states.weight(1)).toBe(10);
  expect(starts.shareOf(1)).toBeUndefined();
  expect(vi.getTimerCount(), 'nobody is waited for').toBe(0);
});

test('the weight in force follows, one that is set meanwhile too, and is never nothing', () => {
  starts.begin(1, 10_000);
  expect(states.weight(1)).toBe(1);
  vi.advanceTimersByTime(5_000);
  expect(states.weight(1)).toBeCloseTo(5.5, 2);
  states.setWeight(1, 20);
  expect(states.weight(1)).toBeCloseTo(11, 2);
  states.setWeight(1, 0.000_1);
  expect(states.servesNew(1)).toBe(true);
  states.setWeight(1, 0);
  expect(states.servesNew(1)).toBe(false);
});

test('one that flaps begins anew each time; one that is down holds nothing back', () => {
  starts.begin(1, 10_000);
  vi.advanceTimersByTime(8_000);
  starts.end(1);
  expect(states.ramp(1)).toBe(1);
  starts.begin(1, 10_000);
  expect(states.ramp(1)).toBeCloseTo(0.1, 3);
});

test('another time for it takes what has passed into account; 0 ends it', () => {
  starts.begin(1, 10_000);
  vi.advanceTimersByTime(5_000);
  starts.change(1, 50_000);
  expect(states.ramp(1)).toBeCloseTo(0.19, 2);
  starts.change(1, 0);
  expect(states.ramp(1)).toBe(1);
});
