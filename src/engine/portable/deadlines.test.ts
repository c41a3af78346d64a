import { describe, expect, test } from 'vitest';
import { Deadlines, type Watched } from './deadlines.ts';

const tickMs = 100;

class Entry implements Watched {
  wheelSlot = -1;
  deadlineMs: number;
  expiredAtMs: number[] = [];
  readonly #clock: { nowMs: number };

  constructor(clock: { nowMs: number }, deadlineMs: number) {
    this.#clock = clock;
    this.deadlineMs = deadlineMs;
  }

  expire(): void {
    this.expiredAtMs.push(this.#clock.nowMs);
  }
}

function wheel(): { clock: { nowMs: number }; deadlines: Deadlines; advance: (toMs: number) => void } {
  const clock = { nowMs: 1000 };
  const deadlines = new Deadlines(() => clock.nowMs, tickMs);
  const advance = (toMs: number): void => {
    while (clock.nowMs < toMs) {
      clock.nowMs = Math.min(clock.nowMs + tickMs, toMs);
      deadlines.turn();
    }
  };
  return { clock, deadlines, advance };
}

describe('deadlines', () => {
  test.each([1, 50, 100, 101, 999, 51_000, 51_200, 51_300, 3_600_000])(
    '%i ms: never early, one tick late at most',
    (afterMs) => {
      const { clock, deadlines, advance } = wheel();
      const entry = new Entry(clock, clock.nowMs + afterMs);
      deadlines.watch(entry);
      advance(entry.deadlineMs - 1);
      expect(entry.expiredAtMs).toEqual([]);
      advance(entry.deadlineMs + 2 * tickMs);
      expect(entry.expiredAtMs).toHaveLength(1);
      expect(entry.expiredAtMs[0]).toBeLessThanOrEqual(entry.deadlineMs + tickMs);
      expect(entry.wheelSlot).toBe(-1);
      deadlines.stop();
    },
  );

  test('a deadline that moves away is met where it is in the end', () => {
    const { clock, deadlines, advance } = wheel();
    const entry = new Entry(clock, 1500);
    deadlines.watch(entry);
    entry.deadlineMs = 5000;
    advance(4999);
    expect(entry.expiredAtMs).toEqual([]);
    advance(5200);
    expect(entry.expiredAtMs).toHaveLength(1);
    deadlines.stop();
  });

  test('a deadline that comes closer is met when it is watched anew', () => {
    const { clock, deadlines, advance } = wheel();
    const entry = new Entry(clock, 50_000);
    deadlines.watch(entry);
    entry.deadlineMs = 1300;
    deadlines.watch(entry);
    advance(1500);
    expect(entry.expiredAtMs).toHaveLength(1);
    deadlines.stop();
  });

  test('a stall longer than the wheel loses nobody', () => {
    const { clock, deadlines, advance } = wheel();
    const due = [1100, 30_000, 200_000].map((atMs) => new Entry(clock, atMs));
    const later = new Entry(clock, 1_000_500);
    for (const entry of [...due, later]) deadlines.watch(entry);
    clock.nowMs = 1_000_000;
    deadlines.turn();
    expect(due.map((entry) => entry.expiredAtMs)).toEqual([[1_000_000], [1_000_000], [1_000_000]]);
    expect(later.expiredAtMs).toEqual([]);
    advance(1_000_700);
    expect(later.expiredAtMs).toHaveLength(1);
    deadlines.stop();
  });

  test('one that expires may forget another that is due in the same tick', () => {
    const { clock, deadlines, advance } = wheel();
    const second = new Entry(clock, 1200);
    const first = new (class extends Entry {
      override expire(): void {
        deadlines.forget(second);
      }
    })(clock, 1200);
    deadlines.watch(first);
    deadlines.watch(second);
    advance(2000);
    expect(second.expiredAtMs).toEqual([]);
    deadlines.stop();
  });

  test('never is never', () => {
    const { clock, deadlines, advance } = wheel();
    const entry = new Entry(clock, Number.POSITIVE_INFINITY);
    deadlines.watch(entry);
    expect(entry.wheelSlot).toBe(-1);
    advance(100_000);
    expect(entry.expiredAtMs).toEqual([]);
  });
});
