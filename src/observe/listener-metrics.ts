/** What the metrics page says of listeners. */
import { bindsOf, bindsText } from '../core/binds.ts';
import type { ListenerView } from '../core/snapshot.ts';
import { terminationCodes } from '../core/termination.ts';
import { datagramDrops } from './drops.ts';
import { distributions, type Family, type NumberType } from './family.ts';
import type { MetricsSource } from './metrics-source.ts';

const both = [
  ['bytesIn', 'datagramsIn', 'in'],
  ['bytesOut', 'datagramsOut', 'out'],
] as const;

type ListenerFamily = (
  name: string,
  type: NumberType,
  help: string,
  labels: readonly string[],
  read: (view: ListenerView, add: (value: number, ...labels: string[]) => void) => void,
) => Family;

export function listenerFamilies({ views, state }: MetricsSource): Family[] {
  const { counters } = views;
  const kept = new WeakMap<readonly ListenerView[], readonly ListenerView[]>();
  const listeners = (): readonly ListenerView[] => {
    const all = state().published.snapshot?.listeners ?? [];
    const rows = kept.get(all) ?? onePerName(all);
    kept.set(all, rows);
    return rows;
  };
  const family: ListenerFamily = (name, type, help, labels, read) => ({
    name,
    help,
    type,
    labels: ['listener', ...labels],
    read: (add) => {
      for (const view of listeners()) read(view, (value, ...more) => add(value, view.plan.name, ...more));
    },
  });
  return [
    family(
      'pinion_listener_info',
      'gauge',
      'Always 1. The label has the addresses of the listener, a range as one: udp://0.0.0.0:7000-7099.',
      ['address'],
      ({ plan }, add) => add(1, bindsText(plan.protocol, bindsOf(plan))),
    ),
    ...flowFamilies(family, counters),
    distributions(listeners, 'listener', ({ plan }) => plan.name)(
      'pinion_listener_flow_duration_seconds',
      'How long flows that have ended were open, from the arrival of the client.',
      ({ id }) => counters.histograms.read('flow', id),
    ),
    ...datagramFamilies(family, counters),
  ];
}

/**
 * While a reload opens a listener at another address there are two of its name, and the one that has clients comes first. Two lines of
 * one series are a fault to Prometheus.
 */
function onePerName(listeners: readonly ListenerView[]): readonly ListenerView[] {
  const first = new Map<string, ListenerView>();
  for (const view of listeners) if (!first.has(view.plan.name)) first.set(view.plan.name, view);
  return [...first.values()];
}

function flowFamilies(family: ListenerFamily, counters: MetricsSource['views']['counters']): Family[] {
  return [
    family('pinion_listener_flows', 'gauge', 'Flows of the listener that are open now.', [], ({ id }, add) =>
      add(counters.listener(id, 'active')),
    ),
    family(
      'pinion_listener_flows_total',
      'counter',
      'Flows for which a backend was chosen.',
      [],
      ({ id }, add) => add(counters.listener(id, 'opened')),
    ),
    family(
      'pinion_listener_refused_total',
      'counter',
      'Clients turned away, by a limit, by allow or deny, or because no backend could take them.',
      [],
      ({ id }, add) => add(counters.listener(id, 'refused')),
    ),
    family(
      'pinion_listener_ended_total',
      'counter',
      'Flows that ended and clients that were turned away, by termination code.',
      ['code'],
      ({ id }, add) => {
        for (const code of terminationCodes) {
          const ended = counters.ends(id, code);
          if (ended > 0) add(ended, code);
        }
      },
    ),
    family(
      'pinion_listener_bytes_total',
      'counter',
      'Payload bytes relayed; direction in is from the client to the backend.',
      ['direction'],
      ({ id }, add) => {
        for (const [bytes, , direction] of both) add(counters.listener(id, bytes), direction);
      },
    ),
    family(
      'pinion_listener_arrivals',
      'gauge',
      'TCP clients that are connected and being identified (PROXY header, server name), and have no flow yet.',
      [],
      ({ id }, add) => add(counters.arriving(id)),
    ),
    family(
      'pinion_listener_accept_pauses_total',
      'counter',
      'Times the listener stopped accepting for a moment because the process had no descriptor left.',
      [],
      ({ id }, add) => add(counters.listener(id, 'acceptPauses')),
    ),
  ];
}

function datagramFamilies(family: ListenerFamily, counters: MetricsSource['views']['counters']): Family[] {
  return [
    family(
      'pinion_listener_datagrams_total',
      'counter',
      'UDP datagrams relayed; direction in is from the client to the backend.',
      ['direction'],
      ({ id }, add) => {
        for (const [, datagrams, direction] of both) add(counters.listener(id, datagrams), direction);
      },
    ),
    family(
      'pinion_listener_datagrams_dropped_total',
      'counter',
      'UDP datagrams dropped, by reason; receive-buffer-full and backend-receive-buffer-full are drops of the kernel at the sockets of pinion.',
      ['reason'],
      ({ id }, add) => {
        for (const [counter, reason] of datagramDrops) add(counters.listener(id, counter), reason);
      },
    ),
    family(
      'pinion_listener_rebinds_total',
      'counter',
      'UDP conversations that went on after the address of their client had changed.',
      [],
      ({ id }, add) => add(counters.listener(id, 'rebinds')),
    ),
    family(
      'pinion_listener_rebind_tries_total',
      'counter',
      'UDP datagrams from unknown addresses that were given to an open conversation because of the token in them.',
      [],
      ({ id }, add) => add(counters.listener(id, 'rebindTries')),
    ),
  ];
}
