/** When a backend is checked, with an injected clock: what it answers is not the matter here. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { HealthPlan } from '../core/plan.ts';
import { poolPlan } from '../engine/conformance/listener.ts';
import { CheckTurns } from './check-turns.ts';
import { HealthChecker } from './checker.ts';
import { type CheckResult, dialect, failed, passed } from './dialect.ts';
import type { CheckVerdict } from './messages-from-checks.ts';

const health: HealthPlan = {
  ...poolPlan({}).health,
  type: 'tcp',
  intervalMs: 2_000,
  fastIntervalMs: 500,
  timeoutMs: 1_000,
  fall: 3,
  rise: 2,
};

beforeEach(() => {
  vi.useFakeTimers();
  // In the middle of the jitter.
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
});

afterEach(() => {
  vi.mocked(Math.random).mockRestore();
  vi.useRealTimers();
});

/** A checker of a backend that was up, which is asked now. */
function begin(ask: () => Promise<CheckResult>) {
  const beganAtMs: number[] = [];
  const verdicts: CheckVerdict[] = [];
  const played = dialect({
    meaning: 'the test says so',
    options: {},
    ask: () => {
      beganAtMs.push(Math.round(performance.now() - fromMs));
      return ask();
    },
  });
  const fromMs = performance.now();
  const checker = new HealthChecker({
    plan: health,
    dialect: played,
    target: { kind: 'inet', ip: '127.0.0.1', port: 1 },
    wasUp: true,
    turns: new CheckTurns(),
    onVerdict: (verdict) => verdicts.push(verdict),
  });
  checker.start();
  return { checker, beganAtMs, verdicts };
}

test('one that is never answered has failed once its time is over, which is told as the configuration has it', async () => {
  const { checker, verdicts } = begin(() => new Promise(() => {}));
  await vi.advanceTimersByTimeAsync(10_000);
  checker.stop();
  expect(verdicts).toEqual([expect.objectContaining({ isUp: false, why: 'no answer within 1s' })]);
});

/** Each millisecond for so long. */
async function storm(checker: HealthChecker, forMs: number): Promise<void> {
  for (let i = 0; i < forMs; i++) {
    checker.suspect();
    await vi.advanceTimersByTimeAsync(1);
  }
}

test('clients that fail without end bring checks forward, and no two are nearer than the fast interval', async () => {
  const { checker, beganAtMs, verdicts } = begin(async () => failed('refused', 'ECONNREFUSED'));
  await storm(checker, 900);
  expect(verdicts, 'two checks are not three').toEqual([]);
  await storm(checker, 2_000);
  checker.stop();
  expect(beganAtMs[0]).toBe(0);
  for (const [i, atMs] of beganAtMs.entries())
    if (i > 0) expect(atMs - beganAtMs[i - 1]!).toBeGreaterThanOrEqual(500 * 0.9 - 20);
  expect(beganAtMs.length).toBeLessThanOrEqual(1 + Math.ceil(2_900 / 480));
  expect(verdicts).toMatchObject([{ isUp: false, reason: 'refused' }]);
});

test('who was checked a while ago is checked at once, and once', async () => {
  const { checker, beganAtMs } = begin(async () => passed);
  await vi.advanceTimersByTimeAsync(1_200);
  for (let i = 0; i < 5; i++) checker.suspect();
  await vi.advanceTimersByTimeAsync(1);
  expect(beganAtMs).toEqual([0, 1_200]);
  // Passed: the next one that is asked for waits.
  checker.suspect();
  await vi.advanceTimersByTimeAsync(498);
  expect(beganAtMs).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(1);
  expect(beganAtMs).toEqual([0, 1_200, 1_700]);
  checker.stop();
});

test('a check that comes sooner anyway is not put off', async () => {
  const { checker, beganAtMs } = begin(async () => passed);
  await vi.advanceTimersByTimeAsync(1_900);
  const before = beganAtMs.length;
  await storm(checker, 100);
  checker.stop();
  expect(beganAtMs.length - before).toBe(1);
});

test('where all backends fail together their checks stay as far apart as they were', async () => {
  let seed = 1;
  vi.mocked(Math.random).mockImplementation(() => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  });
  const ask = vi.fn(async () =>
    performance.now() < fromMs + 2_000 ? passed : failed('refused', 'ECONNREFUSED'),
  );
  const fromMs = performance.now();
  const checkers = Array.from({ length: 200 }, () => {
    const checker = new HealthChecker({
      plan: health,
      dialect: dialect({ meaning: 'the test says so', options: {}, ask }),
      target: { kind: 'inet', ip: '127.0.0.1', port: 1 },
      wasUp: true,
      turns: new CheckTurns(),
      onVerdict: () => {},
    });
    checker.start(Math.random() * 2_000);
    return checker;
  });
  // At the interval, and then at the fast one; and when all of them are down at the interval again.
  for (const [forMs, perSecond] of [
    [2_000, 100],
    [3_000, undefined],
    [4_000, 100],
  ] as const) {
    const counts: number[] = [];
    for (let i = 0; i < forMs / 500; i++) {
      ask.mockClear();
      await vi.advanceTimersByTimeAsync(500);
      counts.push(ask.mock.calls.length);
    }
    if (perSecond === undefined) continue;
    const mean = perSecond / 2;
    for (const count of counts) expect(Math.abs(count - mean), counts.join(' ')).toBeLessThan(mean * 0.7);
  }
  for (const checker of checkers) checker.stop();
});
