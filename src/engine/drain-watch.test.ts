import { expect, test } from 'vitest';
import { DrainWatch } from './drain-watch.ts';

const limitMs = 1_000;

test('with nothing in the kernel a flow is idle at its deadline', () => {
  expect(new DrainWatch().look(1_000, 0, limitMs, 0)).toBeUndefined();
});

test('a reader that takes something in every limit is never idle, until it has all', () => {
  const drain = new DrainWatch();
  let nowMs = 1_000;
  for (let queuedBytes = 500; queuedBytes >= 0; queuedBytes -= 100) {
    const nextMs = drain.look(nowMs, 0, limitMs, queuedBytes);
    expect(nextMs).toBe(nowMs + limitMs);
    nowMs = nextMs!;
  }
  expect(drain.look(nowMs, 0, limitMs, 0)).toBeUndefined();
});

test('a reader that stands still is idle a limit after the first look', () => {
  const drain = new DrainWatch();
  expect(drain.look(1_000, 0, limitMs, 500)).toBe(2_000);
  expect(drain.look(1_500, 0, limitMs, 500)).toBe(2_000);
  expect(drain.look(2_000, 0, limitMs, 500)).toBeUndefined();
});

test('what was seen before the relay moved something says nothing', () => {
  const drain = new DrainWatch();
  drain.look(1_000, 0, limitMs, 500);
  expect(drain.look(2_500, 1_500, limitMs, 500)).toBe(3_500);
});
