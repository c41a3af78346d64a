/** What control asks of the checks room: a tagged union of plain data. */
import type { Bind, HealthPlan } from '../core/plan.ts';
import type { RecordQuestion } from './records.ts';

/** One backend to be checked until further notice. */
export interface CheckOrder {
  readonly id: number;
  readonly health: HealthPlan;
  readonly target: Bind;
  /** The verdict so far; undefined: nobody has looked yet. */
  readonly wasUp: boolean | undefined;
  /** Until the first check. */
  readonly delayMs: number;
}

export type MessageToChecks =
  /** All that is new since the last message, so that thousands of orders are one message. */
  | {
      readonly type: 'orders';
      /** Ids of checks that are to stop; done first. */
      readonly stop: readonly number[];
      readonly start: readonly CheckOrder[];
      /** Hosts that are asked for. */
      readonly resolve: readonly string[];
      /** Names of which all records are asked for. */
      readonly find: readonly RecordQuestion[];
      /** Checks under way at once; absent: as before. */
      readonly inFlightMax?: number;
    }
  /** Real flows failed: look soon. It may be lost: the next interval comes. */
  | { readonly type: 'suspect'; readonly ids: readonly number[] }
  | { readonly type: 'stop' };
