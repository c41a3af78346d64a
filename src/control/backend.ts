/** A backend as control knows it: the plan of it, where it is, and what has been said and judged of it. */
import type { Check } from '../checks/client.ts';
import type { CheckFacts } from '../checks/messages-from-checks.ts';
import { formatAddress } from '../core/address-text.ts';
import { noWill, type OperatorWill } from '../core/operator-word.ts';
import type { BackendPlan, Bind, PoolPlan } from '../core/plan.ts';
import { type CheckWord, onDownFor, type Verdict } from '../core/verdict.ts';
import type { Way } from '../core/way.ts';
import { Flips } from './flips.ts';

export interface Backend {
  readonly id: number;
  pool: PoolPlan;
  plan: BackendPlan;
  target: Bind | undefined;
  /** What the plan had that resolved to the target: another plan, while nobody has answered for the name of this one. */
  targetOf: string;
  /** Why it has no address; undefined: it has one. */
  unresolved: string | undefined;
  check: CheckWord;
  /** The last check, as far as it has been told. */
  checked: (CheckFacts & { readonly atMs: number }) | undefined;
  /** The listener of this instance that its address leads back to. */
  leadsTo: string | undefined;
  /** The same, seen at run time; forgotten after a while. */
  seenLeadingTo: string | undefined;
  seenTimer: NodeJS.Timeout | undefined;
  /** It has the port of a listener of this instance: its dials are kept track of. */
  mayLeadBack: boolean;
  /** An operator's, in force. */
  will: OperatorWill;
  /** What its check leaves it of its weight, 0 to 1. */
  share: number;
  verdict: Verdict;
  /** Since when it has been up, or down. */
  sinceMs: number;
  /** How often it went down. */
  flaps: number;
  readonly flips: Flips;
  /** It has come with its pool: there is nobody who would have its clients while it starts slowly. */
  startsWhole: boolean;
  /** Whoever reads the log knows that it is down. */
  isDownTold: boolean;
  checker: Check | undefined;
  graceTimer: NodeJS.Timeout | undefined;
  /** By this way flows are being ended over a time, as `on_down` says. */
  pacedWay: Way | undefined;
  /** When it stopped being up, or was lost while it was ejected. */
  downSinceMs: number;
  /** The `on_down` that what is open now has been treated by. */
  onDown: PoolPlan['onDown'];
}

/** Of one that nobody has judged yet. */
const unknown: Verdict = { isUp: false, isLost: true, reason: undefined, why: '' };

/**
 * One that is added: nobody has looked at it yet.
 * @param nowMs on the clock that flows are stamped with
 */
export function newBackend(
  known: Pick<Backend, 'id' | 'pool' | 'plan' | 'target' | 'targetOf' | 'unresolved' | 'startsWhole'>,
  nowMs: number,
): Backend {
  return {
    ...known,
    check: { word: 'none' },
    checked: undefined,
    leadsTo: undefined,
    seenLeadingTo: undefined,
    seenTimer: undefined,
    mayLeadBack: false,
    will: noWill,
    share: 1,
    verdict: unknown,
    sinceMs: nowMs,
    flaps: 0,
    flips: new Flips(),
    isDownTold: false,
    checker: undefined,
    graceTimer: undefined,
    pacedWay: undefined,
    downSinceMs: nowMs,
    onDown: known.pool.onDown,
  };
}

/** It would, were it not ejected. */
export function takesNew({ verdict, will, plan }: Backend): boolean {
  return !verdict.isLost && isOpenToNew(will, plan);
}

/** What operators say lets new clients in. */
export function isOpenToNew(will: OperatorWill, plan: BackendPlan): boolean {
  return will.state === 'ready' && weightOf(will, plan) > 0;
}

export function weightOf(will: OperatorWill, plan: BackendPlan): number {
  return will.weight ?? plan.weight;
}

/** How many checks in a row have failed; undefined: it is not for its check that it is down. */
export function failedChecks({ check, checked, verdict }: Backend): number | undefined {
  if (check.word !== 'failed' || verdict.why !== check.why || checked?.hasPassed !== false) return undefined;
  return checked.streak;
}

export function wayOf({ target, pool: { upstream } }: Backend): Way {
  return { target, upstream };
}

export function quiet(backend: Backend): void {
  backend.checker?.stop();
  clearTimeout(backend.graceTimer);
  clearTimeout(backend.seenTimer);
}

export function leadsBackTo({ leadsTo, seenLeadingTo }: Backend): string | undefined {
  return leadsTo ?? seenLeadingTo;
}

export function onDownOf({ pool, verdict: { reason } }: Backend): PoolPlan['onDown'] {
  return onDownFor(pool, reason);
}

export function isSameFate(one: PoolPlan['onDown'], other: PoolPlan['onDown']): boolean {
  return one.action === other.action && one.graceMs === other.graceMs;
}

/** As configured: `10.0.0.1:5432`, `[::1]:5432`, `db1.example.org:5432`, `unix:/run/db.sock`. */
export function addressText({ address }: BackendPlan): string {
  return formatAddress(address);
}
