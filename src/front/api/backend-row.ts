/** A backend as the API shows it: control's word on it, and what shared memory says now. */
import type { BackendStatus } from '../../control/backend-status.ts';
import type { SharedViews } from '../../rooms/shared.ts';
import type { RateWatch } from './rates.ts';
import type { BackendRow, BackendState } from './shapes.ts';

export interface BackendSurroundings {
  readonly views: Pick<SharedViews, 'counters' | 'states'>;
  readonly rates: RateWatch;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly pins: number | null;
  /** Flows that the whole pool opened within the last minute. */
  readonly poolOpenedInMinute: number;
  readonly expectedShare: number;
}

export function backendRow(status: BackendStatus, around: BackendSurroundings): BackendRow {
  const { views, rates, atMs, pins, poolOpenedInMinute, expectedShare } = around;
  const { id, pool, backend, address, at, tier, zone, slowStart, operator, ejection } = status;
  const flows = views.counters.backend(id, 'active');
  const { state, cause, sinceMs } = conditionOf(status, flows, atMs);
  return {
    pool,
    backend,
    address,
    at,
    state,
    code: status.reason,
    cause,
    since: iso(atMs - sinceMs),
    sinceMs,
    flows,
    flowsMax: status.maxConnections === 0 ? null : status.maxConnections,
    rates: rates.backend(id),
    share:
      poolOpenedInMinute === 0 ? null : round(Math.min(1, rates.openedInMinute(id) / poolOpenedInMinute)),
    expectedShare: round(expectedShare),
    failedDials: views.counters.backend(id, 'dialFailures'),
    earlyBreaks: views.counters.backend(id, 'earlyBreaks'),
    pins,
    check: checkOf(status, atMs),
    flapCount: status.flaps,
    flaps: status.flips.map((flip) => ({
      at: iso(flip.atMs),
      up: flip.isUp,
      code: flip.reason,
      why: flip.why,
    })),
    weight: { configured: status.configuredWeight, live: views.states.weight(id) },
    tier,
    isBackup: status.backup,
    zone,
    slowStart,
    operator,
    ejectedForMs: ejection === null ? null : Math.max(0, Math.ceil(ejection.leftMs)),
  };
}

interface Condition {
  readonly state: BackendState;
  readonly cause: string;
  readonly sinceMs: number;
}

/** An operator's maintenance, then what is wrong, then an operator's drain, then how far it has come. */
function conditionOf(status: BackendStatus, flows: number, atMs: number): Condition {
  const { up, reason, why, operator, slowStart, spared, check } = status;
  const saidMs = operator === null ? 0 : Math.max(0, atMs - Date.parse(operator.at));
  const sinceMs = Math.max(0, status.sinceMs);
  if (operator?.state === 'maintenance') return { state: 'maintenance', cause: why, sinceMs: saidMs };
  if (!up && reason === 'unchecked') return { state: 'coming-up', cause: why, sinceMs };
  if (!up) return { state: 'down', cause: inARow(why, check), sinceMs };
  if (operator?.state === 'drain') {
    const whom = operator.movesPinned
      ? 'an operator drains it: its clients move with their next connection'
      : 'an operator drains it: no new clients, pinned ones stay';
    return { state: flows === 0 ? 'drained' : 'draining', cause: whom, sinceMs: Math.min(saidMs, sinceMs) };
  }
  if (slowStart !== null) {
    const cause = `slow start: it has ${Math.round(slowStart * 100)} % of its share`;
    return { state: 'coming-up', cause, sinceMs };
  }
  if (spared !== null) {
    const because =
      spared.for === 'last' ? 'nobody else takes new clients' : 'enough of the pool are left out';
    return {
      state: 'up',
      cause: `clients fail there (${spared.why}); it is not left out, as ${because}`,
      sinceMs,
    };
  }
  return { state: 'up', cause: '', sinceMs };
}

/** How often its check has failed by now belongs to the cause. */
function inARow(why: string, check: BackendStatus['check']): string {
  if (check === null || check.passed || check.streak < 2) return why;
  return `${why} (${check.streak} checks in a row failed)`;
}

function checkOf({ check }: BackendStatus, atMs: number): BackendRow['check'] {
  if (check === null) return null;
  const { passed, why, tookMs, agoMs, streak } = check;
  const ago = Math.max(0, agoMs);
  return { at: iso(atMs - ago), agoMs: ago, tookMs, ok: passed, message: why, inARow: streak };
}

function iso(atMs: number): string {
  return new Date(atMs).toISOString();
}

function round(share: number): number {
  return Math.round(share * 1_000) / 1_000;
}
