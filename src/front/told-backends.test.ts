import { expect, test } from 'vitest';
import type { BackendStatus } from '../control/backend-status.ts';
import { seededRandom } from '../core/seeded-random.fixture.ts';
import { Heard, Telling, type ToldBackends } from './told-backends.ts';

const first: BackendStatus = {
  pool: 'p',
  backend: 'b',
  id: 1,
  address: '10.0.0.1:80',
  weight: 1,
  configuredWeight: 1,
  maxConnections: 0,
  priority: 1,
  backup: false,
  zone: null,
  tier: 1,
  up: true,
  reason: null,
  why: '',
  sinceMs: 5,
  flaps: 0,
  flips: [],
  check: null,
  slowStart: null,
  draining: false,
  operator: null,
  ejected: false,
  ejection: null,
  ejections: 0,
  spared: null,
  ejectionsSpared: { last: 0, share: 0 },
  leadsTo: null,
  at: '10.0.0.1:80',
  former: [],
};
const check = { passed: true, why: 'check passed', tookMs: 1, agoMs: 20, streak: 3 };
const operator = { state: 'drain', weight: 3, movesPinned: false, at: '2026-11-29T00:00:00.000Z' } as const;
const flip = { atMs: 1, isUp: false, reason: 'refused', why: 'nobody listens' } as const;

/** Every field, with what it may become. */
const others: { readonly [Name in keyof BackendStatus]: readonly BackendStatus[Name][] } = {
  pool: ['q'],
  backend: ['c'],
  id: [2],
  address: ['10.0.0.2:80'],
  weight: [2],
  configuredWeight: [2],
  maxConnections: [9],
  priority: [2],
  backup: [true],
  zone: ['z'],
  tier: [2],
  up: [false],
  reason: ['refused'],
  why: ['nobody listens'],
  sinceMs: [6],
  flaps: [1],
  flips: [[flip], [{ ...flip, why: 'another' }], [flip, flip]],
  check: [
    check,
    { ...check, passed: false },
    { ...check, why: 'x' },
    { ...check, tookMs: 2 },
    { ...check, agoMs: 3 },
    { ...check, streak: 4 },
  ],
  slowStart: [0.5],
  draining: [true],
  operator: [
    operator,
    { ...operator, state: 'ready' },
    { ...operator, weight: null },
    { ...operator, movesPinned: true },
    { ...operator, at: 'later' },
  ],
  ejected: [true],
  ejection: [
    { why: 'x', times: 1, leftMs: 50 },
    { why: 'y', times: 1, leftMs: 50 },
    { why: 'y', times: 2, leftMs: 49 },
  ],
  ejections: [1],
  spared: [
    { for: 'last', why: 'x' },
    { for: 'share', why: 'x' },
    { for: 'share', why: 'y' },
  ],
  ejectionsSpared: [
    { last: 1, share: 0 },
    { last: 1, share: 1 },
  ],
  leadsTo: ['front'],
  at: [null],
  former: [
    [{ address: 'a', up: true, flows: 1 }],
    [{ address: 'b', up: true, flows: 1 }],
    [{ address: 'b', up: false, flows: 1 }],
    [{ address: 'b', up: false, flows: 2 }],
  ],
};

/** As it comes through the port between the threads. */
const sent = (told: ToldBackends): ToldBackends => structuredClone(told);

test.each(Object.entries(others) as [keyof BackendStatus, readonly unknown[]][])(
  'the room hears of a change of %s, there and back',
  (name, values) => {
    const telling = new Telling();
    const heard = new Heard();
    for (const value of [first[name], ...values, ...values.toReversed(), first[name]]) {
      const rows = [first, { ...first, [name]: structuredClone(value) }];
      expect(heard.take(sent(telling.next(rows, heard.number)))).toEqual(rows);
    }
  },
);

test('what is as it was is not sent again, however old it has become', () => {
  const telling = new Telling();
  const rows = (ms: number): BackendStatus[] =>
    Array.from({ length: 3 }, (_, i) => ({
      ...structuredClone(first),
      backend: `b${i}`,
      id: i,
      sinceMs: ms,
      check: { ...check, agoMs: ms, streak: ms },
      ejection: { why: 'x', times: 1, leftMs: 1_000 - ms },
    }));
  expect(telling.next(rows(1), 0).changed.length).toBe(3);
  expect(telling.next(rows(2), 1).changed).toEqual([]);
  const other = rows(3);
  other[1] = { ...other[1]!, up: false };
  expect(telling.next(other, 2).changed).toEqual([{ at: 1, row: other[1] }]);
});

test('a room that has missed answers, or is a new one, hears all; one that comes, goes or moves is heard of', () => {
  const chance = seededRandom(17);
  const telling = new Telling();
  let heard = new Heard();
  let rows: BackendStatus[] = [];
  for (let turn = 0; turn < 500; turn++) {
    const what = chance();
    const at = Math.floor(chance() * (rows.length + 1));
    if (what < 0.2) rows = rows.toSpliced(at, 0, { ...first, id: turn, backend: `b${turn}` });
    else if (what < 0.3) rows = rows.toSpliced(at, 1);
    else if (what < 0.4) rows = rows.toReversed();
    else rows = rows.map((row, i) => (i === at ? { ...row, why: `${turn}` } : { ...row, sinceMs: turn }));
    const told = sent(telling.next(rows, heard.number));
    if (chance() < 0.2) continue;
    expect(heard.take(told)).toEqual(rows);
    if (chance() < 0.05) heard = new Heard();
  }
  expect(rows.length).toBeGreaterThan(5);
});
