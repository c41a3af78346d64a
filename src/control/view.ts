/**
 * What others may know of control: plain data, made when somebody asks. Pages, metrics and the command see this and never
 * {@link Control} itself, which they could change. What changes from flow to flow is in shared memory, which they read by themselves.
 */
import type { ClusterStatus } from '../cluster/cluster.ts';
import type { RoomStatus } from '../rooms/client.ts';
import type { AccessListStatus } from './access-lists.ts';
import type { BackendStatus } from './backend-status.ts';
import type { Control } from './control.ts';
import type { DiscoveryStatus } from './discovery/discovery.ts';
import type { UnusableFile } from './unusable-files.ts';

/** An open flow, as its worker lists it. */
export type { FlowRecord } from '../worker/messages-from-worker.ts';

export interface ControlView {
  /** ISO 8601. */
  readonly startedAt: string;
  /** Listeners are open and it does not drain. */
  readonly ready: boolean;
  /** It ends: who is connected may finish, nobody new comes in. */
  readonly draining: boolean;
  /** The configuration file. */
  readonly source: string;
  readonly digest: string;
  readonly engine: string;
  readonly engineWhy: string;
  readonly workers: number;
  readonly workerRestarts: number;
  readonly rooms: readonly RoomStatus[];
  readonly backends: readonly BackendStatus[];
  readonly discovery: readonly DiscoveryStatus[];
  readonly accessLists: readonly AccessListStatus[];
  readonly files: { readonly failures: number; readonly unusable: readonly UnusableFile[] };
  readonly cluster: ClusterStatus | undefined;
  /** The instances pins were learned from, by their numbers in the table. */
  readonly writers: readonly string[];
}

export function viewOf(control: Control): ControlView {
  const { plan, cluster } = control;
  return {
    startedAt: control.startedAt.toISOString(),
    ready: control.ready,
    draining: control.draining,
    source: plan.source,
    digest: plan.digest,
    ...control.engine,
    workers: control.workerCountNow,
    workerRestarts: control.workerRestarts,
    rooms: control.rooms.status(),
    backends: control.backends.status(),
    discovery: control.discovery.status(),
    accessLists: control.access.status(),
    files: { failures: control.rooms.files.failures, unusable: control.rooms.files.list() },
    cluster: cluster?.status(),
    writers: cluster?.writers ?? [''],
  };
}
