import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Terminal } from './terminal.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** Standard input and error are on a terminal until it is closed. */
function opened(descriptors: readonly number[] = [0, 2]) {
  let isOpen = true;
  const terminal = new Terminal((fd) => isOpen && descriptors.includes(fd));
  return { terminal, close: () => (isOpen = false) };
}

test('a SIGHUP that comes with the end of the terminal means it, however long that was there', () => {
  const { terminal, close } = opened();
  expect(terminal.hasJustGone).toBe(false);
  vi.advanceTimersByTime(3_600_000);
  expect(terminal.hasJustGone).toBe(false);
  close();
  expect(terminal.hasJustGone).toBe(true);
  vi.advanceTimersByTime(2_000);
  expect(terminal.hasJustGone, 'its shell says it once more').toBe(true);
});

test('one that comes long after is an order', () => {
  const { terminal, close } = opened();
  vi.advanceTimersByTime(10_000);
  close();
  vi.advanceTimersByTime(60_000);
  expect(terminal.hasJustGone).toBe(false);
});

test('without a terminal every one is an order', () => {
  const { terminal, close } = opened([]);
  close();
  expect(terminal.hasJustGone).toBe(false);
  expect(vi.getTimerCount()).toBe(0);
});
