/** What control asks of the checks room: a tagged union of plain data. */
import type { Bind, HealthPlan } from '../core/plan.ts';

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
  | { readonly type: 'check'; readonly orders: readonly CheckOrder[] }
  /** Checks under way at once. */
  | { readonly type: 'limit'; readonly inFlightMax: number }
  | { readonly type: 'uncheck'; readonly id: number }
  /** Real flows failed: look now. */
  | { readonly type: 'suspect'; readonly id: number }
  | { readonly type: 'resolve'; readonly host: string }
  | { readonly type: 'stop' };
