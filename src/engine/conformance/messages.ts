/**
 * What the conformance stories say to the engine under test and what comes back. The engine lives in another
 * process (process.ts) and there in a worker thread (worker.ts), because one engine blocks its thread and because
 * descriptors, memory and limits are then the engine's alone. Everything here is plain JSON.
 */
import type { Bind } from '../../core/plan.ts';
import type { BackendView, ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import type { Hearing } from '../arrival.ts';
import type { DialFailure, DropReason, EarlyBreak } from '../engine.ts';

/** One answer of `host.route`. */
export type RouteStep = BackendView | 'wait' | TerminationCode;

/** How the scripted host answers, for flows opened from now on. */
export interface Behaviour {
  /** `host.open` turns everybody away with this. */
  readonly refuse?: TerminationCode;
  /** The answers of `host.route` for one flow, in order; then `no-backend`. */
  readonly routes: readonly RouteStep[];
  /** TCP: clients of a listener that identifies tell who they are (identifier.ts); absent: nothing is read of them. */
  readonly identify?: {
    readonly bytesMax?: number;
    readonly timeoutMs?: number;
    /** Whoever has told nothing by then is opened all the same. */
    readonly opensWhen?: readonly Hearing[];
  };
  /** UDP: so many bytes of a first datagram are not for the backend. */
  readonly consumes?: number;
  /** UDP: so many replies of each flow are shown to the host. */
  readonly learns?: number;
  /** UDP: and proxies may say these again at the beginning of later datagrams. */
  readonly repeats?: boolean;
  /** UDP: the host hears what a flow that waits is told, until it is told this, upon which it calls `engine.proceed`. */
  readonly hearsUntil?: string;
  /** What each backend hears first, and has to answer. */
  readonly opening?: { readonly send: string; readonly expect?: string; readonly isInEach?: boolean };
  /** A connection that breaks early is tried again with the next route. */
  readonly retries?: boolean;
  /** The host calls `engine.terminate` with this code from inside the named call. */
  readonly terminateIn?: {
    readonly call: 'dialed' | 'replied' | 'unreachable' | 'dialFailed' | 'brokeEarly';
    readonly code: TerminationCode;
  };
  /** The host calls `engine.proceed` for this flow from inside `replied`. */
  readonly proceedInReplied?: number;
  /** The host has a defect: it throws inside this call. */
  readonly throwIn?:
    | 'open'
    | 'route'
    | 'first dialsFrom'
    | 'later dialsFrom'
    | 'dialed'
    | 'replied'
    | 'brokeEarly';
}

/** What the suite may ask of any engine's constructor. */
export interface StartOptions {
  readonly conversationsMax?: number;
  /** The kernel's relay, which needs a table of nftables of its own, and ports, as it binds none: this one and those above it. */
  readonly kernel?: { readonly table: string; readonly firstPort: number };
}

export type ToEngine =
  | { readonly type: 'start'; readonly options: StartOptions }
  | { readonly type: 'behave'; readonly behaviour: Behaviour }
  | { readonly type: 'listen'; readonly listener: ListenerView; readonly door?: string }
  | { readonly type: 'limit-arrivals'; readonly count: number }
  | { readonly type: 'update'; readonly listener: ListenerView }
  | {
      readonly type: 'unlisten';
      readonly listenerId: number;
      readonly code?: 'shutdown';
      readonly doors?: readonly string[];
    }
  /** The backend of this id is somewhere else now. */
  | { readonly type: 'move'; readonly backend: BackendView }
  | { readonly type: 'proceed'; readonly flowId: number }
  | { readonly type: 'abandon-dial'; readonly flowId: number }
  | { readonly type: 'terminate'; readonly flowId: number; readonly code: TerminationCode }
  | { readonly type: 'trust'; readonly flowId: number }
  | { readonly type: 'stop' }
  /** Answered with `synced` when everything said before has been done. */
  | { readonly type: 'sync'; readonly round: number };

export interface Opened {
  readonly type: 'opened';
  readonly flowId: number;
  readonly listenerId: number;
  readonly listenerName: string;
  /** `127.0.0.1:4711`, `[::1]:4711`. */
  readonly client: string;
  readonly clientFamily: 4 | 6;
  readonly local: string;
  /** Who connected. */
  readonly peer: string;
  /** UDP: the first datagram, if the listener identifies. */
  readonly first: string | undefined;
}

export interface Closed {
  readonly type: 'closed';
  readonly flowId: number;
  readonly code: TerminationCode;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly datagramsIn: number;
  readonly datagramsOut: number;
}

export type FromEngine =
  /** Modules are loaded, no engine exists yet. */
  | { readonly type: 'loaded' }
  /** `wakeDescriptor`: an eventfd that wakes an engine which blocks its thread; written after every message. */
  | { readonly type: 'started'; readonly wakeDescriptor: number | undefined }
  | { readonly type: 'stopped' }
  | { readonly type: 'synced'; readonly round: number }
  /** UDP: the host was told of a datagram of a flow that waits. */
  | { readonly type: 'heard'; readonly flowId: number; readonly text: string }
  | {
      readonly type: 'listening';
      readonly listenerId: number;
      readonly port: number;
      readonly door?: string | undefined;
    }
  | {
      readonly type: 'bind-failed';
      readonly listenerId: number;
      readonly code: string;
      readonly message: string;
    }
  | Opened
  | { readonly type: 'identifying'; readonly listenerId: number; readonly peer: string }
  | {
      readonly type: 'unidentified';
      readonly listenerId: number;
      readonly peer: string;
      readonly code: TerminationCode;
    }
  | { readonly type: 'moved'; readonly flowId: number; readonly client: string }
  | { readonly type: 'answered'; readonly flowId: number; readonly text: string }
  | { readonly type: 'refused'; readonly listenerId: number; readonly code: TerminationCode }
  | { readonly type: 'waiting'; readonly flowId: number }
  | { readonly type: 'dialing'; readonly flowId: number; readonly backend: string }
  | { readonly type: 'dials-from'; readonly flowId: number; readonly local: string }
  | { readonly type: 'dialed'; readonly flowId: number; readonly backend: string }
  | {
      readonly type: 'dial-failed';
      readonly flowId: number;
      readonly backend: string;
      readonly failure: DialFailure;
    }
  | {
      readonly type: 'broke-early';
      readonly flowId: number;
      readonly backend: string;
      readonly how: EarlyBreak;
      readonly isHeld: boolean;
    }
  | { readonly type: 'replied'; readonly flowId: number }
  | { readonly type: 'proved'; readonly flowId: number }
  | { readonly type: 'unreachable'; readonly flowId: number }
  | Closed
  | {
      readonly type: 'dropped';
      readonly listenerId: number;
      readonly reason: DropReason;
      readonly count: number;
    }
  | { readonly type: 'accept-paused'; readonly listenerId: number; readonly paused: boolean }
  | {
      readonly type: 'trouble';
      readonly listenerId: number;
      readonly of: 'listener' | 'pool';
      readonly text: string;
    }
  | { readonly type: 'fault'; readonly flowId: number | undefined; readonly message: string }
  /** The contract of engine.ts was broken. Any of these fails the story. */
  | { readonly type: 'violation'; readonly text: string };

/** A loopback bind on a port the kernel picks. */
export function loopback(ip = '127.0.0.1', port = 0): Bind {
  return { kind: 'inet', ip, port };
}
