import { expect, test } from 'vitest';
import type { Beat } from '../worker/client.ts';
import { Watchdog } from './watchdog.ts';

function watched(timeoutMs: number) {
  const state = { nowMs: 0, fed: 0, stuck: [] as number[], beats: [] as (Beat | undefined)[] };
  const watchdog = new Watchdog({
    timeoutMs,
    beats: () => state.beats,
    feed: () => state.fed++,
    stuck: (worker) => state.stuck.push(worker),
    nowMs: () => state.nowMs,
  });
  /** A look each time it is due, for so long; `beat` is called before each. @returns how often it was fed */
  const pass = (forMs: number, beat: () => void = () => {}): number => {
    const before = state.fed;
    for (const endMs = state.nowMs + forMs; state.nowMs < endMs; ) {
      state.nowMs += watchdog.everyMs;
      beat();
      watchdog.look();
    }
    return state.fed - before;
  };
  const turn = (worker: number): void => {
    const { thread, beats } = state.beats[worker]!;
    state.beats[worker] = { thread, beats: beats + 1 };
  };
  return { state, pass, turn };
}

test('is fed four times within its time while all workers turn, and not while one does not', () => {
  const { state, pass, turn } = watched(20_000);
  state.beats = [
    { thread: 1, beats: 5 },
    { thread: 1, beats: 9 },
  ];
  const all = (): void => {
    turn(0);
    turn(1);
  };
  expect(pass(20_000, all)).toBe(4);
  // For half of its time it may be a long turn.
  expect(pass(10_000, () => turn(0))).toBe(1);
  expect(state.stuck).toEqual([1]);
  expect(pass(60_000, () => turn(0))).toBe(0);
  expect(state.stuck, 'told once').toEqual([1]);
  expect(pass(20_000, all), 'it goes on when the worker does').toBe(4);
});

test('a worker that is gone, or has begun anew, does not starve it; one that never begins does', () => {
  const { state, pass } = watched(20_000);
  state.beats = [undefined];
  expect(pass(60_000)).toBe(12);
  state.beats = [{ thread: 2, beats: 0 }];
  expect(pass(30_000), 'it loads its modules').toBe(6);
  expect(pass(10_000)).toBe(0);
  state.beats = [{ thread: 3, beats: 0 }];
  expect(pass(30_000)).toBe(6);
});
