/**
 * What a cluster asks of Redis, in its own words: requests and replies of one shard are plain records. The real
 * one (redis-store.ts) speaks to Redis; a simulation has a model. Every method rejects with an Error when
 * there was no answer: whether the step was taken is then unknown.
 */
export type PulseMode = 'renew' | 'take' | 'seize';

export interface Fenced {
  readonly kind: 'fenced';
  /** The token in force; '' if the lease had lapsed. */
  readonly holder: string;
}

export interface PulseReply {
  readonly kind: 'ok';
  readonly epoch: string;
  /** Position of the newest entry of the stream. */
  readonly last: string;
}

/** One change of one pin. */
export interface PinStep {
  readonly text: string;
  /** What must stand for the step to be taken: '' nothing, '*' anything. */
  readonly expect: string;
  /** '' removes. */
  readonly backend: string;
  readonly pxMs: number;
  readonly ttlMs: number;
  readonly reason: string;
}

export type Verdict =
  | { readonly kind: 'written' | 'same' | 'removed' | 'gone' | 'foreign' }
  /** Somebody else's value stands. */
  | { readonly kind: 'lost'; readonly value: string; readonly pxMs: number };

export interface ApplyReply {
  readonly kind: 'ok';
  readonly epoch: string;
  /** Position of the newest entry after this step. */
  readonly last: string;
  /** That entry is this step's own. */
  readonly added: boolean;
  readonly verdicts: readonly Verdict[];
}

/** A pin as it is after a change; `value` empty: removed. */
export interface PinNews {
  readonly text: string;
  readonly pxMs: number;
  readonly value: string;
}

export interface StreamEntry {
  readonly position: string;
  /** Position of the entry written before this one. */
  readonly previous: string;
  readonly news: readonly PinNews[];
}

export interface ReadReply {
  readonly epoch: string;
  readonly last: string;
  /** In the order asked for; `value` empty: there is none. */
  readonly pins: readonly PinNews[];
}

export interface MemberRow {
  readonly instance: string;
  readonly member: string;
  readonly counts: string;
}

export interface ClusterStore {
  pulse(
    shard: number,
    token: string,
    incarnation: string,
    epoch: string,
    mode: PulseMode,
  ): Promise<PulseReply | Fenced>;
  apply(
    shard: number,
    token: string,
    epoch: string,
    entriesMax: number,
    steps: readonly PinStep[],
  ): Promise<ApplyReply | Fenced>;
  read(shard: number, texts: readonly string[]): Promise<ReadReply>;
  /** Entries after `position`, the oldest first, at once. */
  entries(shard: number, position: string): Promise<readonly StreamEntry[]>;
}
