/**
 * Which part of a pool's new clients each backend may expect: by tier (core/tiers.ts), then by weight. What a policy makes of it differs
 * a little (a hash shares unevenly, least-connections looks at who is busy); over many clients this is what it aims at. For people: it
 * allocates.
 */
import { Panic } from './panic.ts';
import type { BackendView, PoolView } from './snapshot.ts';
import { shareOut } from './tiers.ts';

/** A backend as far as it matters here: as it is now, or as it would be after an order. */
export interface Standing {
  readonly isUp: boolean;
  /** An operator lets it run empty, or has taken it out. */
  readonly isDraining: boolean;
  /** An operator's, else the file's. */
  readonly weight: number;
  /** What its check leaves of it, 0 to 1. */
  readonly checkShare: number;
  /** What a slow start leaves of it, above 0 to 1. */
  readonly ramp: number;
}

/** @returns by backend id, 0 to 1; together 1, or 0 where nobody takes new clients */
export function expectedShares(
  {
    plan,
    backends,
  }: Pick<PoolView, 'backends'> & { readonly plan: Pick<PoolView['plan'], 'panicBelow' | 'spillBelow'> },
  standingOf: (backend: BackendView) => Standing,
): ReadonlyMap<number, number> {
  const standings = new Map(backends.map((backend) => [backend.id, standingOf(backend)]));
  const states = {
    isUp: (id: number) => standings.get(id)?.isUp === true,
    isDraining: (id: number) => standings.get(id)?.isDraining === true,
  };
  const isPanic = plan.panicBelow > 0 && new Panic(backends, plan.panicBelow, states).isOn();
  const partOf = ({ id, target }: BackendView): number => {
    const { isUp, isDraining, weight, checkShare, ramp } = standings.get(id)!;
    if (isDraining || target === undefined || weight * checkShare === 0) return 0;
    return isPanic ? 1 : isUp ? ramp : 0;
  };
  const weightOf = ({ id }: BackendView): number => standings.get(id)!.weight;
  const carries = (backend: BackendView): number =>
    partOf(backend) * weightOf(backend) * standings.get(backend.id)!.checkShare;
  const tiers = [...new Set(backends.map(({ tier }) => tier ?? 0))].sort((a, b) => a - b);
  const rows = tiers.map((tier) => backends.filter((backend) => (backend.tier ?? 0) === tier));
  const sum = (row: readonly BackendView[], of: (backend: BackendView) => number): number =>
    row.reduce((total, backend) => total + of(backend), 0);
  const ready = Float64Array.from(rows, (row) => sum(row, (one) => partOf(one) * weightOf(one)));
  const whole = Float64Array.from(rows, (row) => Math.max(sum(row, weightOf), Number.MIN_VALUE));
  const shares = new Float64Array(rows.length);
  const firstBackup = rows.findIndex((row) => row[0]?.isBackup === true);
  const end = firstBackup < 0 ? rows.length : firstBackup;
  // All that are up have just come up: nobody is to go to a tier further off for that (policy/tiered.ts has the same rule).
  const most = Math.max(0, ...rows.slice(0, end).flatMap((row) => row.map(partOf)));
  if (most > 0 && most < 1) for (let i = 0; i < end; i++) ready[i]! /= most;
  if (shareOut(ready, whole, plan.spillBelow, shares, 0, end) === 0)
    shareOut(ready, whole, plan.spillBelow, shares, end, rows.length);
  return new Map(
    rows.flatMap((row, i) => {
      const all = sum(row, carries);
      return row.map(
        (backend) => [backend.id, all === 0 ? 0 : (shares[i]! * carries(backend)) / all] as const,
      );
    }),
  );
}
