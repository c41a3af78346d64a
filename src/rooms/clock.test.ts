import { afterEach, expect, test, vi } from 'vitest';
import { sharedClock } from './shared.ts';

afterEach(() => vi.restoreAllMocks());

function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

test('a thread that is kept from running while it sets its clock is not behind the others', () => {
  const originMs = monotonicMs();
  const now = performance.now.bind(performance);
  let readings = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => {
    const untilMs = now() + (readings++ < 3 ? 25 : 0);
    while (now() < untilMs);
    return now();
  });
  const nowMs = sharedClock(originMs);
  vi.restoreAllMocks();
  const [before, read, after] = [monotonicMs(), nowMs(), monotonicMs()];
  expect(read).toBeGreaterThan(before - originMs - 10);
  expect(read).toBeLessThan(after - originMs + 10);
});
