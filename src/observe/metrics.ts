/**
 * The metrics page, in Prometheus's text format. Nothing is counted twice: the workers' shared counters are the
 * truth, read when somebody asks. Names follow Prometheus's practice (base units, `_total`); labels are names from the
 * configuration and termination codes, so their number is bounded by the plan.
 */

import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import { bindsOf, bindsText } from '../core/binds.ts';
import type { BackendCounter } from '../core/counters.ts';
import { isInPanic } from '../core/panic.ts';
import { terminationCodes } from '../core/termination.ts';
import type { FrontState } from '../front/state.ts';
import type { SharedViews } from '../rooms/shared.ts';
import { clusterFamilies } from './cluster-metrics.ts';
import { datagramDrops } from './drops.ts';

export interface MetricsSource {
  readonly views: SharedViews;
  /** As it was asked for last: before each page. */
  readonly state: () => FrontState;
  readonly version: string;
  /** HTTP requests and connections that were refused or cut, by reason, on all pages together. */
  readonly httpRefusals: () => Readonly<Record<string, number>>;
  /** There is a cluster: without, nothing is said of one. */
  readonly isShared: boolean;
}

/** One metric family, read when the page is. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  readonly labels: readonly string[];
  readonly read: (add: (value: number, ...labels: string[]) => void) => void;
}

/** The registry of one instance; `await registry.metrics()` is the page. */
export function createMetrics(source: MetricsSource): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'pinion_' });
  for (const family of [
    ...instanceFamilies(source),
    listenerInfo(source),
    ...listenerFamilies(source),
    ...backendFamilies(source),
    ...ejectionFamilies(source),
    ...discoveryFamilies(source),
    ...accessFamilies(source),
    ...poolFamilies(source),
    ...(source.isShared ? clusterFamilies(source) : []),
  ]) {
    register(registry, family);
  }
  return registry;
}

function register(registry: Registry, family: Family): void {
  // prom-client's Counter can only be added to, and these totals already exist elsewhere: a Gauge is
  // filled at collection instead, and the page's TYPE line is set to what the numbers are.
  const gauge = new Gauge({
    name: family.name,
    help: family.help,
    labelNames: family.labels as string[],
    registers: [registry],
    collect() {
      this.reset();
      family.read((value, ...labels) => {
        if (labels.length === 0) this.set(value);
        else this.labels(...labels).set(value);
      });
    },
  });
  if (family.type === 'counter') {
    const get = gauge.get.bind(gauge);
    gauge.get = async () => ({ ...(await get()), type: 'counter' as never });
  }
}

/** A family of one number. */
function single(name: string, type: Family['type'], help: string, read: () => number): Family {
  return { name, help, type, labels: [], read: (add) => add(read()) };
}

function instanceFamilies({ views, state, version, httpRefusals }: MetricsSource): Family[] {
  const { counters } = views;
  return [
    {
      name: 'pinion_build_info',
      help: 'Always 1; the version is in the label.',
      type: 'gauge',
      labels: ['version', 'node'],
      read: (add) => add(1, version, process.versions.node),
    },
    single('pinion_ready', 'gauge', '1 when listeners are open and not draining.', () =>
      Number(state().ready),
    ),
    single('pinion_flows', 'gauge', 'Flows open now.', () => counters.flows()),
    single(
      'pinion_flows_max',
      'gauge',
      'The limit on open flows.',
      () => state().published.snapshot?.flowsMax ?? 0,
    ),
    single('pinion_workers', 'gauge', 'Worker threads.', () => state().workers),
    single('pinion_worker_restarts_total', 'counter', 'Workers that died.', () => state().workerRestarts),
    {
      name: 'pinion_room_restarts_total',
      help: 'Threads that speak with strangers (checks, cluster, front) and died.',
      type: 'counter',
      labels: ['room'],
      read: (add) => {
        for (const { room, restarts } of state().rooms) add(restarts, room);
      },
    },
    {
      name: 'pinion_http_refused_total',
      help: 'HTTP requests or connections to the metrics and admin addresses that were refused or cut.',
      type: 'counter',
      labels: ['reason'],
      read: (add) => {
        for (const [reason, count] of Object.entries(httpRefusals())) add(count, reason);
      },
    },
    single(
      'pinion_log_lines_dropped_total',
      'counter',
      'Log lines nobody took.',
      () => state().logLinesDropped,
    ),
    ...pinFamilies(views),
  ];
}

