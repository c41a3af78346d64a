/**
 * The descriptors that are held beside those of flows: whatever is open before the first client comes, and what may be at
 * the limit of flows, so that pages, checks and Redis go on then. Added up and not guessed, for a plan with hundreds of
 * listeners holds more by itself than any fixed reserve.
 */
import { bindsOf } from '../core/binds.ts';
import { identifies } from '../core/identity.ts';
import {
  arrivalsMax,
  arrivalsShare,
  backendsPerPoolMax,
  checksInFlightMin,
  descriptorsOfNames,
  descriptorsOfProcess,
  descriptorsOfReload,
  descriptorsPerDiscovery,
  descriptorsPerPageAddressMin,
  descriptorsPerRedisNode,
  descriptorsPerRoom,
  descriptorsPerWorker,
  httpAnsweringMax,
  httpBurstMax,
  httpWaitingMax,
  localSocketsMax,
  redisClusterNodesReckoned,
  roomsMost,
  secondLooksMax,
  secondLooksShare,
  silencedMax,
} from '../core/limits.ts';
import type { Bind, Plan } from '../core/plan.ts';

/** What a page's address may hold, and checks, of a limit that is small. */
const pageShare = 1 / 32;
const checksShare = 1 / 8;

export interface Machine {
  readonly engine: 'portable' | 'epoll';
  readonly workers: number;
  /** The limit of the process (ulimit -n). */
  readonly descriptors: number;
  /** Addresses of this machine, IPv4 and IPv6. */
  readonly localIps: readonly string[];
  /** Sockets that a service manager has passed, which stay open beside those of the workers. Absent: none. */
  readonly passed?: number;
}

export interface DescriptorSum {
  readonly held: number;
  /** Health checks that may be under way at once; they are counted above. */
  readonly checksInFlightMax: number;
  /** TCP clients that found a limit reached and may wait for a second look, in each worker; counted above. */
  readonly secondLooksPerWorker: number;
  /** TCP clients that may be waiting to be identified, in each worker; counted above. */
  readonly arrivalsPerWorker: number;
}

export function descriptorSum(plan: Plan, machine: Machine): DescriptorSum {
  const { workers, descriptors } = machine;
  const listeners = plan.listeners.reduce((sum, listener) => {
    // One path cannot be bound twice: one worker serves it.
    const sockets = bindsOf(listener).map(
      (bind) => (bind.kind === 'unix' ? 1 : workers) * socketsOf(bind, listener.protocol, machine),
    );
    return sockets.reduce((one, other) => one + other, sum);
  }, 0);
  const checked = plan.pools
    .filter(({ health }) => health.type !== 'none')
    // What will be found is not known: as many as there may be.
    .reduce(
      (sum, { backends, discovery }) =>
        sum + (discovery === undefined ? backends.length : backendsPerPoolMax),
      0,
    );
  const checksInFlightMax = Math.min(
    checked,
    Math.max(checksInFlightMin, Math.floor(descriptors * checksShare)),
  );
  const hasNames = plan.pools.some(
    ({ backends, discovery }) =>
      discovery !== undefined || backends.some(({ address }) => address.kind === 'name'),
  );
  const silenced = plan.listeners.some(({ refuse }) => refuse === 'silence') ? silencedMax : 0;
  const discoveries = plan.pools.filter(({ discovery }) => discovery !== undefined).length;
  const secondLooks = Math.floor((descriptors * secondLooksShare) / workers);
  const secondLooksPerWorker = Math.max(1, Math.min(secondLooksMax, secondLooks));
  const arrivalsPerWorker = arrivalsOf(plan, machine);
  const held =
    descriptorsOfProcess +
    roomsMost * descriptorsPerRoom +
    workers * (descriptorsPerWorker + secondLooksPerWorker + arrivalsPerWorker + silenced) +
    descriptorsOfReload +
    (machine.passed ?? 0) +
    listeners +
    [plan.metrics, plan.admin].filter((page) => page !== undefined).length * pageDescriptors(descriptors) +
    checksInFlightMax +
    (hasNames ? descriptorsOfNames : 0) +
    discoveries * descriptorsPerDiscovery +
    redisDescriptors(plan);
  return { held, checksInFlightMax, secondLooksPerWorker, arrivalsPerWorker };
}

/** They are given up for others, so a small number does: whoever says all at once never waits. */
function arrivalsOf({ listeners }: Plan, { workers, descriptors }: Machine): number {
  if (!listeners.some((listener) => listener.protocol === 'tcp' && identifies(listener))) return 0;
  return Math.max(1, Math.min(arrivalsMax, Math.floor((descriptors * arrivalsShare) / workers)));
}

/** The portable engine gives each address of the machine a socket of its own where UDP is bound to all of them. */
function socketsOf(bind: Bind, protocol: 'tcp' | 'udp', { engine, localIps }: Machine): number {
  if (engine === 'epoll' || protocol === 'tcp' || bind.kind === 'unix') return 1;
  const isV4 = bind.ip === '0.0.0.0';
  if (!isV4 && !/^[0:]+$/.test(bind.ip)) return 1;
  const reached = isV4 ? localIps.filter((ip) => !ip.includes(':')) : localIps;
  return 1 + Math.min(localSocketsMax, reached.length);
}

/** Its socket and connections: all that it may have where the limit is ample, a part where it is not. */
function pageDescriptors(descriptors: number): number {
  const most = httpWaitingMax + httpAnsweringMax + httpBurstMax;
  return 1 + Math.min(most, Math.max(descriptorsPerPageAddressMin, Math.floor(descriptors * pageShare)));
}

function redisDescriptors({ cluster }: Plan): number {
  if (cluster === undefined) return 0;
  const { form } = cluster.redis;
  const nodes =
    form.kind === 'cluster'
      ? Math.max(redisClusterNodesReckoned, form.nodes.length)
      : form.kind === 'sentinel'
        ? form.nodes.length + 1
        : 1;
  return nodes * descriptorsPerRedisNode;
}
