/** Everything a worker says to control. One tagged union; control's half of it is worker/client.ts. */
import type { FaultCause } from '../core/ejection.ts';
import type { ChoiceReason } from '../core/flow.ts';
import type { KeyWords } from '../core/key-bytes.ts';
import type { KeyKind } from '../core/key-kinds.ts';
import type { Protocol } from '../core/plan.ts';
import type { TerminationCode } from '../core/termination.ts';
import type { Way } from '../core/way.ts';
import type { BindFailure } from '../engine/engine.ts';

/** One flow, finished (as control reads it: flow-records.ts) or, in an answer to list-flows, still open. Plain data, ready for a log line. */
export interface FlowRecord {
  readonly worker: number;
  /** Unique in its worker. */
  readonly flowId: number;
  readonly listener: string;
  readonly protocol: Protocol;
  readonly client: string;
  /** UDP: where its client is now; absent: where it was at first. */
  readonly movedTo?: string;
  /** The proxy that told of it; absent: it connected itself. */
  readonly peer?: string;
  readonly pool: string;
  readonly backend: string | undefined;
  readonly reason: ChoiceReason | undefined;
  readonly tries: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly datagramsIn: number;
  readonly datagramsOut: number;
  readonly durationMs: number;
  /** From the client's arrival to the backend's answer to our dial; undefined if none answered. */
  readonly connectMs: number | undefined;
  readonly code: TerminationCode | undefined;
  /** With routes: the one it took, from 1 (0: none), and the server it asked for. */
  readonly route?: number;
  readonly serverName?: string | undefined;
  /** Of one that is still open: where it is connected to, which its backend's name may not lead to any more. */
  readonly address?: string;
}

/** TCP flows of a backend that are open by one way. */
export interface WayCount {
  readonly backendId: number;
  readonly way: Way;
  readonly flows: number;
}

export type MessageFromWorker =
  | {
      readonly type: 'ready';
      readonly engine: 'portable' | 'epoll' | 'kernel';
      readonly wakeDescriptor: number;
    }
  | {
      readonly type: 'listening';
      readonly listenerId: number;
      readonly door: string;
      readonly port: number;
    }
  /** Addresses of a listener are given up; undefined: all of them. */
  | {
      readonly type: 'unlistened';
      readonly listenerId: number;
      readonly doors: readonly string[] | undefined;
    }
  | {
      readonly type: 'bind-failed';
      readonly listenerId: number;
      readonly door: string;
      readonly failure: BindFailure;
    }
  /** `records`: as flow-records.ts writes them; `untold`: so many more have ended that are to be logged. */
  | { readonly type: 'flows-ended'; readonly records: ArrayBuffer; readonly untold: number }
  /** So many clients were turned away since the last such message of this listener and code. */
  | {
      readonly type: 'refused';
      readonly listener: string;
      readonly code: TerminationCode;
      readonly count: number;
      /** The first of them. */
      readonly client: string;
    }
  /** So many flows are meant by an order to end some. */
  | { readonly type: 'ending'; readonly requestId: number; readonly flows: number }
  | { readonly type: 'former-counted'; readonly requestId: number; readonly counts: readonly WayCount[] }
  /** One text for each client's host. */
  | { readonly type: 'senders-counted'; readonly requestId: number; readonly senders: readonly string[] }
  | { readonly type: 'flows'; readonly requestId: number; readonly records: readonly FlowRecord[] }
  /** Flows failed there, this often in a row. */
  | {
      readonly type: 'backend-suspect';
      readonly backendId: number;
      readonly protocol: Protocol;
      readonly cause: Exclude<FaultCause, 'silent'>;
      readonly failures: number;
    }
  /** A TCP flow to this backend has come in at a listener of ours. Once until the next snapshot. */
  | { readonly type: 'backend-leads-back'; readonly backendId: number; readonly listener: string }
  /** Flows to this backend come back by way of another machine. */
  | { readonly type: 'loop-seen'; readonly backendId: number; readonly listener: string }
  | { readonly type: 'accept-paused'; readonly listenerId: number; readonly paused: boolean }
  /** What the plan asks of a listener or pool is not to be had here. */
  | {
      readonly type: 'trouble';
      readonly of: 'listener' | 'pool';
      readonly name: string;
      readonly message: string;
    }
  | { readonly type: 'fault'; readonly message: string; readonly stack: string; readonly flow: string }
  /** A flow waits to hear who holds its client's pin (affinity.claim: before-dial). */
  | {
      readonly type: 'claim';
      readonly flowId: number;
      readonly poolId: number;
      readonly kind: KeyKind;
      /** Of the key. */
      readonly words: KeyWords;
      /** Whom the flow would take. */
      readonly backendId: number;
      readonly claimTtlMs: number;
      readonly deadlineMs: number;
      /** False: only ask; nothing is published for a client that has not proved its address. */
      readonly publish: boolean;
    }
  | { readonly type: 'stopped' };
