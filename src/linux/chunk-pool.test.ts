import { expect, test } from 'vitest';
import type { Region } from './arena.ts';
import { ChunkPool } from './chunk-pool.ts';

const mebibyte = 1024 * 1024;

function takeAll(pool: ChunkPool, length: number): Region[] {
  const taken: Region[] = [];
  for (let chunk = pool.take(length); chunk !== undefined; chunk = pool.take(length)) taken.push(chunk);
  return taken;
}

test('the budget is met and not exceeded', () => {
  const pool = new ChunkPool(2 * mebibyte);
  expect(takeAll(pool, 16 * 1024).length).toBe(128);
  expect(pool.usedBytes).toBe(2 * mebibyte);
  expect(pool.take(1)).toBeUndefined();
});

test('a burst of one size does not keep its memory from the others for ever', () => {
  const pool = new ChunkPool(2 * mebibyte);
  for (const length of [16 * 1024, 64 * 1024, 4 * 1024, 16 * 1024]) {
    const taken = takeAll(pool, length);
    expect(taken.length).toBe((2 * mebibyte) / length);
    for (const chunk of taken) pool.release(chunk);
    expect(pool.usedBytes).toBe(0);
  }
});

test('an arena with one chunk lent is kept', () => {
  const pool = new ChunkPool(mebibyte);
  const [lent, ...rest] = takeAll(pool, 16 * 1024);
  for (const chunk of rest) pool.release(chunk);
  expect(pool.take(64 * 1024)).toBeUndefined();
  pool.release(lent!);
  for (const chunk of takeAll(pool, 16 * 1024)) pool.release(chunk);
  expect(pool.take(64 * 1024)).toBeDefined();
});

test('it is scarce from half the budget on', () => {
  const pool = new ChunkPool(mebibyte);
  for (let i = 0; i < 8; i++) pool.take(64 * 1024);
  expect(pool.isScarce).toBe(false);
  pool.take(64 * 1024);
  expect(pool.isScarce).toBe(true);
});
