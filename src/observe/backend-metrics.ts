/** What the metrics page says of pools and their backends. */
import type { BackendCounter } from '../core/counters.ts';
import { isInPanic } from '../core/panic.ts';
import type { FrontState } from '../front/state.ts';
import { distributions, type Family, familyOf, type RowLabels } from './family.ts';
import type { MetricsSource } from './metrics-source.ts';

/** What workers count of each backend. */
const backendTotals: readonly (readonly [name: string, counter: BackendCounter, help: string])[] = [
  ['pinion_backend_flows_total', 'opened', 'Flows connected to the backend.'],
  [
    'pinion_backend_dial_failures_total',
    'dialFailures',
    'TCP connections to the backend that could not be made: refused, timed out or unreachable.',
  ],
  [
    'pinion_backend_early_breaks_total',
    'earlyBreaks',
    'TCP connections that the backend broke before its first byte, within timeouts.connect. Most of their clients were served by another backend (retry_on).',
  ],
  [
    'pinion_backend_unreachable_total',
    'unreachable',
    'UDP: ICMP messages that said that nothing listens on the port of the backend.',
  ],
  ['pinion_backend_datagrams_in_total', 'datagramsIn', 'UDP datagrams sent to the backend.'],
  ['pinion_backend_datagrams_out_total', 'datagramsOut', 'UDP datagrams received from the backend.'],
  ['pinion_backend_bytes_in_total', 'bytesIn', 'Payload bytes sent to the backend.'],
  ['pinion_backend_bytes_out_total', 'bytesOut', 'Payload bytes received from the backend.'],
];

type Row = FrontState['backends'][number];
type BackendFamily = ReturnType<typeof familyOf<Row>>;
const backendLabels: RowLabels<Row> = { pool: ({ pool }) => pool, backend: ({ backend }) => backend };

export function backendFamilies({ views, state }: MetricsSource): Family[] {
  const { counters } = views;
  const family: BackendFamily = familyOf(() => state().backends, backendLabels);
  return [
    family('pinion_backend_up', 'gauge', '1 while the backend is up, and may be given clients.', ({ up }) =>
      Number(up),
    ),
    {
      name: 'pinion_backend_down',
      help: '1 for the reason why the backend is down; a backend that is up has no such line.',
      type: 'gauge',
      labels: ['pool', 'backend', 'reason'],
      read: (add) => {
        for (const { pool, backend, reason } of state().backends)
          if (reason !== null) add(1, pool, backend, reason);
      },
    },
    family('pinion_backend_flaps_total', 'counter', 'Times the backend went down.', ({ flaps }) => flaps),
    family(
      'pinion_backend_check_seconds',
      'gauge',
      'How long the last health check of the backend took; 0: none has ended so far.',
      ({ check }) => (check === null ? 0 : check.tookMs / 1_000),
    ),
    family(
      'pinion_backend_draining',
      'gauge',
      '1 while an operator drains the backend: it gets no new clients.',
      ({ draining }) => Number(draining),
    ),
    family(
      'pinion_backend_weight',
      'gauge',
      "The weight in force: an operator's, or the file's, of which a slow start and the backend's check may leave a part.",
      ({ id }) => views.states.weight(id),
    ),
    family(
      'pinion_backend_tier',
      'gauge',
      'The tier of the backend, from 1: clients go to the lowest tier that can take them (backup, priority, zone).',
      ({ tier }) => tier,
    ),
    family('pinion_backend_flows', 'gauge', 'Flows to the backend that are open now.', ({ id }) =>
      counters.backend(id, 'active'),
    ),
    family(
      'pinion_backend_former_flows',
      'gauge',
      'TCP flows open now to an address that the backend had before; counted every few seconds.',
      ({ former }) => former.reduce((sum, { flows }) => sum + flows, 0),
    ),
    family(
      'pinion_backend_slow_start_share',
      'gauge',
      'The part of its weight that a slow start leaves the backend, above 0 to 1; 1: all of it.',
      ({ slowStart }) => slowStart ?? 1,
    ),
    ...backendTotals.map(([name, counter, help]) =>
      family(name, 'counter', help, ({ id }) => counters.backend(id, counter)),
    ),
    ...ejectionFamilies(state, family),
  ];
}

/** Backends that fail clients: those that are left out for it, and those that are not. */
function ejectionFamilies(state: MetricsSource['state'], family: BackendFamily): Family[] {
  const spared = familyOf(() => state().backends, backendLabels, { name: 'for', words: ['last', 'share'] });
  return [
    family(
      'pinion_backend_ejections_total',
      'counter',
      'Times the backend was ejected: left out for a while because clients failed there.',
      ({ ejections }) => ejections,
    ),
    family(
      'pinion_backend_ejection_left_seconds',
      'gauge',
      'How long the backend is still ejected; 0: it is not.',
      ({ ejection }) => (ejection === null ? 0 : ejection.leftMs / 1_000),
    ),
    spared(
      'pinion_backend_ejections_spared_total',
      'counter',
      'Times the backend was not ejected though clients failed there; the label for says why: last (nobody else can take new clients) or share (max_ejected of the pool are ejected already).',
      ({ ejectionsSpared }, because) => ejectionsSpared[because],
    ),
  ];
}

export function poolFamilies({ views, state }: MetricsSource): Family[] {
  const pools = () => state().published.snapshot?.pools ?? [];
  const { histograms } = views.counters;
  const distribution = distributions(pools, 'pool', ({ plan: { name } }) => name);
  return [
    familyOf(pools, { pool: ({ plan: { name } }) => name })(
      'pinion_pool_panic',
      'gauge',
      '1 while so few backends of the pool are up that clients are sent to all of them (panic_below).',
      (pool) => Number(isInPanic(pool, views.states)),
    ),
    distribution(
      'pinion_pool_connect_seconds',
      'TCP: from the arrival of a client until a backend of the pool had accepted the connection, further tries included.',
      ({ id }) => histograms.read('connect', id),
    ),
    distribution(
      'pinion_pool_check_seconds',
      'How long health checks of the backends of the pool took; one that was not answered took its timeout.',
      ({ id }) => histograms.read('check', id),
    ),
  ];
}
