/**
 * Rules for `affinity.group`: the pins of a pool are in one place, and a group is of use where its pools have backends of the same
 * names and its listeners recognise clients alike.
 */
import { keyKindOf } from '../core/plan.ts';
import { poolsOf } from '../core/routes.ts';
import type { Draft, ListenerDraft, PoolDraft } from './draft.ts';
import type { Report } from './report.ts';

export function checkGroups(draft: Draft, report: Report): void {
  const pinning = draft.listeners.filter(({ value }) => keyOf(value) !== 'none');
  checkOnePlace(pinning, report);
  const groups = new Set(pinning.flatMap(({ value }) => groupOf(value) ?? []));
  for (const group of groups) {
    const listeners = pinning.filter(({ value }) => groupOf(value) === group);
    checkSharedNames(listeners, draft.pools, report);
    checkAlike(listeners, report);
  }
}

/** A pool whose clients come by a group and by another one, or by none, would have to look for their pins in two places. */
function checkOnePlace(listeners: readonly ListenerDraft[], report: Report): void {
  const firsts = new Map<string, ListenerDraft>();
  for (const listener of listeners) {
    for (const pool of poolsOf(listener.value)) {
      const first = firsts.get(pool);
      if (first === undefined) firsts.set(pool, listener);
      else if (groupOf(first.value) !== groupOf(listener.value)) {
        report.problem(pathOf(listener), () => {
          const other = groupOf(first.value);
          const where = report.pointTo(first.path);
          const has = other === undefined ? 'is in no group' : `is in group ${other}`;
          return `pool ${pool} keeps its pins in one place, and another listener that leads to it ${has}: give both the same group (${where})`;
        });
        break;
      }
    }
  }
}

function checkSharedNames(
  listeners: readonly ListenerDraft[],
  pools: readonly PoolDraft[],
  report: Report,
): void {
  const led = new Set(listeners.flatMap(({ value }) => poolsOf(value)));
  const known = pools.filter((pool) => led.has(pool.name) && pool.complete);
  for (const [i, pool] of known.entries()) {
    const others = known.filter((_, j) => j !== i);
    if (others.length === 0 || others.length + 1 < led.size) continue;
    const elsewhere = new Set(others.flatMap((other) => namesOf(other)));
    if (namesOf(pool).some((name) => elsewhere.has(name))) continue;
    const listener = listeners.find(({ value }) => poolsOf(value).includes(pool.name))!;
    report.warning(
      pathOf(listener),
      `no other pool of the group has a backend of a name that pool ${pool.name} has: its clients are sent nowhere by the group's pins`,
    );
  }
}

function checkAlike(listeners: readonly ListenerDraft[], report: Report): void {
  const [first, ...others] = listeners;
  const kind = keyOf(first!.value);
  for (const other of others) {
    if (keyOf(other.value) === kind) continue;
    report.warning(
      pathOf(other),
      () =>
        `recognises clients by ${keyOf(other.value)}, and another listener of the group by ${kind}: they find each other's pins only where both fall back to the address (${report.pointTo(first!.path)})`,
    );
  }
}

function namesOf({ backends }: PoolDraft): string[] {
  return backends.flatMap(({ value }) => (value.name === undefined ? [] : [value.name]));
}

function groupOf({ affinity }: ListenerDraft['value']): string | undefined {
  return affinity === 'none' ? undefined : affinity?.group;
}

function keyOf({ affinity, bind }: ListenerDraft['value']): string {
  if (affinity === 'none') return 'none';
  return keyKindOf(affinity?.key ?? (bind?.bind.kind === 'unix' ? 'none' : 'client-ip'));
}

function pathOf({ path, value }: ListenerDraft): (string | number)[] {
  return groupOf(value) === undefined ? [...path] : [...path, 'affinity', 'group'];
}