function pinFamilies({ pins }: SharedViews): Family[] {
  return [
    single('pinion_pins', 'gauge', 'Pins in the table.', () => pins.stats().live),
    single('pinion_pins_max', 'gauge', 'The limit on pins.', () => pins.stats().capacity),
    single('pinion_pin_hits_total', 'counter', 'Flows that found a pin.', () => pins.stats().hits),
    single('pinion_pin_misses_total', 'counter', 'Flows that found none.', () => pins.stats().misses),
    single('pinion_pin_claims_total', 'counter', 'Pins made.', () => pins.stats().claims),
    single('pinion_pin_moves_total', 'counter', 'Pins moved to another backend.', () => pins.stats().moves),
    single(
      'pinion_pin_evictions_total',
      'counter',
      'Pins evicted to make room for others.',
      () => pins.stats().evictions,
    ),
    single(
      'pinion_pin_refusals_total',
      'counter',
      'Pins not made or not changed, because no pin could be evicted or the table was locked.',
      () => pins.stats().notStored,
    ),
    single('pinion_pin_expiries_total', 'counter', 'Pins that expired.', () => pins.stats().expired),
  ];
}

function listenerInfo({ state }: MetricsSource): Family {
  return {
    name: 'pinion_listener_info',
    help: '1; the label has its addresses.',
    type: 'gauge',
    labels: ['listener', 'address'],
    read: (add) => {
      for (const { plan } of state().published.snapshot?.listeners ?? [])
        add(1, plan.name, bindsText(plan.protocol, bindsOf(plan)));
    },
  };
}

type ListenerFamily = (
  name: string,
  type: Family['type'],
  help: string,
  labels: readonly string[],
  read: (id: number, add: (value: number, ...labels: string[]) => void) => void,
) => Family;

/** Makes families that have values for each listener, under its name. */
function listenerFamily(state: MetricsSource['state']): ListenerFamily {
  return (name, type, help, labels, read) => ({
    name,
    help,
    type,
    labels: ['listener', ...labels],
    read: (add) => {
      for (const { id, plan } of state().published.snapshot?.listeners ?? []) {
        read(id, (value, ...more) => add(value, plan.name, ...more));
      }
    },
  });
}

function rebindFamilies(
  family: ReturnType<typeof listenerFamily>,
  counters: SharedViews['counters'],
): Family[] {
  return [
    family(
      'pinion_listener_rebinds_total',
      'counter',
      'UDP conversations whose client went on from another address.',
      [],
      (id, add) => add(counters.listener(id, 'rebinds')),
    ),
    family(
      'pinion_listener_rebind_tries_total',
      'counter',
      'UDP datagrams of unknown addresses that were given to an open conversation.',
      [],
      (id, add) => add(counters.listener(id, 'rebindTries')),
    ),
  ];
}

