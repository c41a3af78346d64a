import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { httpTakenMs } from '../../core/limits.ts';
import type { Access, OutStream } from '../answer.ts';
import { EventLog } from './events.ts';
import { StreamHub } from './stream.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function bench(isTaken: boolean, takesMs = 0) {
  let access: Access | 'wrong-token' = 'read';
  const said: string[] = [];
  const cuts: string[] = [];
  const stream: OutStream = {
    isTaken: true,
    write: (bytes) => {
      said.push(bytes.toString());
      Object.assign(stream, { isTaken });
      if (isTaken) stream.onTaken();
    },
    onTaken: () => {},
    onGone: () => {},
    cut: (why) => {
      cuts.push(why);
      stream.onGone();
    },
  };
  const state = async (): Promise<string> => {
    if (takesMs > 0) await new Promise((resolve) => setTimeout(resolve, takesMs));
    return '{}';
  };
  const hub = new StreamHub({ events: new EventLog('run1'), state });
  hub.answer('read', undefined, () => access)!.begin(stream);
  return { said, cuts, becomes: (now: typeof access) => (access = now) };
}

test('whose token is replaced is told nothing more', async () => {
  const { said, cuts, becomes } = bench(true);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(said).toHaveLength(4);
  expect(cuts).toEqual([]);
  becomes('wrong-token');
  await vi.advanceTimersByTimeAsync(5_000);
  expect(cuts).toEqual(['token']);
  expect(said).toHaveLength(4);
});

test('who takes nothing is told once, and cut', async () => {
  const { said, cuts } = bench(false);
  await vi.advanceTimersByTimeAsync(httpTakenMs + 2_000);
  expect(said).toHaveLength(1);
  expect(cuts).toEqual(['slow-reader']);
});

test('a state that takes long is told less often, and never later than a page waits', async () => {
  const { said } = bench(true, 800);
  await vi.advanceTimersByTimeAsync(4_500);
  expect(said.length).toBeGreaterThanOrEqual(2);
  await vi.advanceTimersByTimeAsync(8_500);
  expect(said.length).toBeGreaterThanOrEqual(4);
  expect(said.length).toBeLessThanOrEqual(6);
});
