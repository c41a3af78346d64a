/** What the checks room tells control: plain data. */
import type { DownReason } from '../core/down-reason.ts';
import type { RecordAnswer } from './records.ts';
import type { Ip } from './resolve.ts';

/** What a check makes of its backend. */
export type CheckVerdict =
  /** `share`: what it is to have of its weight now, 0 to 1. */
  | { readonly isUp: true; readonly share: number }
  | { readonly isUp: false; readonly reason: DownReason; readonly why: string };

/** The last check of a backend. */
export interface CheckFacts {
  readonly hasPassed: boolean;
  readonly why: string;
  readonly tookMs: number;
  /** Checks in a row with this outcome. */
  readonly streak: number;
}

export interface MessageFromChecks {
  readonly type: 'news';
  /** Whose health has changed. */
  readonly verdicts: readonly { readonly id: number; readonly verdict: CheckVerdict }[];
  /** Who has been checked. */
  readonly facts: readonly { readonly id: number; readonly facts: CheckFacts }[];
  readonly resolved: readonly { readonly host: string; readonly ip: Ip }[];
  /** Answers, by their questions as JSON. */
  readonly found: readonly { readonly key: string; readonly answer: RecordAnswer }[];
}
