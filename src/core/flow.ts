/**
 * A flow: one TCP connection, or one UDP conversation (client address + listener). The worker that accepted it
 * owns it; nobody else writes to it. The host fills in what was decided, the engine counts what was moved.
 */
import type { Address } from './address.ts';
import type { FlowPace } from './flow-pace.ts';
import type { Identity } from './identity.ts';
import type { Key } from './key.ts';
import type { Opening } from './opening.ts';
import type { UpstreamPlan } from './plan.ts';
import type { Spoken } from './routes.ts';
import type { BackendView, ListenerView, PoolView } from './snapshot.ts';
import type { TerminationCode } from './termination.ts';

/** Why this backend: by an existing pin, by the policy, or as the next one after a failed dial or an early break. */
export type ChoiceReason = 'pin' | 'policy' | 'retry' | 'fail-open';

/** One listener's flows to one backend, as far as they go back to where they came from (worker/returning-flows.ts). */
export interface ReturningWay {
  /** Open, and not answered. */
  mute: number;
  /** When one was answered last. */
  answeredAtMs: number;
  /** When it was found to be a loop, or the last flow of that loop was over; 0: it was not. */
  loopAtMs: number;
  /** What new flows are counted in since this was found to be a loop. */
  after: ReturningWay | undefined;
}

/** A pin by a key that became known when the flow had a backend already. */
export interface FurtherPin {
  readonly key: Key;
  /** The flow is counted in it. */
  holdsPin: boolean;
  /** From 1: so many of this flow have been learned. */
  readonly number: number;
  /** Datagrams the client had sent when the first of them was: what it sends later answers to its server. */
  readonly datagramsBefore: number;
}

export class Flow {
  /** Unique in its worker. */
  readonly id: number;
  readonly listener: ListenerView;
  /** Who it is: as a trusted proxy said, if one stands between. */
  readonly client: Address;
  /** The address the client used. */
  readonly local: Address;
  /** Of a UDP flow that {@link isHeard}: final when it goes on. */
  key: Key;
  /** Monotonic, milliseconds. */
  readonly startedAtMs: number;
  /**
   * What was read of it before it was opened; undefined where its listener identifies nobody, or had nothing to read. Once it is
   * routed, without what no backend is told.
   */
  identity: Identity | undefined;
  /** UDP: bytes at the beginning of the first datagram that are not for the backend. */
  consumed = 0;
  /** UDP: a proxy may say these again at the beginning of a later datagram, and they are not for the backend there either. */
  preface: Uint8Array | undefined = undefined;

