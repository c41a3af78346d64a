/** What the cluster room tells control: a tagged union of plain data. */
import type { KillOrder } from '../core/kill-order.ts';
import type { OperatorRow } from '../core/operator-word.ts';
import type { HandOutcome } from '../pins/by-hand.ts';
import type { ClusterFigures } from './cluster.ts';
import type { ClusterEvent } from './events.ts';
import type { ClusterFlowRow } from './flow-table.ts';
import type { MemberListeners } from './member-listeners.ts';
import type { Member } from './members.ts';

export type MessageFromCluster =
  | { readonly type: 'event'; readonly event: ClusterEvent }
  /** When it has changed, and at most every few times a second. */
  | {
      readonly type: 'status';
      readonly status: ClusterFigures;
      /** For a successor: see `Predecessor`. */
      readonly generation: number;
      readonly writers: readonly string[];
    }
  /** When they have changed, after a beat: once a second. */
  | { readonly type: 'members'; readonly members: readonly Member[] }
  /** Where the others listen, when it is new. */
  | { readonly type: 'member-listeners'; readonly known: MemberListeners }
  /** Operators' words for this instance, once they have been read and whenever they are others. */
  | { readonly type: 'operator-words'; readonly rows: readonly OperatorRow[] }
  /** Another instance was told so long ago to end flows on all. */
  | { readonly type: 'kill'; readonly order: KillOrder; readonly from: string; readonly ageMs: number }
  | { readonly type: 'caught-up' }
  | { readonly type: 'claimed'; readonly id: number }
  | { readonly type: 'told'; readonly id: number; readonly outcome: HandOutcome }
  | { readonly type: 'connections'; readonly id: number; readonly rows: readonly ClusterFlowRow[] }
  | { readonly type: 'no-connections'; readonly id: number; readonly message: string }
  /** Open flows are asked for, at most `most`. */
  | { readonly type: 'list-flows'; readonly id: number; readonly most: number };
