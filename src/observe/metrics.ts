/**
 * The metrics page, in Prometheus's text format. Nothing is counted twice: the workers' shared counters are the
 * truth, read when somebody asks. Names follow Prometheus's practice (base units, `_total`); labels are names from the
 * configuration and termination codes, so their number is bounded by the plan. Node's own metrics are prom-client's.
 */

import { collectDefaultMetrics, Registry } from 'prom-client';
import type { SharedViews } from '../rooms/shared.ts';
import { backendFamilies, poolFamilies } from './backend-metrics.ts';
import { clusterFamilies } from './cluster-metrics.ts';
import { distributions, type Family, single } from './family.ts';
import { listenDropFamilies } from './listen-drops.ts';
import { listenerFamilies } from './listener-metrics.ts';
import type { MetricsSource } from './metrics-source.ts';
import { Page } from './page.ts';
import { accessFamilies, discoveryFamilies, fileFamilies } from './source-metrics.ts';

export interface MetricsPage {
  readonly contentType: string;
  /** The page as it is now. */
  metrics(): Promise<Uint8Array>;
}

export function createMetrics(source: MetricsSource): MetricsPage {
  const node = new Registry();
  collectDefaultMetrics({ register: node, prefix: 'pinion_' });
  const page = new Page(familiesOf(source));
  return {
    contentType: node.contentType,
    metrics: async () => page.bytes(`\n${await node.metrics()}`),
  };
}

/** Pinion's own families, in the order of the page. */
export function familiesOf(source: MetricsSource): Family[] {
  return [
    ...instanceFamilies(source),
    ...kernelFamilies(source),
    ...reloadFamilies(source),
    ...pinFamilies(source.views),
    ...listenerFamilies(source),
    ...listenDropFamilies(),
    ...backendFamilies(source),
    ...poolFamilies(source),
    ...discoveryFamilies(source),
    ...accessFamilies(source),
    ...fileFamilies(source),
    ...(source.isShared ? clusterFamilies(source) : []),
  ];
}

function instanceFamilies({ views, state, version, httpRefusals }: MetricsSource): Family[] {
  const { counters } = views;
  return [
    {
      name: 'pinion_build_info',
      help: 'Always 1. The labels say which version of pinion runs, and on which version of Node.',
      type: 'gauge',
      labels: ['version', 'node'],
      read: (add) => add(1, version, process.versions.node),
    },
    single(
      'pinion_ready',
      'gauge',
      '1 while clients are accepted; 0 while pinion starts, stops, or reads the shared pins.',
      () => Number(state().ready),
    ),
    single('pinion_flows', 'gauge', 'TCP connections and UDP conversations that are open now.', () =>
      counters.flows(),
    ),
    single(
      'pinion_flows_max',
      'gauge',
      'The most flows that may be open at once (limits.flows, or what the descriptor limit allows).',
      () => state().published.snapshot?.flowsMax ?? 0,
    ),
    single('pinion_workers', 'gauge', 'Worker threads that serve clients.', () => state().workers),
    single(
      'pinion_worker_restarts_total',
      'counter',
      'Times a worker thread died, with its flows, and was started again.',
      () => state().workerRestarts,
    ),
    distributions(
      () => Array.from({ length: counters.shared.workers }, (_, worker) => worker),
      'worker',
      String,
    )(
      'pinion_worker_loop_lag_seconds',
      'How long events waited because the worker was busy with other ones: the longest turn of its loop in each 50 ms.',
      (worker) => counters.histograms.readOf(worker, 'turn', 0),
    ),
    {
      name: 'pinion_room_restarts_total',
      help: 'Times a thread that speaks with Redis (cluster), with HTTP clients (front) or with checked backends (checks) died and was started again. Flows are not affected.',
      type: 'counter',
      labels: ['room'],
      read: (add) => {
        for (const { room, restarts } of state().rooms) add(restarts, room);
      },
    },
    {
      name: 'pinion_http_refused_total',
      help: 'HTTP requests and connections to metrics.listen and admin.listen that were refused or cut, by reason.',
      type: 'counter',
      labels: ['reason'],
      read: (add) => {
        for (const [reason, count] of Object.entries(httpRefusals())) add(count, reason);
      },
    },
    single(
      'pinion_log_lines_dropped_total',
      'counter',
      'Lines of the log that were lost because its reader was too slow or gone, or the disk was full.',
      () => state().logLinesDropped,
    ),
  ];
}

