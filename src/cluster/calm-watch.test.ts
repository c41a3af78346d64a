import { expect, test } from 'vitest';
import { CalmWatch } from './calm-watch.ts';
import type { ClusterEvent } from './events.ts';

function calm(): { told: ClusterEvent[]; tell: (event: ClusterEvent) => void; wait: (ms: number) => void } {
  let nowMs = 0;
  const told: ClusterEvent[] = [];
  const watch = new CalmWatch(
    (event) => told.push(event),
    () => nowMs,
  );
  return {
    told,
    tell: (event) => watch.tell(event),
    wait: (ms) => {
      for (const endMs = nowMs + ms; nowMs < endMs; nowMs += 1_000) watch.flush();
    },
  };
}

const joined = (instance: string): ClusterEvent => ({
  event: 'instance-joined',
  instance,
  host: 'h',
  version: '1',
});
const lost = (instance: string): ClusterEvent => ({ event: 'instance-lost', instance });
const away: ClusterEvent = { event: 'cluster-away', fault: 'away', message: 'gone' };
const connected: ClusterEvent = { event: 'cluster-connected', afterMs: 1 };

test('instances that come and go for an hour make one line a minute', () => {
  const { told, tell, wait } = calm();
  for (let second = 0; second < 3_600; second++) {
    for (let i = 0; i < 100; i++) tell(second % 2 === 0 ? joined(`forged-${i}`) : lost(`forged-${i}`));
    wait(1_000);
  }
  const summaries = told.filter((one) => one.event === 'instances-changing');
  expect(summaries.length).toBeGreaterThanOrEqual(58);
  expect(told.length).toBeLessThanOrEqual(16 + 60);
  // Nothing is lost from the sums.
  wait(120_000);
  const all = told.reduce(
    (sum, one) => sum + (one.event === 'instances-changing' ? one.joined + one.lost : 1),
    0,
  );
  expect(all).toBe(360_000);
});

test('a connection that flaps is told once a minute, and how it is in the end', () => {
  const { told, tell, wait } = calm();
  for (let i = 0; i < 601; i++) {
    tell(i % 2 === 0 ? away : connected);
    wait(1_000);
  }
  wait(60_000);
  expect(told.length).toBeLessThanOrEqual(16 + 11);
  expect(told.at(-1)).toMatchObject({ event: 'cluster-away', message: 'gone' });
});

test('what happens now and then is told at once', () => {
  const { told, tell, wait } = calm();
  for (let hour = 0; hour < 100; hour++) {
    tell(joined('b'));
    tell(lost('b'));
    tell(connected);
    wait(3_600_000);
  }
  expect(told).toHaveLength(300);
  expect(told.every((one) => !('times' in one))).toBe(true);
});
