/** The cluster's part of the metrics page; nothing of it is there without a `cluster` section. */

import type { ClusterStatus } from '../cluster/cluster.ts';
import type { Family, MetricsSource } from './metrics.ts';

const states = ['in-step', 'resyncing', 'partial', 'away', 'name-taken', 'layout-differs'] as const;

export function clusterFamilies({ state }: Pick<MetricsSource, 'state'>): Family[] {
  const { single, keyed } = builders(state);
  return [
    {
      name: 'pinion_cluster_state',
      help: '1 for the state the sharing of pins is in.',
      type: 'gauge',
      labels: ['state'],
      read: (add) => {
        const { cluster } = state();
        if (cluster === undefined) return;
        for (const one of states) add(Number(cluster.state === one), one);
      },
    },
    single('pinion_cluster_members', 'gauge', 'Instances, this one included.', (s) => s.members.length),
    single(
      'pinion_cluster_differing_digests',
      'gauge',
      'Instances with another configuration.',
      (s) => s.differingDigests,
    ),
    single('pinion_cluster_peer_flows', 'gauge', 'Flows open on the other instances.', (s) => s.peerFlows),
    single('pinion_cluster_journal', 'gauge', 'Changes that wait to be told.', (s) => s.journal),
    single(
      'pinion_cluster_journal_dropped_total',
      'counter',
      'Changes left to a comparison.',
      (s) => s.journalDropped,
    ),
    single('pinion_cluster_pins_written_total', 'counter', 'Pins told to Redis.', (s) => s.pinsWritten),
    single('pinion_cluster_pins_learned_total', 'counter', 'Pins learned from it.', (s) => s.pinsLearned),
    single('pinion_cluster_pins_ignored_total', 'counter', 'Pins of no use here.', (s) => s.pinsIgnored),
    single('pinion_cluster_gaps_total', 'counter', 'Times track of a stream was lost.', (s) => s.gaps),
    single(
      'pinion_cluster_stalls_total',
      'counter',
      'Times this process did not run for a lease.',
      (s) => s.stalls,
    ),
    single(
      'pinion_cluster_claims_waiting',
      'gauge',
      'Flows that wait for an answer.',
      (s) => s.claimsWaiting,
    ),
    keyed('pinion_cluster_claims_total', 'Answers to claim: before-dial.', 'outcome', (s) => s.claims),
    keyed('pinion_cluster_faults_total', 'Trouble with Redis, by kind.', 'fault', (s) => s.faults),
  ];
}

/** Families of one number, and of one for each word of a label. */
function builders(state: MetricsSource['state']) {
  const single = (
    name: string,
    type: Family['type'],
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
