/**
 * What the front room shows of control: plain data, made when a page asks for it. What changes from flow to flow is
 * not in here but in shared memory, which the room reads by itself.
 */

import type { ClusterStatus } from '../cluster/cluster.ts';
import type { AccessListStatus } from '../control/access-lists.ts';
import type { BackendStatus } from '../control/backends.ts';
import type { DiscoveryStatus } from '../control/discovery/discovery.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { NamesTable } from '../pins/names-table.ts';
import type { RoomStatus } from '../rooms/client.ts';

export interface FrontState {
  /** ISO 8601. */
  readonly startedAt: string;
  /** Listeners are open and it does not drain. */
  readonly ready: boolean;
  /** The configuration file. */
  readonly source: string;
  readonly digest: string;
  readonly workers: number;
  readonly workerRestarts: number;
  readonly logLinesDropped: number;
  readonly rooms: readonly RoomStatus[];
  readonly backends: readonly BackendStatus[];
  readonly discovery: readonly DiscoveryStatus[];
  readonly accessLists: readonly AccessListStatus[];
  readonly cluster: ClusterStatus | undefined;
  /** The instances pins were learned from, by their numbers in the table. */
  readonly writers: readonly string[];
  /** This instance among the others; its host without a cluster. */
  readonly instance: string;
  readonly published: Published;
}

/** What the workers know: as large as the configuration, so it is sent when it is another one. */
export interface Published {
  /** Grows with each one; 0: nothing is published yet. */
  readonly generation: number;
  readonly snapshot: Snapshot | undefined;
  readonly names: NamesTable;
}

/** A state as it is sent: without what the room has already. */
export interface SentState extends Omit<FrontState, 'published'> {
  /** undefined: as the asker has it. */
  readonly published: Published | undefined;
}
