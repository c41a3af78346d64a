import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { httpTakenMs } from '../../core/limits.ts';
import type { Access, OutStream } from '../answer.ts';
import { EventLog } from './events.ts';
import { StreamHub } from './stream.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function bench(isTaken: boolean) {
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
  const hub = new StreamHub({ events: new EventLog('run1'), state: async () => '{}' });
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
