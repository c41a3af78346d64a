import assert from 'node:assert/strict';
import { writeSync } from 'node:fs';
import { test } from 'vitest';
import { Arena } from './arena.ts';
import { ChunkPool } from './chunk-pool.ts';
import { EFD_NONBLOCK, O_CLOEXEC, O_NONBLOCK } from './constants.ts';
import { EAGAIN, errnoName } from './errno.ts';
import { bind, close, type Descriptor, drainEventfd, eventfd, pipe, receive, send, splice } from './libc.ts';

test('regions do not overlap, start on a cache line and share no memory', () => {
  const arena = new Arena(1024);
  const [first, second] = [arena.cut(100), arena.cut(100)];
  assert.equal(first.address % 64, 0);
  assert.ok(second.address >= first.address + 100);
  first.bytes.fill(1);
  assert.ok(second.bytes.every((byte) => byte === 0));
  first.words[0] = -1;
  assert.deepEqual([...first.bytes.subarray(0, 5)], [255, 255, 255, 255, 1]);
});

test('an arena gives no more than it has', () => {
  const arena = new Arena(256);
  arena.cut(200);
  assert.throws(() => arena.cut(200), RangeError);
  assert.throws(() => arena.cut(-1), RangeError);
});

test('lengths and offsets are clamped to the region', () => {
  const arena = new Arena(4096);
  const region = arena.cut(64);
  const ends = pipe(O_NONBLOCK | O_CLOEXEC);
  assert.ok(typeof ends === 'object');
  // No socket: the point is that a length beyond the region never reaches the kernel as such.
  for (const [offset, length] of [
    [0, 1e9],
    [60, 100],
    [-5, 10],
    [1e12, 10],
    [Number.NaN, Number.NaN],
  ] as const) {
    assert.equal(errnoName(receive(ends.read, region, offset, length)), 'ENOTSOCK');
    assert.equal(errnoName(send(ends.write, region, offset, length)), 'ENOTSOCK');
  }
  close(ends.read);
  close(ends.write);
});

test('errors are values', () => {
  const nothing = -1 as Descriptor;
  assert.equal(errnoName(close(nothing)), 'EBADF');
  assert.equal(errnoName(bind(nothing, new Arena(64).cut(16), 16)), 'EBADF');
  assert.equal(splice(nothing, nothing, 1) < 0, true);
});

test('an eventfd is woken by a plain write of another module', () => {
  const fd = eventfd(EFD_NONBLOCK);
  assert.equal(drainEventfd(fd), -EAGAIN);
  writeSync(fd, new Uint8Array(new BigUint64Array([1n]).buffer));
  assert.equal(drainEventfd(fd), 8);
  assert.equal(drainEventfd(fd), -EAGAIN);
  close(fd);
});

test('chunks come in the size that fits, within the budget, and are reused', () => {
  const pool = new ChunkPool(2 * 1024 * 1024);
  const small = pool.take(1)!;
  assert.equal(small.length, 4096);
  const large: unknown[] = [];
  for (let chunk = pool.take(65_536); chunk !== undefined; chunk = pool.take(65_536)) large.push(chunk);
  assert.equal(large.length, 16);
  assert.equal(pool.usedBytes, 4096 + 1024 * 1024);
  assert.notEqual(pool.take(4096), undefined);
  assert.equal(pool.take(4097), undefined);
  pool.release(small);
  assert.equal(pool.take(10), small);
  assert.throws(() => pool.take(65_537), RangeError);
});
