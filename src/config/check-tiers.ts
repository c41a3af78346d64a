/**
 * Rules for tiers: a pool needs somebody who is not a backup, and a zone means something only beside the instance's own.
 */
import { tiersOf } from '../core/tiers.ts';
import type { Draft, PoolDraft } from './draft.ts';
import type { Report } from './report.ts';

export function checkTiers(draft: Draft, report: Report): void {
  for (const pool of draft.pools) {
    checkBackups(pool, report);
    checkCloseBackup(pool, report);
    checkSpill(pool, draft, report);
  }
  checkZones(draft, report);
}

function checkBackups(pool: PoolDraft, report: Report): void {
  const takers = pool.backends.filter(({ value }) => value.weight !== 0);
  if (!pool.complete || takers.length === 0 || !takers.every(({ value }) => value.backup === true)) return;
  report.problem(
    [...pool.path, 'backends'],
    'every backend is a backup: there is nobody they stand in for',
    'key',
  );
}

function checkCloseBackup(pool: PoolDraft, report: Report): void {
  if (pool.value.on_up?.close_backup !== true || !pool.complete) return;
  if (pool.backends.some(({ value }) => value.backup === true)) return;
  report.warning([...pool.path, 'on_up', 'close_backup'], 'has no effect: no backend is a backup', 'key');
}

function checkSpill(pool: PoolDraft, draft: Draft, report: Report): void {
  if (pool.value.spill_below === undefined || !pool.complete || draft.wasWrong(['zone'])) return;
  const placed = pool.backends
    .filter(({ value }) => value.backup !== true)
    .map(({ value: { priority, zone } }) => ({
      priority: priority ?? 1,
      isBackup: false,
      zone,
    }));
  if (new Set(tiersOf(placed, draft.zone)).size > 1) return;
  report.warning(
    [...pool.path, 'spill_below'],
    'has no effect: its backends are of one priority, and of one zone as this instance sees it',
    'key',
  );
}

function checkZones(draft: Draft, report: Report): void {
  const zoned = draft.pools
    .flatMap(({ backends }) => backends)
    .filter(({ value }) => value.zone !== undefined);
  if (draft.zone === undefined) {
    const first = zoned[0];
    if (first === undefined || draft.wasWrong(['zone'])) return;
    const message = 'has no effect: this instance has no zone of its own (zone at the top of the file)';
    report.warning([...first.path, 'zone'], message, 'key');
    return;
  }
  if (zoned.some(({ value }) => value.zone === draft.zone)) return;
  if (draft.pools.some(({ value }) => value.discovery !== undefined)) return;
  const known = [...new Set(zoned.map(({ value }) => value.zone))];
  const which = known.length === 0 ? 'none has a zone' : `they are in ${known.join(', ')}`;
  report.warning(['zone'], `no backend is in zone ${draft.zone}: ${which}`);
}
