/** What control asks of the cluster room: a tagged union of plain data. */

import type { KeyWords } from '../core/key-bytes.ts';
import type { KeyKind } from '../core/key-kinds.ts';
import type { KillOrder } from '../core/kill-order.ts';
import type { OperatorRow } from '../core/operator-word.ts';
import type { OperatorChange } from '../pins/by-hand.ts';
import type { NamesTable } from '../pins/names-table.ts';
import type { SummedListener } from './client-sums.ts';
import type { ClusterFlow } from './flow-table.ts';
import type { MemberNetwork } from './member-listeners.ts';

/** What this instance tells of itself, and a reload changes. */
export interface ClusterNews {
  readonly digest: string;
  readonly listeners: readonly string[];
  readonly network: MemberNetwork;
  readonly names: NamesTable;
  /** Those whose limits are summed over the cluster. */
  readonly summed: readonly SummedListener[];
}

/** As `ClaimRequest`, with the key as plain data. */
export interface ClaimOrder {
  readonly id: number;
  readonly poolId: number;
  readonly kind: KeyKind;
  readonly words: KeyWords;
  readonly backendId: number;
  readonly claimTtlMs: number;
  readonly deadlineMs: number;
  readonly publish: boolean;
}

export type MessageToCluster =
  | { readonly type: 'news'; readonly news: ClusterNews }
  /** Begins to share; `caught-up` comes when all shared pins have been read, or when that takes too long. */
  | { readonly type: 'start' }
  /** New pools or backends: pins that were ignored for want of them are to be read again. */
  | { readonly type: 'names-added' }
  | { readonly type: 'claim'; readonly order: ClaimOrder }
  | { readonly type: 'tell'; readonly id: number; readonly change: OperatorChange }
  | { readonly type: 'operate'; readonly id: number; readonly rows: readonly OperatorRow[] }
  /** Flows are to be ended on all instances; `told` answers. */
  | { readonly type: 'kill'; readonly id: number; readonly order: KillOrder }
  /** Operators' words that Redis does not have. */
  | { readonly type: 'keep-words'; readonly rows: readonly OperatorRow[] }
  | { readonly type: 'connections'; readonly id: number; readonly most: number }
  /** The answer to `list-flows`. */
  | { readonly type: 'flows'; readonly id: number; readonly flows: readonly ClusterFlow[] }
  /** Tells what is left to tell and leaves. */
  | { readonly type: 'stop' };
