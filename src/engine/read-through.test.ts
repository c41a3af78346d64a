import { expect, test } from 'vitest';
import { ReadThrough } from './read-through.ts';

test('an empty queue has been read up to now', () => {
  const readThrough = new ReadThrough(10, 4096);
  readThrough.read(3, 20);
  expect(readThrough.atMs).toBe(10);
  readThrough.emptied(30);
  expect(readThrough.atMs).toBe(30);
});

test('a queue that is never empty has been read up to a moment when all it can hold was read since', () => {
  const readThrough = new ReadThrough(0, 4096); // holds at most 16
  readThrough.emptied(100);
  for (let i = 0; i < 15; i++) readThrough.read(1, 110 + i);
  expect(readThrough.atMs).toBe(100);
  readThrough.read(1, 200);
  expect(readThrough.atMs).toBe(100);
  readThrough.read(15, 300);
  expect(readThrough.atMs).toBe(100);
  readThrough.read(1, 400);
  expect(readThrough.atMs).toBe(200);
});
