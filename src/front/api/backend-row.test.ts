import { expect, test } from 'vitest';
import type { BackendStatus } from '../../control/backend-status.ts';
import type { SharedViews } from '../../rooms/shared.ts';
import { backendRow } from './backend-row.ts';
import type { RateWatch } from './rates.ts';

const at = 1_700_000_000_000;
const well = {
  up: true,
  reason: null,
  why: '',
  sinceMs: 60_000,
  operator: null,
  slowStart: null,
  spared: null,
  check: null,
  ejection: null,
  flips: [],
} as unknown as BackendStatus;

const operator = (state: string, movesPinned = false) => ({
  state,
  movesPinned,
  weight: null,
  at: new Date(at - 5_000).toISOString(),
});
const failing = { passed: false, why: 'refused', tookMs: 1, agoMs: 5, streak: 3 };

test.each<[string, object, number, object]>([
  ['up', {}, 3, { state: 'up', cause: '', sinceMs: 60_000 }],
  [
    'down',
    { up: false, reason: 'refused', why: 'nobody listens', check: failing },
    0,
    { state: 'down', cause: 'nobody listens (3 checks in a row failed)', sinceMs: 60_000 },
  ],
  ['not checked yet', { up: false, reason: 'unchecked', why: 'its first check' }, 0, { state: 'coming-up' }],
  [
    'slow start',
    { slowStart: 0.25 },
    0,
    { state: 'coming-up', cause: 'slow start: it has 25 % of its share' },
  ],
  ['draining', { operator: operator('drain') }, 1, { state: 'draining', sinceMs: 5_000 }],
  ['drained', { operator: operator('drain') }, 0, { state: 'drained' }],
  [
    'draining and down',
    { up: false, reason: 'timeout', why: 'x', operator: operator('drain') },
    1,
    { state: 'down' },
  ],
  [
    'maintenance',
    {
      up: false,
      reason: 'operator',
      why: 'an operator has put it into maintenance',
      operator: operator('maintenance'),
    },
    1,
    { state: 'maintenance', sinceMs: 5_000 },
  ],
  [
    'spared',
    { spared: { for: 'last', why: '3 dials failed' } },
    1,
    {
      state: 'up',
      cause: 'clients fail there (3 dials failed); it is not left out, as nobody else takes new clients',
    },
  ],
])('%s', (_, status, flows, condition) => {
  const around = {
    views: { counters: { backend: () => flows }, states: { weight: () => 1 } } as unknown as SharedViews,
    rates: { backend: () => ({}), openedInMinute: () => 0 } as unknown as RateWatch,
    atMs: at,
    pins: null,
    poolOpenedInMinute: 0,
    expectedShare: 0,
  };
  expect(backendRow({ ...well, ...status } as BackendStatus, around)).toMatchObject(condition);
});
