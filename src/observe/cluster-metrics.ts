/** The cluster's part of the metrics page; nothing of it is there without a `cluster` section. */

import type { ClusterStatus } from '../cluster/cluster.ts';
import type { Family, NumberType } from './family.ts';
import type { MetricsSource } from './metrics-source.ts';

const states = ['in-step', 'resyncing', 'partial', 'away', 'name-taken', 'layout-differs'] as const;

export function clusterFamilies({ state }: Pick<MetricsSource, 'state'>): Family[] {
  const { single, keyed } = builders(state);
  return [
    {
      name: 'pinion_cluster_state',
      help: '1 for the state that the sharing of pins is in, 0 for the others.',
      type: 'gauge',
      labels: ['state'],
      read: (add) => {
        const { cluster } = state();
        if (cluster === undefined) return;
        for (const one of states) add(Number(cluster.state === one), one);
      },
    },
    single(
      'pinion_cluster_members',
      'gauge',
      'Instances of the cluster that live, this one included.',
      (s) => s.members.length,
    ),
    single(
      'pinion_cluster_differing_digests',
      'gauge',
      'Other instances whose configuration differs from that of this one.',
      (s) => s.differingDigests,
    ),
    single(
      'pinion_cluster_peer_flows',
      'gauge',
      'Flows that are open on the other instances.',
      (s) => s.peerFlows,
    ),
    single(
      'pinion_cluster_journal',
      'gauge',
      'Changes of pins that are not written to Redis yet.',
      (s) => s.journal,
    ),
    single(
      'pinion_cluster_journal_dropped_total',
      'counter',
      'Changes of pins that did not fit into the journal; they are found and written by a full comparison with Redis.',
      (s) => s.journalDropped,
    ),
    ...pinFamilies(single),
    single(
      'pinion_cluster_stalls_total',
      'counter',
      'Times this process did not run for as long as its lease (a stopped or suspended machine).',
      (s) => s.stalls,
    ),
    single(
      'pinion_cluster_claims_waiting',
      'gauge',
      'Flows that wait for an answer of Redis (affinity.claim: before-dial).',
      (s) => s.claimsWaiting,
    ),
    keyed(
      'pinion_cluster_claims_total',
      'Questions to Redis before a dial (affinity.claim: before-dial), by outcome.',
      'outcome',
      (s) => s.claims,
    ),
    keyed('pinion_cluster_faults_total', 'Failures of Redis, by kind.', 'fault', (s) => s.faults),
  ];
}

function pinFamilies(single: ReturnType<typeof builders>['single']): Family[] {
  return [
    single(
      'pinion_cluster_pins_written_total',
      'counter',
      'Pins written to Redis, prolonged or removed there.',
      (s) => s.pinsWritten,
    ),
    single(
      'pinion_cluster_pins_learned_total',
      'counter',
      'Pins of other instances that were read from Redis and put into the table.',
      (s) => s.pinsLearned,
    ),
    single(
      'pinion_cluster_pins_ignored_total',
      'counter',
      'Pins read from Redis and ignored, because their pool or backend is unknown here.',
      (s) => s.pinsIgnored,
    ),
    single(
      'pinion_cluster_gaps_total',
      'counter',
      'Times a stream of changes in Redis had lost entries, so that all pins of a shard were read again.',
      (s) => s.gaps,
    ),
  ];
}

/** Families of one number, and of one for each word of a label. */
function builders(state: MetricsSource['state']) {
  const single = (
    name: string,
    type: NumberType,
    help: string,
    read: (status: ClusterStatus) => number,
  ): Family => ({
    name,
    help,
    type,
    labels: [],
    read: (add) => {
      const { cluster } = state();
      if (cluster !== undefined) add(read(cluster));
    },
  });
  const keyed = (
    name: string,
    help: string,
    label: string,
    read: (status: ClusterStatus) => Readonly<Record<string, number>>,
  ): Family => ({
    name,
    help,
    type: 'counter',
    labels: [label],
    read: (add) => {
      const { cluster } = state();
      if (cluster === undefined) return;
      for (const [key, value] of Object.entries(read(cluster))) add(value, key);
    },
  });
  return { single, keyed };
}
