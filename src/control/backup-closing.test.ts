import { beforeEach, expect, test, vi } from 'vitest';
import type { PoolPlan } from '../core/plan.ts';
import { poolPlan } from '../engine/conformance/listener.ts';
import { BackupClosing } from './backup-closing.ts';

const endFlows = vi.fn();
const keepFlows = vi.fn();
const up = new Set<number>();
let closing: BackupClosing;

beforeEach(() => {
  endFlows.mockReset();
  keepFlows.mockReset();
  up.clear();
  closing = new BackupClosing({ servesNew: (id) => up.has(id), endFlows, keepFlows });
});

/** a (1), b (2) of the second priority, and the backups y (8) and z (9). */
function backendsOf(closesBackup: boolean) {
  const pool: PoolPlan = { ...poolPlan({ closesBackup }), backends: [] };
  const of = (id: number, more: object) => {
    const address = { kind: 'inet', ip: '127.0.0.1', port: id } as const;
    return { id, pool, plan: { name: `b${id}`, address, weight: 1, maxConnections: 0, ...more } };
  };
  return [of(1, {}), of(2, { priority: 2 }), of(8, { isBackup: true }), of(9, { isBackup: true })];
}

function review(ids: readonly number[], closesBackup = true): { ended: unknown[]; kept: unknown[] } {
  endFlows.mockClear();
  keepFlows.mockClear();
  up.clear();
  for (const id of ids) up.add(id);
  closing.review(backendsOf(closesBackup));
  return { ended: endFlows.mock.calls.flat(), kept: keepFlows.mock.calls.flat() };
}

const nothing = { ended: [], kept: [] };

test('flows on all backups end with the first other one that serves, once, whatever tier it is of', () => {
  expect(review([1, 2, 9]), 'at the start').toEqual(nothing);
  expect(review([8, 9])).toEqual({ ended: [], kept: [8, 9] });
  expect(review([8])).toEqual(nothing);
  expect(review([2, 8])).toEqual({ ended: [8, 9], kept: [] });
  expect(review([1, 2, 8]), 'they are at home already').toEqual(nothing);
});

test('what is left of them stays when the others are lost again', () => {
  review([]);
  expect(review([1]).ended).toEqual([8, 9]);
  expect(review([])).toEqual({ ended: [], kept: [8, 9] });
  expect(review([1]).ended).toEqual([8, 9]);
});

test('not where the pool does not ask for it, and not because a reload begins to', () => {
  review([], false);
  expect(review([1], false)).toEqual(nothing);
  expect(review([1], true)).toEqual(nothing);
  review([]);
  expect(review([1]).ended).toEqual([8, 9]);
});
