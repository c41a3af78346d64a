/**
 * How the process's descriptors are shared out: two for each flow, those of pipes for flows whose reader is slow, and a
 * reserve for everything else. A limit it cannot hold would show as refused accepts at the worst time, and a reserve
 * that pipes eat up as pages that do not answer. Node raises the soft limit to the hard one by itself.
 *
 *    | reserve | two for each flow, up to the flow limit ...        | spare: pipes |
 *
 * Flows come first: pipes are faster than copying, but nobody is turned away for want of them.
 */
import { readFileSync } from 'node:fs';
import {
  descriptorsPerPipe,
  descriptorsPerTcpFlow,
  descriptorsReserved,
  pipesPerWorkerMax,
} from '../core/limits.ts';
import type { Plan } from '../core/plan.ts';
import { StartFailure } from './listeners.ts';

/** A limit beyond this is of no use to one machine and only makes numbers hard to read. */
const flowsMaxAuto = 1_000_000;
/** With `limits.flows: auto`, what pipes may have at most of that which flows and they share. */
const spareShareAuto = 1 / 8;
/** A descriptor limit that carries fewer was hardly meant for a balancer. */
const flowsFew = 1_000;

export interface DescriptorShares {
  /** The flow limit in force. */
  readonly flowsMax: number;
  /** What each worker may use for pipes. */
  readonly sparePerWorker: number;
}

/**
 * @param workers those that can make use of pipes
 * @throws StartFailure when the configured limit does not fit the descriptor limit
 */
export function shareDescriptors(
  { limits: { flows } }: Plan,
  workers: number,
  descriptors = descriptorLimit(),
): DescriptorShares {
  const shared = Math.max(0, descriptors - descriptorsReserved);
  const forPipes = workers * pipesPerWorkerMax * descriptorsPerPipe;
  const spareAuto = Math.min(forPipes, Math.floor(shared * spareShareAuto));
  const flowsOf = (count: number): number => Math.max(1, Math.floor(count / descriptorsPerTcpFlow));
  const flowsMax = flows === 'auto' ? Math.min(flowsOf(shared - spareAuto), flowsMaxAuto) : flows;
  const most = flowsOf(shared);
  if (flowsMax > most) {
    throw new StartFailure(
      `limits.flows is ${flows}, but ${descriptors} descriptors (ulimit -n) carry at most ${most} flows; ` +
        'raise the descriptor limit (LimitNOFILE= in systemd), lower limits.flows, or leave it out',
    );
  }
  const spare = Math.max(0, Math.min(forPipes, shared - flowsMax * descriptorsPerTcpFlow));
  return { flowsMax, sparePerWorker: workers === 0 ? 0 : Math.floor(spare / workers) };
}

/** The descriptor limit, when `limits.flows: auto` makes few flows of it. */
export function tightDescriptorLimit(plan: Plan, flowsMax: number): number | undefined {
  return plan.limits.flows === 'auto' && flowsMax < flowsFew ? descriptorLimit() : undefined;
}

function descriptorLimit(): number {
  const text = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return text === undefined || text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
}