/** Of `relay: kernel`. */
function kernelFamilies({ views: { counters } }: MetricsSource): Family[] {
  return [
    single(
      'pinion_kernel_events_lost_total',
      'counter',
      'Times connections of relay: kernel came and went faster than they could be followed. Those that were open then were listed anew; some may have come and gone uncounted.',
      () => counters.instance('kernelEventLosses'),
    ),
    single(
      'pinion_kernel_drops_total',
      'counter',
      'Packets that the kernel has dropped since the start because its table of connections was full (nf_conntrack_max), those of other programs included. Counted with relay: kernel alone.',
      () => counters.instance('kernelDrops'),
    ),
  ];
}

function reloadFamilies({ state }: MetricsSource): Family[] {
  return [
    {
      name: 'pinion_config_info',
      help: 'Always 1. The label is the digest of the configuration in use: equal on instances that are configured alike.',
      type: 'gauge',
      labels: ['digest'],
      read: (add) => add(1, state().digest),
    },
    {
      name: 'pinion_reloads_total',
      help: 'Reloads by result: applied, or refused because the new configuration was wrong; the old one stays then.',
      type: 'counter',
      labels: ['result'],
      read: (add) => {
        const { applied, refused } = state().reloads;
        add(applied, 'applied');
        add(refused, 'refused');
      },
    },
    single(
      'pinion_reload_last_successful',
      'gauge',
      '1 when the last reload was applied, or none was asked for; 0 when it was refused.',
      () => Number(!state().reloads.lastRefused),
    ),
    single(
      'pinion_config_applied_timestamp_seconds',
      'gauge',
      'When the configuration in use was applied, Unix time: at the start, or by a reload.',
      () => Date.parse(state().reloads.appliedAt ?? state().startedAt) / 1_000,
    ),
  ];
}

function pinFamilies({ pins }: SharedViews): Family[] {
  return [
    single('pinion_pins', 'gauge', 'Clients whose backend is remembered now.', () => pins.stats().live),
    single(
      'pinion_pins_max',
      'gauge',
      'The most clients whose backend can be remembered (limits.pins).',
      () => pins.stats().capacity,
    ),
    single('pinion_pin_hits_total', 'counter', 'New flows whose client had a pin.', () => pins.stats().hits),
    single(
      'pinion_pin_misses_total',
      'counter',
      'New flows whose client had no pin, so that the policy chose the backend.',
      () => pins.stats().misses,
    ),
    single(
      'pinion_pin_claims_total',
      'counter',
      'Pins made for clients that had none.',
      () => pins.stats().claims,
    ),
    single(
      'pinion_pin_moves_total',
      'counter',
      'Pins changed to another backend, because theirs was down or an operator moved them.',
      () => pins.stats().moves,
    ),
    single(
      'pinion_pin_evictions_total',
      'counter',
      'Pins of clients that had left, evicted because the table was full.',
      () => pins.stats().evictions,
    ),
    single(
      'pinion_pin_refusals_total',
      'counter',
      'Pins not made or not changed, because no pin could be evicted or the table was locked. Their clients are served without a pin.',
      () => pins.stats().notStored,
    ),
    single(
      'pinion_pin_expiries_total',
      'counter',
      'Pins that ended because their client did not come back within the time to live.',
      () => pins.stats().expired,
    ),
  ];
}
