import { describe, expect, test } from 'vitest';
import type { DownReason } from './down-reason.ts';
import { type BackendFacts, type CheckWord, effectOf, judge, onDownFor } from './verdict.ts';

const well: BackendFacts = {
  isInMaintenance: false,
  unresolved: undefined,
  leadsTo: undefined,
  check: { word: 'passed' },
  startsUp: false,
  ejected: undefined,
};
const failed = (reason: DownReason): CheckWord => ({ word: 'failed', reason, why: 'so it is' });

describe('a backend is', () => {
  test.each<[string, Partial<BackendFacts>, boolean, DownReason | undefined, boolean]>([
    ['up with a check that passes', {}, true, undefined, false],
    ['up without a check', { check: { word: 'none' } }, true, undefined, false],
    ['down before its first check', { check: { word: 'unchecked' } }, false, 'unchecked', true],
    [
      'up before its first check if it is to be',
      { check: { word: 'unchecked' }, startsUp: true },
      true,
      undefined,
      false,
    ],
    ['down for what its check says', { check: failed('wrong-role') }, false, 'wrong-role', true],
    ['out, and not lost, when flows failed', { ejected: 'flows failed' }, false, 'passive', false],
    [
      'lost when flows failed and its check says no',
      { ejected: 'flows failed', check: failed('timeout') },
      false,
      'timeout',
      true,
    ],
    [
      'lost without an address, whatever its check said',
      { unresolved: 'no name' },
      false,
      'unresolved',
      true,
    ],
    ['lost when it leads back, though a check passes', { leadsTo: 'front' }, false, 'loop', true],
  ])('%s', (_, facts, isUp, reason, isLost) => {
    expect(judge({ ...well, ...facts })).toMatchObject({
      isUp,
      isLost,
      ...(reason === undefined ? {} : { reason }),
    });
  });
});

test('what follows from two verdicts', () => {
  const [up, out] = [judge(well), judge({ ...well, ejected: 'flows failed' })];
  const [refused, timeout] = [
    judge({ ...well, check: failed('refused') }),
    judge({ ...well, check: failed('timeout') }),
  ];
  expect(effectOf(up, up)).toBe('nothing');
  expect(effectOf(up, out)).toBe('down');
  expect(effectOf(out, refused)).toBe('lost');
  expect(effectOf(refused, timeout)).toBe('reason');
  expect(effectOf(timeout, timeout)).toBe('nothing');
  expect(effectOf(refused, out), 'it is out for another reason').toBe('reason');
  expect(effectOf(timeout, up)).toBe('up');
});

test('open flows have the fate of the reason, else that of all', () => {
  const [keep, close] = [{ action: 'keep', graceMs: 0 } as const, { action: 'close', graceMs: 0 } as const];
  const pool = { onDown: close, onDownBecause: { lagging: keep } };
  expect([onDownFor(pool, 'lagging'), onDownFor(pool, 'timeout'), onDownFor(pool, undefined)]).toEqual([
    keep,
    close,
    close,
  ]);
});
