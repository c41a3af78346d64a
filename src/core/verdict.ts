/**
 * Whether a backend may have clients, and if not, why: the one place where what is known of it (its address, its check, what flows
 * met, an operator's word) becomes a verdict. Pure: facts in, verdict out; two verdicts in, what has to be done about it out.
 *
 *    facts --judge--> verdict
 *    verdict before, verdict now --effectOf--> up | down | lost | reason | nothing
 */
import type { DownReason } from './down-reason.ts';
import type { OpenFlowsPlan, PoolPlan } from './plan.ts';

/** What the check has said last. `none`: the pool has no check. `unchecked`: it has not said anything yet. */
export type CheckWord =
  | { readonly word: 'none' | 'unchecked' | 'passed' }
  | { readonly word: 'failed'; readonly reason: DownReason; readonly why: string };

export interface BackendFacts {
  /** An operator has taken it out. */
  readonly isInMaintenance: boolean;
  /** Why it has no address; undefined: it has one. */
  readonly unresolved: string | undefined;
  /** The listener of this instance that its address leads back to. */
  readonly leadsTo: string | undefined;
  readonly check: CheckWord;
  /** Without a word of its check it counts as up (`health.start: up`). */
  readonly startsUp: boolean;
  /** Why it is left out for a while: what flows met there. Undefined: it is not. */
  readonly ejected: string | undefined;
}

export interface Verdict {
  /** Clients may be sent there. */
  readonly isUp: boolean;
  /** Not merely left out for what flows met: open flows have no future there either. */
  readonly isLost: boolean;
  /** Undefined: it is up. */
  readonly reason: DownReason | undefined;
  /** A sentence without its subject, which is the backend; '' while it is up. */
  readonly why: string;
}

const up: Verdict = { isUp: true, isLost: false, reason: undefined, why: '' };

function lost(reason: DownReason, why: string): Verdict {
  return { isUp: false, isLost: true, reason, why };
}

/** The first of the reasons that are true, in the order in which mending the later ones would be of no use. */
export function judge(facts: BackendFacts): Verdict {
  const { isInMaintenance, unresolved, leadsTo, check, startsUp, ejected } = facts;
  if (isInMaintenance) return lost('operator', 'an operator has put it into maintenance');
  if (unresolved !== undefined) return lost('unresolved', unresolved);
  if (leadsTo !== undefined) return lost('loop', `it leads back to listener ${leadsTo}`);
  if (check.word === 'failed') return lost(check.reason, check.why);
  if (check.word === 'unchecked' && !startsUp) return lost('unchecked', 'its first check has not passed yet');
  if (ejected !== undefined) return { isUp: false, isLost: false, reason: 'passive', why: ejected };
  return up;
}

/**
 * `up`, `down`: it flipped. `lost`: it was left out, and now its open flows have no future either. `reason`: it is down for
 * another reason than before.
 */
export type VerdictEffect = 'up' | 'down' | 'lost' | 'reason' | 'nothing';

export function effectOf(before: Verdict, now: Verdict): VerdictEffect {
  if (before.isUp !== now.isUp) return now.isUp ? 'up' : 'down';
  if (now.isLost && !before.isLost) return 'lost';
  return before.reason === now.reason ? 'nothing' : 'reason';
}

/** What becomes of the open flows of a backend that is down for this reason. */
export function onDownFor(
  { onDown, onDownBecause }: Pick<PoolPlan, 'onDown' | 'onDownBecause'>,
  reason: DownReason | undefined,
): OpenFlowsPlan {
  return (reason === undefined ? undefined : onDownBecause[reason]) ?? onDown;
}
