/** What the cluster tells whoever watches it: a tagged union of plain data, like control's own events. */
import type { RedisFault } from './errors.ts';

/** So many since it was told last (calm-watch.ts); left out: this is told at once. */
interface Summed {
  readonly times?: number;
}

export type ClusterEvent = TimedEvent | InstanceEvent;

type TimedEvent = Summed & RedisEvent;

type RedisEvent =
  /** Pins are shared again, or for the first time: every shard is in step. */
  | { readonly event: 'cluster-connected'; readonly afterMs: number }
  /** Redis cannot be used; this instance carries on with what it knows. */
  | { readonly event: 'cluster-away'; readonly fault: RedisFault | undefined; readonly message: string }
  /** Something went wrong with Redis; said at most once a minute for each fault, `times` since it was said last. */
  | {
      readonly event: 'cluster-fault';
      readonly fault: RedisFault;
      readonly message: string;
      readonly times: number;
    }
  /** Keys are read again while serving: track of Redis was lost, or more of it is of use here (`why`). */
  | { readonly event: 'cluster-resync'; readonly why: string; readonly shards: number }
  | {
      readonly event: 'cluster-resynced';
      readonly pinsRead: number;
      readonly pinsPublished: number;
      readonly tookMs: number;
    }
  /** This process did not run for as long as its lease may have lasted (stopped, or starved): it reads before it writes again. */
  | { readonly event: 'cluster-stalled'; readonly stalledMs: number }
  /** Another process writes under this instance's name; this one only listens until it is gone. */
  | { readonly event: 'cluster-name-taken'; readonly instance: string }
  /** The cluster was set up with another number of shards: nothing is shared until that is put right. */
  | { readonly event: 'cluster-layout-differs'; readonly ours: string; readonly theirs: string };

type InstanceEvent =
  | {
      readonly event: 'instance-joined';
      readonly instance: string;
      readonly host: string;
      readonly version: string;
    }
  | { readonly event: 'instance-left'; readonly instance: string }
  /** Its lease ran out, and as long again went by without a word: dead, stopped or cut off. */
  | { readonly event: 'instance-lost'; readonly instance: string }
  /** The same process as before: it had been stopped or cut off. */
  | { readonly event: 'instance-back'; readonly instance: string }
  | {
      readonly event: 'instance-digest-differs';
      readonly instance: string;
      readonly ours: string;
      readonly theirs: string;
    }
  | { readonly event: 'instance-digest-agrees'; readonly instance: string }
  /** So many of the above within a minute that they are not told one by one. */
  | {
      readonly event: 'instances-changing';
      readonly joined: number;
      readonly left: number;
      readonly lost: number;
      readonly back: number;
      readonly differing: number;
      readonly agreeing: number;
    };

export type ClusterWatcher = (event: ClusterEvent) => void;
