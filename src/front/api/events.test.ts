import { expect, test } from 'vitest';
import type { ControlEvent } from '../../control/events.ts';
import { eventsKeptMax, failedFlowsToldPerS } from '../../core/limits.ts';
import type { FlowRecord } from '../../worker/messages-from-worker.ts';
import { EventsKept } from '../events-kept.ts';
import { EventLog } from './events.ts';
import { eventsShape } from './shapes.ts';

const down: ControlEvent = {
  event: 'backend-down',
  pool: 'pg',
  backend: 'pg2',
  reason: 'refused',
  why: 'ECONNREFUSED',
};

function bench() {
  let nowMs = 1_000_000;
  const kept = new EventsKept(() => nowMs);
  const log = new EventLog('run1');
  const happen = (event: ControlEvent): void => {
    const one = kept.add(event);
    if (one !== undefined) log.take([one]);
  };
  return { kept, log, happen, pass: (ms: number) => (nowMs += ms) };
}

function failed(code: FlowRecord['code']): ControlEvent {
  const flow = {
    listener: 'front',
    client: '192.0.2.1:5',
    pool: 'pg',
    backend: undefined,
    code,
  } as FlowRecord;
  return { event: 'flow-ended', flow };
}

test('an event says what it is about, in words and in fields', () => {
  const { log, happen } = bench();
  happen(down);
  const page = log.page(undefined, 10)!;
  expect(eventsShape.parse(page).events).toEqual([
    {
      id: 'run1-1',
      at: new Date(1_000_000).toISOString(),
      level: 'warning',
      event: 'backend-down',
      message: 'pg/pg2 is down: ECONNREFUSED',
      pool: 'pg',
      backend: 'pg2',
      code: 'refused',
    },
  ]);
});

test('whoever has some gets those after them; an id of another run, or one that is not kept, is a gap', () => {
  const { log, happen } = bench();
  for (let i = 0; i < 5; i++) happen(down);
  const ids = (since: string, most = 100) => log.page(since, most)!.events.map(({ id }) => id);
  expect(ids('run1-3')).toEqual(['run1-4', 'run1-5']);
  expect(ids('run1-0', 2)).toEqual(['run1-1', 'run1-2']);
  expect(log.page('run1-0', 2)).toMatchObject({ last: 'run1-2', isGap: false });
  expect(log.page('run1-5', 2)).toEqual({ events: [], last: 'run1-5', isGap: false });
  expect(log.page('old-5', 100)).toMatchObject({ isGap: true, last: 'run1-5' });
  expect(ids('run1-99')).toHaveLength(5);
  for (const wrong of ['', 'x', 'run1-', 'run1-1x', '-1', '__proto__'])
    expect(log.page(wrong, 1)).toBeUndefined();
  for (let i = 0; i < eventsKeptMax; i++) happen(down);
  expect(log.page('run1-3', 1)).toMatchObject({ isGap: true });
  expect(ids('run1-3', 1)).toEqual(['run1-6']);
  expect(log.page(undefined, 2)!.events.map(({ id }) => id)).toEqual(['run1-1004', 'run1-1005']);
});

test('a room that starts anew has all that is kept; what it was not given is a gap', () => {
  const { kept, happen } = bench();
  for (let i = 0; i < 3; i++) happen(down);
  const next = new EventLog('run1');
  next.take(kept.all());
  next.take(kept.all().slice(-1));
  expect(next.page('run1-1', 10)).toMatchObject({ isGap: false, last: 'run1-3' });
  happen(down);
  happen(down);
  next.take(kept.all().slice(-1));
  expect(next.page('run1-3', 10)!).toMatchObject({ isGap: true, last: 'run1-5' });
});

test('of flows those are told of that failed, some of them each second, and how many more there were', () => {
  const { log, happen, pass } = bench();
  happen(failed('client-closed'));
  expect(log.last).toBe(0);
  for (let i = 0; i < 20; i++) happen(failed('backend-refused'));
  expect(log.last).toBe(failedFlowsToldPerS);
  pass(1_000);
  happen(failed('no-backend'));
  const [row] = log.after(failedFlowsToldPerS, 1);
  expect(eventsShape.shape.events.element.parse(row)).toMatchObject({
    event: 'flow',
    level: 'warning',
    code: 'no-backend',
    client: '192.0.2.1:5',
    times: 20 - failedFlowsToldPerS + 1,
  });
});