  /** Host: decided. The pool and how its dials leave: the listener's, unless a route says otherwise ({@link lead}). */
  /** 0: none is known yet, or none is for it. */
  poolId: number;
  /** Empty while there is none. */
  poolName: string;
  upstream: UpstreamPlan | undefined;
  /** Where its pin is: the pool, or its group. */
  pinScope: number;
  /** The route it took, from 1; 0: none, or its listener has none. */
  routeNumber = 0;
  /** What it speaks, and whom it asks for. Undefined: it was not read. */
  spoken: Spoken | undefined = undefined;
  /** UDP: it waits until it has said where it belongs, and the host is to hear what it says. */
  isHeard = false;
  /** What this backend is to hear before the client's bytes. */
  opening: Opening | undefined = undefined;
  backend: BackendView | undefined = undefined;
  reason: ChoiceReason = 'policy';
  /** Ids of backends whose dial failed, or that broke early, for this flow. */
  failed: number[] = [];
  lastFailure: TerminationCode | undefined = undefined;
  /** A dial failed for a reason of our own, which says nothing about its backend. */
  hadLocalFault = false;
  connectedAtMs = 0;
  /** TCP: another backend may be tried if this one breaks before its first byte: the engine keeps what the client says till then. */
  keepsSaid = false;
  /** Backends that took words of the client and broke: to blame if another one answers the same words. */
  brokeBefore: BackendView[] | undefined = undefined;
  /** TCP, mute: it has been open for longer than a break says anything about its backend. */
  hasLasted = false;
  /** It was given a backend once, and is counted among those its listener has opened. */
  isCounted = false;
  /** The kernel moves its bytes, and has let it in by itself (kernel/). */
  isCarried = false;
  /** No backend could be given to it: it is counted with those that were not let in, and leaves no record. */
  isTurnedAway = false;
  /** Its place in the worker's list of open flows; -1: it is not there. */
  registryIndex = -1;
  hasReplied = false;
  /** UDP: by the connection id of QUIC that its server has chosen last; undefined: none was learned. */
  serverPin: FurtherPin | undefined = undefined;
  /** UDP: its server's answers are to be shown to the host, for the connection ids in them. */
  learnsIds = false;
  /** UDP: what it is found by when its client has another address (worker/rebinding.ts). */
  tokens: readonly string[] | undefined = undefined;
  /** UDP: where its client is now; undefined: where it was when the flow was opened, {@link client}. */
  movedTo: Address | undefined = undefined;
  /** UDP: when its client was last seen to have sent, at a visit; long before: never. */
  sentAtMs = Number.NEGATIVE_INFINITY;
  /** UDP: its client has sent for a while, and nothing was answered: an exporter and no forged source. */
  isOneWay = false;
  /** What it is counted in while it is mute. */
  returningWay: ReturningWay | undefined = undefined;
  /** Its dial might come back to this instance: the engine tells the host where it leaves from. */
  tracesDial = false;
  /** Where that is. */
  dialsFrom: Address | undefined = undefined;
  /** Where its client, and its client's network, are counted (core/client-table.ts); below 0: nowhere. */
  clientSlot = -1;
  subnetSlot = -1;
  /** UDP: asked for each datagram of the client (`isUp`) and each reply, if there is a limit. @returns false: it is to be dropped */
  mayPass: ((isUp: boolean, bytes: number) => boolean) | undefined = undefined;
  /** TCP: how fast its bytes may move; undefined: there is no limit. */
  pace: FlowPace | undefined = undefined;
  /** UDP: it has been shown that somebody is there. */
  isProved = false;
  /** It is counted in its client's pin as an open flow. */
  holdsPin = false;
  /** The backend the shared table has been asked about for its client (affinity.claim: before-dial); 0: it has not. */
  askedBackendId = 0;

  /** Engine: moved. Payload bytes and datagrams, client to backend (`In`) and back (`Out`). */
  bytesIn = 0;
  bytesOut = 0;
  datagramsIn = 0;
  datagramsOut = 0;

  /** What of the above is in the shared counters already. */
  readonly accounted = { bytesIn: 0, bytesOut: 0, datagramsIn: 0, datagramsOut: 0 };

  /** Bytes of the client that its listener has counted, and that are moved once more, to another backend. */
  bytesToRepeat = 0;

  /** The engine's own record of this flow; the host never looks inside. */
  engineState: unknown = undefined;

  constructor(
    id: number,
    listener: ListenerView,
    client: Address,
    local: Address,
    key: Key,
    nowMs: number,
    identity?: Identity,
  ) {
    this.id = id;
    this.listener = listener;
    this.client = client;
    this.local = local;
    this.key = key;
    this.startedAtMs = nowMs;
    this.identity = identity;
    this.spoken = identity?.spoken;
    this.poolId = listener.poolId;
    this.pinScope = listener.poolId;
    this.poolName = listener.plan.pool ?? '';
    this.upstream = listener.plan.upstream;
  }

  /** Who connected: the client, or the proxy that told of it. */
  get peer(): Address {
    return this.identity === undefined ? this.client : this.identity.peer;
  }

  /** The address of ours that {@link peer} used. */
  get peerLocal(): Address {
    return this.identity === undefined ? this.local : this.identity.peerLocal;
  }

  /** Its backends are those of `pool` from here on. */
  lead({ id, plan }: Pick<PoolView, 'id' | 'plan'>): void {
    this.poolId = id;
    this.poolName = plan.name;
    this.upstream = plan.upstream;
  }
}
