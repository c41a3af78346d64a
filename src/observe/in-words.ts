/**
 * What happens, as a person would say it, and how much it matters: for the log, the demo and the admin API's events. Subject first; the
 * event's own fields say the same for programs.
 */
import type { ClusterEvent } from '../cluster/events.ts';
import type { ControlEvent } from '../control/events.ts';
import { formatDuration } from '../core/quantities.ts';
import { flowInWords } from './flow-words.ts';

export type Level = 'debug' | 'info' | 'warn' | 'error';

export const eventLevels: Readonly<Record<Exclude<ControlEvent['event'], 'flow-ended'>, Level>> = {
  starting: 'info',
  'descriptors-few': 'warn',
  listening: 'info',
  ready: 'info',
  'backend-up': 'info',
  'backend-down': 'warn',
  'backend-still-down': 'warn',
  'backend-operated': 'info',
  'kill-heard': 'info',
  'backend-resolved': 'info',
  'discovery-changed': 'info',
  'discovery-failed': 'warn',
  'discovery-restored': 'info',
  'access-list-read': 'info',
  'access-list-failed': 'warn',
  'file-failed': 'warn',
  'file-restored': 'info',
  'loop-seen': 'warn',
  'address-left': 'info',
  'address-down': 'warn',
  'address-up': 'info',
  'pool-down': 'error',
  'pool-up': 'info',
  'clients-refused': 'warn',
  'flows-untold': 'warn',
  'accept-paused': 'warn',
  'pool-fault': 'error',
  'listener-fault': 'warn',
  'flow-fault': 'error',
  'worker-died': 'error',
  'worker-restarted': 'info',
  'worker-stuck': 'error',
  'room-died': 'error',
  'room-restarted': 'info',
  'bind-failed': 'error',
  reloaded: 'info',
  'reload-refused': 'error',
  'cluster-connected': 'info',
  'cluster-away': 'warn',
  'cluster-fault': 'warn',
  'cluster-resync': 'info',
  'cluster-resynced': 'info',
  'cluster-stalled': 'warn',
  'cluster-name-taken': 'error',
  'cluster-layout-differs': 'error',
  'instance-joined': 'info',
  'instance-left': 'info',
  'instance-lost': 'warn',
  'instance-back': 'info',
  'instance-digest-differs': 'warn',
  'instance-digest-agrees': 'info',
  'instances-changing': 'warn',
  shutdown: 'info',
  stopped: 'info',
};

function clusterInWords(event: ClusterEvent): string {
  switch (event.event) {
    case 'cluster-connected':
      return `pins are shared: every shard is in step after ${event.afterMs} ms`;
    case 'cluster-away':
      return `pins are not shared, clients are served: ${event.message}`;
    case 'cluster-fault':
      return `Redis: ${event.fault}: ${event.message}`;
    case 'cluster-resync':
      return `${event.why}: reading ${event.shards} shards of Redis again`;
    case 'cluster-resynced':
      return `in step with Redis again after ${event.tookMs} ms: pins read ${event.pinsRead}, put back ${event.pinsPublished}`;
    case 'cluster-stalled':
      return `this process did not run for ${event.stalledMs} ms: reading what it missed before it writes`;
    case 'cluster-name-taken':
      return `another process is instance ${event.instance}; this one only listens until that one is gone`;
    case 'cluster-layout-differs':
      return `the cluster has layout ${event.theirs}, this instance ${event.ours}: nothing is shared; set cluster.shards alike`;
    case 'instance-joined':
      return `instance ${event.instance} joined (host ${event.host}, version ${event.version})`;
    case 'instance-left':
      return `instance ${event.instance} left`;
    case 'instance-lost':
      return `instance ${event.instance} was not heard of for its lease: lost`;
    case 'instance-back':
      return `instance ${event.instance} is back`;
    case 'instance-digest-differs':
      return `instance ${event.instance} has another configuration: clients may be served differently there`;
    case 'instance-digest-agrees':
      return `instance ${event.instance} has the same configuration now`;
    case 'instances-changing':
      return `instances come and go: joined ${event.joined}, left ${event.left}, lost ${event.lost}, back ${event.back}; configurations differ ${event.differing}, agree ${event.agreeing}`;
  }
}

