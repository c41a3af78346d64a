/**
 * The snapshot: what the data plane may know now. Control makes one from the plan whenever listeners or pools
 * change and posts it whole to every worker; a worker swaps it in one assignment. What changes faster (a
 * backend's state, counts, pins) is in shared memory, in rows named by the ids here. Ids are given once for a
 * name and kept for the life of the process, so a row never changes its meaning.
 */
import type { AccessView } from './access.ts';
import type { FlowLog } from './flow-log.ts';
import type { Bind, ListenerPlan, PoolPlan } from './plan.ts';
import type { ListeningAddress } from './server-addresses.ts';
import type { FlowShares } from './shares.ts';

export interface BackendView {
  /** Row in the shared backend tables. From 1: 0 is "none". */
  readonly id: number;
  /** The value a pin holds, where the pool's pins are those of a group. Absent: its id. */
  readonly pinId?: number;
  readonly name: string;
  /** Resolved: never a host name. Undefined while a name has not been resolved; such a backend is down. */
  readonly target: Bind | undefined;
  /**
   * `leads-back`: its address is a listener of this instance that leads back to where its flows come in, and is left out.
   * `may-lead-back`: it has the port of one, so its dials are kept track of. Absent: neither.
   */
  readonly loop?: 'leads-back' | 'may-lead-back' | undefined;
  /** `address` as configured, the text hash policies use with `identity: address`. */
  readonly addressText: string;
  readonly weight: number;
  readonly maxConnections: number;
  /** Its place in the order of tiers (core/tiers.ts), from 0, as this instance sees it. Absent: 0. */
  readonly tier?: number;
  /** Only for when nobody else can serve. Absent: no. */
  readonly isBackup?: boolean;
}

/** Where the pins of a pool are that belongs to a group (core/pin-scopes.ts). */
export interface PinScope {
  /** Among those of pools. */
  readonly id: number;
  /** `@` and the group's name. */
  readonly name: string;
  /** What pins hold for backends that other pools of the group have, and this one has not. */
  readonly elsewhere: readonly number[];
}

export interface PoolView {
  /** Row, and where its pins are unless it has a `scope`. From 1. */
  readonly id: number;
  /** Changes when anything below does; an equal version means an equal pool. */
  readonly version: number;
  readonly plan: Omit<PoolPlan, 'backends'>;
  readonly backends: readonly BackendView[];
  readonly scope?: PinScope;
}

export interface ListenerView {
  /** Row in the shared listener counters. From 0. */
  readonly id: number;
  readonly plan: ListenerPlan;
  /** Of `plan.pool`; 0: it has none. */
  readonly poolId: number;
  /** With routes: of all pools that serve it. */
  readonly poolIds?: readonly number[];
  /** Something has to be read of a client before it is known who it is or where it belongs. Absent: no. */
  readonly identifies?: boolean;
  /** Who may come in; absent: everybody. */
  readonly access?: AccessView;
  /** UDP: an open conversation may be that of a datagram whose sender has none. Absent: no. */
  readonly rebinds?: boolean;
  /** UDP: in each datagram of some senders something stands before the client's bytes that says whose it is. Absent: no. */
  readonly hasPrefaces?: boolean;
}

export interface Snapshot {
  readonly generation: number;
  readonly listeners: readonly ListenerView[];
  readonly pools: readonly PoolView[];
  readonly flowsMax: number;
  /** TCP clients of one worker that found a limit reached and may wait for a second look. */
  readonly secondLooksMax: number;
  /** TCP clients that one worker may be identifying at once. */
  readonly arrivalsMax: number;
  /** How they are shared out among the listeners. */
  readonly shares: FlowShares;
  /** Pins are shared with other instances: `claim: before-dial` has somebody to ask. */
  readonly isShared: boolean;
  /** Finished flows that are reported. */
  readonly flowLog: FlowLog;
  /** This machine's addresses, as far as control can list them. */
  readonly machineIps: readonly string[];
  /** Where the other instances of the cluster listen. */
  readonly memberListeners: readonly ListeningAddress[];
  /** IPs of their hosts. */
  readonly memberIps: readonly string[];
}