function listenerFamilies({ views, state }: MetricsSource): Family[] {
  const { counters } = views;
  const family = listenerFamily(state);
  const both = ['in', 'out'] as const;
  return [
    family('pinion_listener_flows', 'gauge', 'Flows open now.', [], (id, add) =>
      add(counters.listener(id, 'active')),
    ),
    family('pinion_listener_flows_total', 'counter', 'Flows a backend was chosen for.', [], (id, add) =>
      add(counters.listener(id, 'opened')),
    ),
    family(
      'pinion_listener_refused_total',
      'counter',
      'Clients turned away by a limit, or because no backend could take them.',
      [],
      (id, add) => add(counters.listener(id, 'refused')),
    ),
    family(
      'pinion_listener_bytes_total',
      'counter',
      'Payload; in is client to backend.',
      ['direction'],
      (id, add) => {
        for (const way of both) add(counters.listener(id, way === 'in' ? 'bytesIn' : 'bytesOut'), way);
      },
    ),
    family('pinion_listener_datagrams_total', 'counter', 'Datagrams relayed.', ['direction'], (id, add) => {
      for (const way of both) add(counters.listener(id, way === 'in' ? 'datagramsIn' : 'datagramsOut'), way);
    }),
    family(
      'pinion_listener_datagrams_dropped_total',
      'counter',
      'Datagrams dropped.',
      ['reason'],
      (id, add) => {
        for (const [counter, reason] of datagramDrops) add(counters.listener(id, counter), reason);
      },
    ),
    ...rebindFamilies(family, counters),
    family('pinion_listener_accept_pauses_total', 'counter', 'Times accepting stopped.', [], (id, add) =>
      add(counters.listener(id, 'acceptPauses')),
    ),
    family(
      'pinion_listener_arrivals',
      'gauge',
      'TCP clients that have connected and are being identified now.',
      [],
      (id, add) => add(counters.arriving(id)),
    ),
    family('pinion_listener_ended_total', 'counter', 'Flows by why they ended.', ['code'], (id, add) => {
      for (const code of terminationCodes) {
        const ended = counters.ends(id, code);
        if (ended > 0) add(ended, code);
      }
    }),
  ];
}

/** What workers count of each backend. */
const backendTotals: readonly (readonly [name: string, counter: BackendCounter, help: string])[] = [
  ['pinion_backend_flows_total', 'opened', 'Flows connected.'],
  ['pinion_backend_dial_failures_total', 'dialFailures', 'Dials that failed.'],
  [
    'pinion_backend_early_breaks_total',
    'earlyBreaks',
    'TCP: connections that broke before the first byte from it.',
  ],
  ['pinion_backend_unreachable_total', 'unreachable', 'UDP: port unreachable reports.'],
  ['pinion_backend_datagrams_in_total', 'datagramsIn', 'Datagrams to it.'],
  ['pinion_backend_datagrams_out_total', 'datagramsOut', 'Datagrams from it.'],
  ['pinion_backend_bytes_in_total', 'bytesIn', 'Payload to it.'],
  ['pinion_backend_bytes_out_total', 'bytesOut', 'Payload from it.'],
];

/** Makes families that have a value for each row, under the row's labels. */
function familyOf<Row>(
  rows: () => readonly Row[],
  labels: readonly string[],
  labelsOf: (row: Row) => readonly string[],
): (name: string, type: Family['type'], help: string, read: (row: Row) => number) => Family {
  return (name, type, help, read) => ({
    name,
    help,
    type,
    labels,
    read: (add) => {
      for (const row of rows()) add(read(row), ...labelsOf(row));
    },
  });
}

function backendFamilies({ views, state }: MetricsSource): Family[] {
  const { counters } = views;
  const family = familyOf(
    () => state().backends,
    ['pool', 'backend'],
    ({ pool, backend }) => [pool, backend],
  );
  return [
    family('pinion_backend_up', 'gauge', '1 when it is used.', ({ up }) => Number(up)),
    {
      name: 'pinion_backend_down',
      help: '1 for the reason why it is down.',
      type: 'gauge',
      labels: ['pool', 'backend', 'reason'],
      read: (add) => {
        for (const { pool, backend, reason } of state().backends)
          if (reason !== null) add(1, pool, backend, reason);
      },
    },
    family('pinion_backend_flaps_total', 'counter', 'Times it went down.', ({ flaps }) => flaps),
    family(
      'pinion_backend_check_seconds',
      'gauge',
      'How long its last health check took; 0: none so far.',
      ({ check }) => (check === null ? 0 : check.tookMs / 1_000),
    ),
    family('pinion_backend_draining', 'gauge', '1 when it takes no new clients.', ({ draining }) =>
      Number(draining),
    ),
    family('pinion_backend_weight', 'gauge', 'Its weight in force.', ({ id }) => views.states.weight(id)),
    family(
      'pinion_backend_tier',
      'gauge',
      'Its tier, from 1: the first gets clients first.',
      ({ tier }) => tier,
    ),
    family('pinion_backend_flows', 'gauge', 'Flows open now.', ({ id }) => counters.backend(id, 'active')),
    family(
      'pinion_backend_former_flows',
      'gauge',
      'TCP flows open now to an address it had before; counted seldom.',
      ({ former }) => former.reduce((sum, { flows }) => sum + flows, 0),
    ),
    family(
      'pinion_backend_slow_start_share',
      'gauge',
      'What a slow start leaves it of its weight, above 0 to 1; 1: all of it.',
      ({ slowStart }) => slowStart ?? 1,
    ),
    ...backendTotals.map(([name, counter, help]) =>
      family(name, 'counter', help, ({ id }) => counters.backend(id, counter)),
    ),
  ];
}

