import { expect, test } from 'vitest';
import { Panic } from './panic.ts';
import type { BackendView } from './snapshot.ts';

const view = (id: number, weight: number, tier = 0, isBackup = false): BackendView => ({
  id,
  name: `b${id}`,
  target: undefined,
  addressText: '',
  weight,
  maxConnections: 0,
  tier,
  isBackup,
});

function isOn(
  backends: readonly BackendView[],
  up: readonly number[],
  below = 0.5,
  draining: readonly number[] = [],
): boolean {
  const states = {
    isUp: (id: number) => up.includes(id),
    isDraining: (id: number) => draining.includes(id),
  };
  return new Panic(backends, below, states).isOn();
}

test('goes by weight, and is on below the threshold, not at it', () => {
  const backends = [view(1, 2), view(2, 1), view(3, 1), view(4, 0)];
  expect(isOn(backends, [1])).toBe(false);
  expect(isOn(backends, [2])).toBe(true);
  expect(isOn(backends, [2, 3])).toBe(false);
  expect(isOn(backends, [])).toBe(true);
  expect(isOn(backends, [], 0.000_1)).toBe(true);
});

test('one tier that is well is enough', () => {
  const backends = [view(1, 1), view(2, 1), view(3, 1, 1), view(4, 1, 1), view(5, 1, 1)];
  expect(isOn(backends, [3, 4])).toBe(false);
  expect(isOn(backends, [3])).toBe(true);
});

test('a backup serves while it is the only one that is up, and counts for nothing else', () => {
  const backends = [view(1, 1), view(2, 1), view(3, 1), view(9, 100, 1, true)];
  expect(isOn(backends, [9])).toBe(false);
  expect(isOn(backends, [1, 9])).toBe(true);
  expect(isOn(backends, [])).toBe(true);
});

test('who is out by an operator’s word is not counted, up or down', () => {
  const backends = [view(1, 1), view(2, 1), view(3, 1), view(4, 1)];
  expect(isOn(backends, [1])).toBe(true);
  expect(isOn(backends, [1], 0.5, [3, 4])).toBe(false);
  expect(isOn(backends, [2, 3, 4], 0.6, [3, 4])).toBe(true);
});
