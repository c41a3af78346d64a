/**
 * The health of one backend, as a pure state machine: observations go in, "it flipped" comes out.
 * A backend changes its mind only after `fall` failures or `rise` successes in a row (HAProxy's rise and fall);
 * one observation the other way starts the count again. No clock and no sockets here.
 *
 *          fall failures in a row
 *    up  ------------------------>  down
 *        <------------------------
 *          rise successes in a row
 *
 * At start nobody knows: the first observation decides alone, so a dead backend is not offered for `fall`
 * intervals and a live one does not have to wait for `rise`.
 */

export interface HealthState {
  readonly up: boolean;
  /** Observations in a row that contradict `up`. */
  readonly opposite: number;
  readonly observed: boolean;
}

export interface HealthThresholds {
  readonly fall: number;
  readonly rise: number;
}

/** Nobody has looked yet. @param up what it counts as meanwhile */
export function initialHealth(up: boolean): HealthState {
  return { up, opposite: 0, observed: false };
}

/**
 * @param success what a check (or a real flow) has just seen
 * @returns the next state, and `flipped` when `up` changed
 */
export function observe(
  state: HealthState,
  success: boolean,
  thresholds: HealthThresholds,
): { readonly state: HealthState; readonly flipped: boolean } {
  if (success === state.up) return { state: { up: state.up, opposite: 0, observed: true }, flipped: false };
  const opposite = state.opposite + 1;
  const needed = !state.observed ? 1 : state.up ? thresholds.fall : thresholds.rise;
  if (opposite < needed) return { state: { up: state.up, opposite, observed: true }, flipped: false };
  return { state: { up: success, opposite: 0, observed: true }, flipped: true };
}
