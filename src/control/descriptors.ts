/**
 * How the process's descriptors are shared out: what it holds for everything else (descriptor-sum.ts), two for each flow, and
 * pipes for flows whose reader is slow. A limit it cannot hold would show as refused accepts at the worst time, and pages
 * that do not answer. Node raises the soft limit to the hard one by itself.
 *
 *    | all else | two for each flow, up to the flow limit ...        | spare: pipes |
 *
 * Flows come first: pipes are faster than copying, but nobody is turned away for want of them.
 */
import { readFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { descriptorsPerPipe, descriptorsPerTcpFlow, pipesPerWorkerMax } from '../core/limits.ts';
import type { Plan } from '../core/plan.ts';
import { reservesAsked, udpFlowsMax } from '../core/shares.ts';
import { descriptorSum, type Machine } from './descriptor-sum.ts';
import { StartFailure } from './listeners.ts';

/** A limit beyond this is of no use to one machine and only makes numbers hard to read. */
const flowsMaxAuto = 1_000_000;
/** With `limits.flows: auto`, what pipes may have at most of that which flows and they share. */
const spareShareAuto = 1 / 8;
/** A descriptor limit that carries fewer was hardly meant for a balancer. */
const flowsFew = 1_000;
const raise = 'raise the descriptor limit (LimitNOFILE= in systemd)';

export interface DescriptorShares {
  /** The flow limit in force. */
  readonly flowsMax: number;
  /** What each worker may use for pipes. */
  readonly sparePerWorker: number;
  readonly checksInFlightMax: number;
  /** TCP clients that found a limit reached and may wait for a second look, in each worker. */
  readonly secondLooksPerWorker: number;
  /** TCP clients that may be waiting to be identified, in each worker; 0 without a listener that identifies. */
  readonly arrivalsPerWorker: number;
}

/** @throws StartFailure when the plan does not fit the descriptor limit */
export function shareDescriptors(
  plan: Plan,
  machine: Machine | Omit<Machine, 'descriptors' | 'localIps'>,
): DescriptorShares {
  const { flows } = plan.limits;
  const whole: Machine = { descriptors: descriptorLimit(), localIps: localIps(), ...machine };
  const { descriptors } = whole;
  const { held, checksInFlightMax, secondLooksPerWorker, arrivalsPerWorker } = descriptorSum(plan, whole);
  const shared = descriptors - held;
  if (shared < descriptorsPerTcpFlow) {
    throw new StartFailure(
      `listeners, workers, pages and checks take ${held} descriptors, and there are ${descriptors} (ulimit -n): no flow ` +
        `could be served; ${raise}, or have fewer listeners or workers`,
    );
  }
  // The portable engine has no pipes.
  const pipeWorkers = whole.engine === 'epoll' ? whole.workers : 0;
  const forPipes = pipeWorkers * pipesPerWorkerMax * descriptorsPerPipe;
  const spareAuto = Math.min(forPipes, Math.floor(shared * spareShareAuto));
  const flowsOf = (count: number): number => Math.max(1, Math.floor(count / descriptorsPerTcpFlow));
  const flowsMax = flows === 'auto' ? Math.min(flowsOf(shared - spareAuto), flowsMaxAuto) : flows;
  const most = flowsOf(shared);
  if (flowsMax > most) {
    throw new StartFailure(
      `limits.flows is ${flows}, but ${descriptors} descriptors (ulimit -n) carry at most ${most} flows; ` +
        `${raise}, lower limits.flows, or leave it out`,
    );
  }
  refuseReserves(plan, flowsMax);
  const spare = Math.max(0, Math.min(forPipes, shared - flowsMax * descriptorsPerTcpFlow));
  const sparePerWorker = pipeWorkers === 0 ? 0 : Math.floor(spare / pipeWorkers);
  return { flowsMax, sparePerWorker, checksInFlightMax, secondLooksPerWorker, arrivalsPerWorker };
}

/** Where `limits.flows` is a number, the check of the file has looked already. */
function refuseReserves({ listeners, limits }: Plan, flowsMax: number): void {
  const { all, udp } = reservesAsked(listeners);
  const udpMax = udpFlowsMax(listeners, flowsMax, limits.udpShare);
  if (all <= flowsMax && udp <= udpMax) return;
  throw new StartFailure(
    `limits.reserve of ${all > flowsMax ? 'all' : 'UDP'} listeners comes to ${all > flowsMax ? all : udp}, but there are ` +
      `${all > flowsMax ? flowsMax : udpMax} places for their flows; lower them, or ${raise}`,
  );
}

function localIps(): string[] {
  try {
    return Object.values(networkInterfaces()).flatMap((entries) =>
      (entries ?? []).map(({ address }) => address),
    );
  } catch {
    // A sandbox without AF_NETLINK: the engine does not find them either.
    return [];
  }
}

/** The descriptor limit, when `limits.flows: auto` makes few flows of it. */
export function tightDescriptorLimit(plan: Plan, flowsMax: number): number | undefined {
  return plan.limits.flows === 'auto' && flowsMax < flowsFew ? descriptorLimit() : undefined;
}

function descriptorLimit(): number {
  const text = /^Max open files\s+(\S+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
  return text === undefined || text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text);
}
