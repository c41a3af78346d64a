import assert from 'node:assert/strict';
import fc from 'fast-check';
import { test } from 'vitest';
import { type Timed, TimerWheel } from './timer-wheel.ts';

/** An entry with a true deadline, as flows have: it goes back until that has come. */
class Deadline implements Timed {
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  visits = 0;
  firedAtMs = -1;
  deadlineMs: number;
  readonly wheel: TimerWheel;

  constructor(wheel: TimerWheel, deadlineMs: number) {
    this.wheel = wheel;
    this.deadlineMs = deadlineMs;
    wheel.set(this, deadlineMs);
  }

  onTimer(nowMs: number): void {
    this.visits++;
    if (nowMs < this.deadlineMs) this.wheel.set(this, this.deadlineMs);
    else this.firedAtMs = nowMs;
  }
}

const noFault = (error: unknown): never => {
  throw error;
};

test('an entry is visited once its time has come, at most a tick late', () => {
  const wheel = new TimerWheel(1000, 10, 64);
  const entry = new Deadline(wheel, 1105);
  wheel.advance(1104, noFault);
  assert.equal(entry.visits, 0);
  wheel.advance(1110, noFault);
  assert.equal(entry.firedAtMs, 1110);
  assert.equal(wheel.size, 0);
});

test('activity moves a deadline without touching the wheel', () => {
  const wheel = new TimerWheel(0, 10, 64);
  const entry = new Deadline(wheel, 100);
  entry.deadlineMs = 300;
  wheel.advance(290, noFault);
  assert.equal(entry.visits, 1);
  wheel.advance(300, noFault);
  assert.deepEqual([entry.visits, entry.firedAtMs], [2, 300]);
});

test('a deadline further away than a rotation is met in time', () => {
  const wheel = new TimerWheel(0, 10, 16);
  const entry = new Deadline(wheel, 1000);
  for (let nowMs = 0; nowMs < 1000; nowMs += 7) wheel.advance(nowMs, noFault);
  assert.equal(entry.firedAtMs, -1);
  wheel.advance(1000, noFault);
  assert.equal(entry.firedAtMs, 1000);
});

test('a visit may clear and set any entry, its neighbours in the bucket included', () => {
  const wheel = new TimerWheel(0, 10, 16);
  const victim = new Deadline(wheel, 50);
  const killer = new Deadline(wheel, 50);
  killer.onTimer = () => {
    wheel.clear(victim);
    wheel.set(killer, 50);
  };
  wheel.advance(50, noFault);
  assert.equal(victim.visits, 0);
  assert.equal(wheel.size, 1);
  wheel.clear(killer);
  wheel.clear(killer);
  assert.equal(wheel.size, 0);
});

test('what one visit throws does not cost the others theirs', () => {
  const wheel = new TimerWheel(0, 10, 16);
  const healthy = [new Deadline(wheel, 30), new Deadline(wheel, 40)];
  const broken = new Deadline(wheel, 30);
  broken.onTimer = () => {
    throw new Error('defect');
  };
  const faults: Timed[] = [];
  wheel.advance(100, (_, entry) => faults.push(entry));
  assert.deepEqual(faults, [broken]);
  for (const entry of healthy) assert.equal(entry.firedAtMs, 100);
});

test('the wait for the next entry is never too long, and bounded', () => {
  const wheel = new TimerWheel(0, 10, 64);
  assert.equal(wheel.untilNextMs(0, 500), 500);
  new Deadline(wheel, 95);
  assert.equal(wheel.untilNextMs(0, 500), 100);
  assert.equal(wheel.untilNextMs(93, 500), 7);
  assert.equal(wheel.untilNextMs(120, 500), 0);
  assert.equal(wheel.untilNextMs(0, 30), 30);
});

test('property: sleeping as told, every deadline is met within one tick, none early', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(3000), { minLength: 1, maxLength: 40 }), fc.nat(50), (delays, offsetMs) => {
      const wheel = new TimerWheel(offsetMs, 16, 32);
      const entries = delays.map((delayMs) => new Deadline(wheel, offsetMs + delayMs));
      let nowMs = offsetMs;
      for (let turns = 0; wheel.size > 0; turns++) {
        assert.ok(turns < 10_000, 'the wheel does not let its thread sleep');
        nowMs += wheel.untilNextMs(nowMs, 500);
        wheel.advance(nowMs, noFault);
      }
      for (const entry of entries) {
        assert.ok(entry.firedAtMs >= entry.deadlineMs);
        assert.ok(entry.firedAtMs <= entry.deadlineMs + 2 * 16);
      }
    }),
  );
});