const verdictWords = {
  'backend-up': 'up',
  'backend-down': 'down',
  'backend-still-down': 'still down, for another reason',
} as const;

type Told<E extends ControlEvent['event']> = Extract<ControlEvent, { event: E }>;

function verdictInWords(event: Told<'backend-up' | 'backend-down' | 'backend-still-down'>): string {
  const said = `${event.pool}/${event.backend} is ${verdictWords[event.event]}: ${event.why}`;
  if (event.event === 'backend-up' || event.address === undefined) return said;
  // What an operator said, or an agent, is not about a place.
  if (event.reason === 'operator' || event.reason === 'agent') return said;
  const { failedChecks: failed, address } = event;
  const checks =
    failed === undefined ? '' : failed === 1 ? '; a check failed' : `; ${failed} checks in a row failed`;
  return `${said} (${address}${checks})`;
}

function addressLeftInWords({ pool, backend, address, action, graceMs }: Told<'address-left'>): string {
  const fate = action === 'keep' ? 'stay' : graceMs === 0 ? 'end' : `end in ${formatDuration(graceMs)}`;
  return `${pool}/${backend} is reached otherwise now: TCP connections by ${address} ${fate}`;
}

function reloadedInWords({ listeners, pools, needRestart }: Told<'reloaded'>): string {
  const restart = needRestart.length === 0 ? '' : `; restart to change ${needRestart.join(', ')}`;
  return `new configuration in use: listeners ${listeners}, pools ${pools}${restart}`;
}

function discoveryInWords(
  event: Told<'discovery-changed'> | Told<'discovery-failed'> | Told<'discovery-restored'>,
): string {
  if (event.event === 'discovery-failed')
    return `${event.pool}: ${event.place}: ${event.message}; ${event.kept} found backends stay in use`;
  if (event.event === 'discovery-restored')
    return `${event.pool}: ${event.place} is as it should be again: ${event.backends} backends`;
  const names = (what: string, list: readonly string[]): string =>
    list.length === 0 ? '' : `; ${what}: ${list.join(', ')}`;
  return `${event.pool} has found other backends: ${event.backends}${names('new', event.added)}${names('gone', event.removed)}`;
}

function faultInWords(event: Told<'pool-fault' | 'listener-fault' | 'flow-fault'>): string {
  switch (event.event) {
    case 'pool-fault':
      return `pool ${event.pool} cannot connect as configured: ${event.message}`;
    case 'listener-fault':
      return `listener ${event.listener} does not serve as configured: ${event.message}`;
    case 'flow-fault':
      return `defect while serving ${event.flow || 'no flow'}: ${event.message}`;
  }
}

function fileInWords(
  event: Told<'access-list-read' | 'access-list-failed'> | Told<'file-failed' | 'file-restored'>,
): string {
  switch (event.event) {
    case 'access-list-read':
      return `${event.file}: ${event.entries} addresses and networks are in use`;
    case 'access-list-failed':
      return `${event.message}; the list read before, with ${event.kept} entries, stays in use`;
    case 'file-failed':
      return `${event.message}; ${fileFate(event)}`;
    case 'file-restored':
      return `${event.file} can be used again`;
  }
}

/** What it means that a file cannot be used. */
export function fileFate({ isKept }: { readonly isKept: boolean }): string {
  return isKept
    ? 'what was read from it before stays in use; write it beside its place and rename it'
    : 'nothing was read from it before, so what needs it does without';
}

function threadInWords(
  event:
    | Told<'worker-died'>
    | Told<'worker-restarted'>
    | Told<'worker-stuck'>
    | Told<'room-died'>
    | Told<'room-restarted'>,
): string {
  switch (event.event) {
    case 'worker-died':
      return `worker ${event.worker} died (${event.message}); again in ${event.restartInMs} ms`;
    case 'worker-restarted':
      return `worker ${event.worker} serves again`;
    case 'worker-stuck':
      return `worker ${event.worker} has served nobody for ${Math.round(event.silentMs)} ms; the watchdog of the service manager is not fed`;
    case 'room-died':
      return `the ${event.room} room died (${event.message}); again in ${event.restartInMs} ms; flows are not affected`;
    case 'room-restarted':
      return `the ${event.room} room works again`;
  }
}

