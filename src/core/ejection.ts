/**
 * Ejection: a backend that fails real clients is left out for a while. For how long, and how many of a pool at once. Pure.
 *
 * The time grows with repetition, and what was is forgotten by and by: as in Envoy's outlier detection (base_ejection_time times
 * the number of ejections, up to max_ejection_time, one less for each interval without one).
 */
import type { PoolPlan, Protocol } from './plan.ts';

/**
 * What clients met. `dial`: connections could not be made. `broke`: they were made, and broke before the backend's first byte.
 * `unreachable`: its UDP port was reported unreachable (ICMP). `silent`: UDP, nothing comes back from it.
 */
export type FaultCause = 'dial' | 'broke' | 'unreachable' | 'silent';

export interface Fault {
  readonly protocol: Protocol;
  readonly cause: FaultCause;
  /** A sentence without its subject, which is the backend. */
  readonly why: string;
}

/** Ejections of one backend so far. */
export interface PastEjections {
  /** In a row. */
  readonly times: number;
  readonly endedAtMs: number;
}

type Passive = PoolPlan['passive'];

/** @returns how many it makes in a row with the next one, and how long that is. One is forgotten for each `ejectMs` since the last. */
export function nextEjection(
  past: PastEjections | undefined,
  { ejectMs, ejectMsMax }: Pick<Passive, 'ejectMs' | 'ejectMsMax'>,
  nowMs: number,
): { readonly times: number; readonly forMs: number } {
  const forgotten = past === undefined ? 0 : Math.floor((nowMs - past.endedAtMs) / ejectMs);
  const before = past === undefined ? 0 : Math.max(0, past.times - forgotten);
  const times = Math.min(before + 1, Math.ceil(ejectMsMax / ejectMs));
  return { times, forMs: Math.min(ejectMs * times, ejectMsMax) };
}

/** Whether one more of a pool may be ejected. One always may, unless the share is 0: two backends have no 10 %. */
export function mayEjectOneMore(ejected: number, backends: number, share: number): boolean {
  const most = share === 0 ? 0 : Math.max(1, Math.floor(backends * share));
  return ejected < most;
}

/** What a worker has seen, in words. */
export function whyOf(cause: Exclude<FaultCause, 'silent'>, failures: number): string {
  switch (cause) {
    case 'dial':
      return `${failures} connections in a row could not be made`;
    case 'broke':
      return `${failures} connections in a row failed or broke before its first byte`;
    case 'unreachable':
      return `its port was unreachable ${failures} times in a row`;
  }
}
