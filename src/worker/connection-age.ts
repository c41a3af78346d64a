/**
 * How old a TCP connection may become (`max_connection_age`). Each has an age of its own, a tenth more or less than what is
 * configured, so that connections that were opened together do not end together.
 */
import type { Flow } from '../core/flow.ts';

/** Of the age, either way. */
const jitter = 0.1;
/** Multiples of it, without their whole part, lie evenly between 0 and 1 however many there are (Knuth, TAOCP 3, 6.4). */
const goldenRatio = 0.618_033_988_749_895;

/** @param maxMs as configured, above 0 */
export function isTooOld(flow: Flow, maxMs: number, nowMs: number): boolean {
  if (flow.connectedAtMs === 0 || flow.listener.plan.protocol !== 'tcp') return false;
  const lot = (flow.id * goldenRatio) % 1;
  return nowMs - flow.connectedAtMs >= maxMs * (1 + (lot * 2 - 1) * jitter);
}
