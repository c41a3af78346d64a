/** What control tells whoever watches it (the log, the demo, tests). One tagged union, plain data. */

import type { ClusterEvent } from '../cluster/events.ts';
import type { DownReason } from '../core/down-reason.ts';
import type { FlowFilter } from '../core/flow-filter.ts';
import type { OperatorState } from '../core/operator-word.ts';
import type { BindFailure } from '../engine/engine.ts';
import type { RoomName } from '../rooms/client.ts';
import type { FlowRecord } from '../worker/messages-from-worker.ts';
import type { RefusalReport } from './refusals.ts';

export type ControlEvent =
  | ClusterEvent
  | {
      readonly event: 'starting';
      readonly config: string;
      readonly engine: string;
      readonly why: string;
      readonly workers: number;
      /** Open flows it takes. */
      readonly flowsMax: number;
    }
  /** The descriptor limit is hardly what was meant: it makes `limits.flows: auto` small. */
  | { readonly event: 'descriptors-few'; readonly descriptors: number; readonly flowsMax: number }
  | {
      readonly event: 'listening';
      readonly listener: string;
      readonly protocol: string;
      readonly address: string;
      readonly port: number;
    }
  | { readonly event: 'ready' }
  /** It has not turned its loop for so long: a service manager's watchdog is not fed until it does. */
  | { readonly event: 'worker-stuck'; readonly worker: number; readonly silentMs: number }
  | { readonly event: 'backend-up'; readonly pool: string; readonly backend: string; readonly why: string }
  /** The second: it was down already, and is now for another reason. */
  | {
      readonly event: 'backend-down' | 'backend-still-down';
      readonly pool: string;
      readonly backend: string;
      readonly reason: DownReason;
      readonly why: string;
      /** Where it is; absent: its name has not led anywhere. */
      readonly address?: string;
      /** How many checks in a row have failed; absent: no check says it. */
      readonly failedChecks?: number;
    }
  | {
      readonly event: 'backend-operated';
      readonly pool: string;
      readonly backend: string;
      readonly state: OperatorState;
      /** null: as configured. */
      readonly weight: number | null;
      readonly movesPinned: boolean;
      /** The order came to this instance, or to another one of the cluster (or to one before a restart). */
      readonly from: 'here' | 'cluster';
    }
  /** An operator ends flows on all instances of the cluster, and has told another one. */
  | {
      readonly event: 'kill-heard';
      readonly from: string;
      readonly connections: number;
      readonly filter: FlowFilter;
    }
  | {
      readonly event: 'backend-resolved';
      readonly pool: string;
      readonly backend: string;
      readonly address: string;
    }
  /** What a pool's discovery finds is in use. Of the names of those that came and went the first are told. */
  | {
      readonly event: 'discovery-changed';
      readonly pool: string;
      /** Added, changed, removed: `+1 ~0 -0`. */
      readonly backends: string;
      readonly added: readonly string[];
      readonly removed: readonly string[];
    }
  /** It finds nothing, or not all; those of before stay. Each fault once, and another one at most once a minute. */
  | {
      readonly event: 'discovery-failed';
      readonly pool: string;
      readonly place: string;
      readonly message: string;
      /** Found backends that stay in use. */
      readonly kept: number;
    }
  /** After a discovery-failed. */
  | {
      readonly event: 'discovery-restored';
      readonly pool: string;
      readonly place: string;
      readonly backends: number;
    }
  /** A file of `allow` or `deny` is another one, and in use; or can be used again. */
  | { readonly event: 'access-list-read'; readonly file: string; readonly entries: number }
  /** It cannot be used; the list of before stays. Each fault once. */
  | {
      readonly event: 'access-list-failed';
      readonly file: string;
      readonly message: string;
      /** Entries of the list that stays. */
      readonly kept: number;
    }
  /** A file that a room reads again and again (a token, a password, certificates) cannot be used. Each fault once. */
  | {
      readonly event: 'file-failed';
      readonly room: RoomName;
      readonly file: string;
      readonly message: string;
      /** What it said before stays in use. */
      readonly isKept: boolean;
    }
  /** After a file-failed. */
  | { readonly event: 'file-restored'; readonly room: RoomName; readonly file: string }
  /** TCP flows are open on an address (or way) of the backend that newcomers do not get any more. */
  | {
      readonly event: 'address-left';
      readonly pool: string;
      readonly backend: string;
      readonly address: string;
      /** UDP conversations included, which follow by themselves. */
      readonly flows: number;
      readonly action: 'close' | 'keep';
      readonly graceMs: number;
    }
  /** The server there is down, or up again, as the check of a former address says. */
  | {
      readonly event: 'address-down' | 'address-up';
      readonly pool: string;
      readonly backend: string;
      readonly address: string;
      readonly flows: number;
      readonly why: string;
    }
  /** Another machine sends the flows of this backend back to the listener. At most once a minute. */
  | {
      readonly event: 'loop-seen';
      readonly pool: string;
      readonly backend: string;
      readonly listener: string;
    }
  | { readonly event: 'pool-down'; readonly pool: string }
  /** After a pool-down. */
  | { readonly event: 'pool-up'; readonly pool: string }
  | { readonly event: 'flow-ended'; readonly flow: FlowRecord }
  /** Turned away by a limit, or because no backend could take them. At most one a second for each listener and code. */
  | ({ readonly event: 'clients-refused' } & RefusalReport)
  | { readonly event: 'flows-untold'; readonly count: number }
  | { readonly event: 'accept-paused'; readonly listener: string; readonly paused: boolean }
  /** This machine does not do what the configuration asks of the pool's connections. Once until the next reload. */
  | { readonly event: 'pool-fault'; readonly pool: string; readonly message: string }
  /** Likewise, of a listener: it serves without. */
  | { readonly event: 'listener-fault'; readonly listener: string; readonly message: string }
  | { readonly event: 'flow-fault'; readonly flow: string; readonly message: string; readonly stack: string }
  | {
      readonly event: 'worker-died';
      readonly worker: number;
      readonly message: string;
      readonly restartInMs: number;
    }
  | { readonly event: 'worker-restarted'; readonly worker: number }
  /** A thread that speaks with strangers is gone; what it does rests until it is back, and flows go on. */
  | {
      readonly event: 'room-died';
      readonly room: RoomName;
      readonly message: string;
      readonly restartInMs: number;
    }
  | { readonly event: 'room-restarted'; readonly room: RoomName }
  | {
      readonly event: 'bind-failed';
      readonly listener: string;
      readonly address: string;
      readonly failure: BindFailure;
    }
  | {
      readonly event: 'reloaded';
      /** Added, changed, removed: `+1 ~0 -0`. */
      readonly listeners: string;
      readonly pools: string;
      /** Settings that differ and wait for a restart. */
      readonly needRestart: readonly string[];
    }
  | { readonly event: 'reload-refused'; readonly problems: readonly string[] }
  | { readonly event: 'shutdown'; readonly flows: number; readonly drainMs: number }
  | { readonly event: 'stopped' };

export type ControlWatcher = (event: ControlEvent) => void;
