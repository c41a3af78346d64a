/**
 * Which finished flows are told to whoever keeps the log. A worker that knows that nobody will write a line makes no record of it:
 * metrics are counted elsewhere, in shared memory (counters.ts, histograms.ts).
 */
import type { Plan } from './plan.ts';
import { failedCodes, type TerminationCode } from './termination.ts';

export interface FlowLog {
  /** `failed`: those alone whose client was not served ({@link isFailed}). */
  readonly which: 'all' | 'failed' | 'none';
  /** The share of those that were served, 0 to 1. */
  readonly sample: number;
}

const levels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;

/** Whether a line of `level` is written where `least` is the least severe one that is. */
function isLogged(level: (typeof levels)[number], least: Plan['log']['level']): boolean {
  return least !== 'silent' && levels.indexOf(level) >= levels.indexOf(least);
}

/**
 * What is told of finished flows under this plan. A failed one is a warning, and one of the events that the admin address shows,
 * whatever is logged.
 */
export function flowLogOf({ log, admin }: Pick<Plan, 'log' | 'admin'>): FlowLog {
  const { level, flows, access } = log;
  const { sample } = flows;
  const least = admin === undefined ? 'none' : 'failed';
  if (access !== undefined) return { which: 'all', sample };
  if (flows.level === 'off') return { which: least, sample };
  if (isLogged(flows.level, level)) return { which: 'all', sample };
  return { which: isLogged('warn', level) ? 'failed' : least, sample };
}

/** Whether the client of a finished flow was not served. */
export function isFailed({
  code,
  bytesOut,
  datagramsOut,
}: {
  readonly code: TerminationCode | undefined;
  readonly bytesOut: number;
  readonly datagramsOut: number;
}): boolean {
  if (code === undefined) return false;
  // A server that resets whoever comes, before it has said anything.
  if (code === 'backend-reset') return bytesOut === 0 && datagramsOut === 0;
  return failedCodes.has(code);
}