/** Backends that fail clients: those that are left out for it, and those that are not. */
function ejectionFamilies({ state }: MetricsSource): Family[] {
  const family = familyOf(
    () => state().backends,
    ['pool', 'backend'],
    ({ pool, backend }) => [pool, backend],
  );
  return [
    family(
      'pinion_backend_ejections_total',
      'counter',
      'Times it was left out because clients failed there.',
      ({ ejections }) => ejections,
    ),
    family(
      'pinion_backend_ejection_left_seconds',
      'gauge',
      'How long it is still left out for that; 0: it is not.',
      ({ ejection }) => (ejection === null ? 0 : ejection.leftMs / 1_000),
    ),
    {
      name: 'pinion_backend_ejections_spared_total',
      help: 'Times it was not left out though clients failed there.',
      type: 'counter',
      labels: ['pool', 'backend', 'for'],
      read: (add) => {
        for (const { pool, backend, ejectionsSpared } of state().backends)
          for (const [because, times] of Object.entries(ejectionsSpared)) add(times, pool, backend, because);
      },
    },
  ];
}

function poolFamilies({ views, state }: MetricsSource): Family[] {
  const family = familyOf(
    () => state().published.snapshot?.pools ?? [],
    ['pool'],
    ({ plan: { name } }) => [name],
  );
  return [
    family(
      'pinion_pool_panic',
      'gauge',
      '1 when so few backends are up that all are tried (panic_below).',
      (pool) => Number(isInPanic(pool, views.states)),
    ),
  ];
}

function accessFamilies({ state }: MetricsSource): Family[] {
  const family = familyOf(
    () => state().accessLists,
    ['file'],
    ({ file }) => [file],
  );
  return [
    family(
      'pinion_access_list_entries',
      'gauge',
      'Addresses and networks of a file of allow or deny, as it is in use.',
      ({ entries }) => entries,
    ),
    family(
      'pinion_access_list_read_timestamp_seconds',
      'gauge',
      'When the list in use was read, Unix time.',
      ({ readAt }) => Date.parse(readAt) / 1_000,
    ),
    family(
      'pinion_access_list_failures_total',
      'counter',
      'Times the file became one that cannot be used.',
      ({ failures }) => failures,
    ),
  ];
}

function discoveryFamilies({ state }: MetricsSource): Family[] {
  const family = familyOf(
    () => state().discovery,
    ['pool', 'type'],
    ({ pool, type }) => [pool, type],
  );
  return [
    family('pinion_discovery_backends', 'gauge', 'Backends found.', ({ found }) => found),
    family(
      'pinion_discovery_last_success_timestamp_seconds',
      'gauge',
      'When all that was looked for was found, Unix time; 0: never.',
      ({ lastSuccessAt }) => (lastSuccessAt === null ? 0 : Date.parse(lastSuccessAt) / 1_000),
    ),
    family('pinion_discovery_failures_total', 'counter', 'Looks that failed.', ({ failures }) => failures),
  ];
}
