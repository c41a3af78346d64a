/** The cluster's part of the metrics page; nothing of it is there without a `cluster` section. */

import type { ClusterStatus } from '../control/cluster/cluster.ts';
import type { Control } from '../control/control.ts';
import type { Family } from './metrics.ts';

const states = ['in-step', 'resyncing', 'partial', 'away', 'name-taken', 'layout-differs'] as const;

export function clusterFamilies(control: Control): Family[] {
  const { cluster } = control.sharing;
  if (cluster === undefined) return [];
  const single = (
    name: string,
    type: Family['type'],
    help: string,
    read: (status: ClusterStatus) => number,
  ): Family => ({ name, help, type, labels: [], read: (add) => add(read(cluster.status())) });
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
      for (const [key, value] of Object.entries(read(cluster.status()))) add(value, key);
    },
  });
  return [
    {
      name: 'pinion_cluster_state',
      help: '1 for the state the sharing of pins is in.',
      type: 'gauge',
      labels: ['state'],
      read: (add) => {
        for (const state of states) add(Number(cluster.state === state), state);
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