export function inWords(event: ControlEvent): string {
  switch (event.event) {
    case 'starting':
      return `starting with ${event.config}: engine ${event.engine} (${event.why}), workers ${event.workers}, flows at most ${event.flowsMax}`;
    case 'descriptors-few':
      return `the descriptor limit ${event.descriptors} carries only ${event.flowsMax} ${event.flowsMax === 1 ? 'flow' : 'flows'}; raise LimitNOFILE (ulimit -n)`;
    case 'listening':
      return `${event.listener} listens on ${event.address}`;
    case 'backend-up':
    case 'backend-down':
    case 'backend-still-down':
      return verdictInWords(event);
    case 'backend-operated':
      return `${event.pool}/${event.backend} ${operatedText(event)}`;
    case 'kill-heard':
      return `an operator ends ${event.connections} flows here, told by ${event.from}`;
    case 'backend-resolved':
      return `${event.pool}/${event.backend} is at ${event.address} now`;
    case 'discovery-changed':
    case 'discovery-failed':
    case 'discovery-restored':
      return discoveryInWords(event);
    case 'access-list-read':
    case 'access-list-failed':
    case 'file-failed':
    case 'file-restored':
      return fileInWords(event);
    case 'loop-seen':
      return `${event.pool}/${event.backend} leads back to listener ${event.listener} by way of another machine: none of its connections from there was answered`;
    case 'address-left':
      return addressLeftInWords(event);
    case 'address-down':
    case 'address-up':
      return `${event.pool}/${event.backend}: its former address ${event.address}, with ${event.flows} flows, is ${event.event.slice('address-'.length)}: ${event.why}`;
    case 'pool-down':
    case 'pool-up':
      return `${event.pool} has ${event.event === 'pool-up' ? 'a backend that is up again' : 'no backend that is up'}`;
    case 'flow-ended':
      return flowInWords(event.flow);
    case 'clients-refused':
      return `${event.listener} turned away ${event.count} ${event.count === 1 ? 'client' : 'clients'}: ${event.code} (${event.client}${event.count === 1 ? '' : ' first'})`;
    case 'flows-untold':
      return `${event.count} flows ended faster than they could be logged`;
    case 'accept-paused':
      return `${event.listener} ${event.paused ? 'accepts nobody: out of descriptors' : 'accepts again'}`;
    case 'pool-fault':
    case 'listener-fault':
    case 'flow-fault':
      return faultInWords(event);
    case 'worker-died':
    case 'worker-restarted':
    case 'worker-stuck':
    case 'room-died':
    case 'room-restarted':
      return threadInWords(event);
    case 'bind-failed':
      return `${event.listener}: cannot bind ${event.address}: ${event.failure.code}`;
    case 'reloaded':
      return reloadedInWords(event);
    case 'reload-refused':
      return `the new configuration was refused, the old one stays: ${event.problems.join('; ')}`;
    case 'shutdown':
      return `shutting down: ${event.flows} flows ${timeToFinish(event.drainMs)}`;
    case 'ready':
    case 'stopped':
      return event.event;
    default:
      return clusterInWords(event) + ('times' in event && event.times > 1 ? ` (${event.times} times)` : '');
  }
}

/** What becomes of open flows at a shutdown. @param drainMs `shutdown.drain` */
export function timeToFinish(drainMs: number): string {
  return drainMs === 0 ? 'end at once' : `have ${formatDuration(drainMs)} to finish`;
}

function operatedText({
  state,
  weight,
  movesPinned,
  from,
}: Extract<ControlEvent, { event: 'backend-operated' }>): string {
  const what = {
    ready: weight === null ? 'takes new clients again' : 'takes new clients',
    drain: movesPinned
      ? 'drains: its clients move with their next connection'
      : 'drains: no new clients, pinned ones stay',
    maintenance: 'is in maintenance',
  }[state];
  const ofWeight = weight === null ? '' : `, weight ${weight}`;
  return `${what}${ofWeight}${from === 'cluster' ? ' (an order kept in the cluster)' : ''}`;
}
