import assert from 'node:assert/strict';
import { test } from 'vitest';
import { errnoName } from './errno.ts';
import { close } from './libc.ts';
import { type Pipe, PipePool } from './pipe-pool.ts';
import { TimerWheel } from './timer-wheel.ts';

const noFault = (error: unknown): never => {
  throw error;
};
const takeAll = (pool: PipePool, count: number): Pipe[] => Array.from({ length: count }, () => pool.take(0)!);

test('pipes are bounded, reused when empty and closed when not', () => {
  const pool = new PipePool(2, new TimerWheel(0, 10, 64));
  const [first, second] = [pool.take(0)!, pool.take(0)!];
  assert.equal(pool.take(0), undefined);
  pool.release(first, true, 0);
  assert.equal(pool.take(0), first);
  pool.release(second, false, 0);
  assert.equal(errnoName(close(second.read)), 'EBADF');
  assert.equal(pool.count, 1);
  pool.release(first, true, 0);
  pool.close();
  assert.equal(pool.count, 0);
});

test('with a lower maximum idle pipes go at once and those in use when they come back', () => {
  const pool = new PipePool(4, new TimerWheel(0, 10, 64));
  const [first, second, third] = takeAll(pool, 3) as [Pipe, Pipe, Pipe];
  pool.release(first, true, 0);
  pool.limit(1);
  assert.equal(pool.count, 2);
  assert.equal(pool.take(0), undefined);
  pool.release(second, true, 0);
  assert.equal(pool.count, 1);
  pool.release(third, true, 0);
  assert.equal(pool.take(0), third, 'one is allowed');
  pool.limit(0);
  pool.release(third, true, 0);
  assert.equal(pool.count, 0);
});

test('pipes nobody needs for a while are closed, those in use meanwhile are kept', () => {
  const wheel = new TimerWheel(0, 10, 4096);
  const pool = new PipePool(10, wheel);
  for (const pipe of takeAll(pool, 5)) pool.release(pipe, true, 0);
  wheel.advance(2_010, noFault);
  assert.equal(pool.count, 5, 'all were in use since the timer was set');
  // In each of the following periods two are needed at once.
  for (const periodEndMs of [4_030, 6_050]) {
    for (const pipe of takeAll(pool, 2)) pool.release(pipe, true, periodEndMs - 100);
    wheel.advance(periodEndMs, noFault);
    assert.equal(pool.count, 2);
  }
  wheel.advance(9_000, noFault);
  assert.equal(pool.count, 0);
  assert.equal(wheel.size, 0, 'nothing is left to watch');
  const again = pool.take(0)!;
  pool.release(again, true, 9_000);
  for (const nowMs of [11_010, 14_000]) wheel.advance(nowMs, noFault);
  assert.equal(pool.count, 0);
});
