/**
 * How many flows the process can hold: each needs two descriptors, and a limit it cannot hold would show as
 * refused accepts at the worst time. Node raises the soft limit to the hard one by itself.
 */
import { readFileSync } from 'node:fs';
import { descriptorsPerTcpFlow, descriptorsReserved } from '../core/limits.ts';
import type { Plan } from '../core/plan.ts';
import { StartFailure } from './listeners.ts';

/** A limit beyond this is of no use to one machine and only makes numbers hard to read. */
const flowsMaxAuto = 1_000_000;

/**
 * @returns the flow limit in force
 * @throws StartFailure when the configured limit does not fit the descriptor limit
 */
export function flowsMax(plan: Plan): number {
  const descriptors = descriptorLimit();
  const most = Math.max(1, Math.floor((descriptors - descriptorsReserved) / descriptorsPerTcpFlow));
  const { flows } = plan.limits;
  if (flows === 'auto') return Math.min(most, flowsMaxAuto);
  if (flows <= most) return flows;
  throw new StartFailure(
    `limits.flows is ${flows}, but ${descriptors} descriptors (ulimit -n) carry at most ${most} flows; ` +
      'raise the descriptor limit (LimitNOFILE= in systemd), lower limits.flows, or leave it out',
  );
}

function descriptorLimit(): number {
  const text = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return text === undefined || text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
}
