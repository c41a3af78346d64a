/** Everything control says to a worker. One tagged union; the worker's half of it is worker/entry.ts. */
import type { FlowFilter } from '../core/flow-filter.ts';
import type { Bind, Protocol } from '../core/plan.ts';
import type { Snapshot } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import type { Way } from '../core/way.ts';

/** Which flows are meant. */
export type FlowSelector =
  | {
      readonly by: 'backend';
      readonly backendId: number;
      readonly protocol: Protocol | undefined;
      /** On the shared clock. Undefined: before the order came. */
      readonly connectedBeforeMs?: number | undefined;
      /** TCP: only those that are open by this way. Undefined: by any. */
      readonly way?: Way | undefined;
    }
  | {
      readonly by: 'listener';
      readonly listenerId: number;
      /** Only those that came in at none of these. Absent: all. */
      readonly outside?: readonly Bind[];
    }
  | { readonly by: 'pool'; readonly pool: string; readonly protocol: Protocol }
  | {
      readonly by: 'operator';
      readonly filter: FlowFilter;
      readonly pools: readonly string[];
      /** On the shared clock. Undefined: before the order came. */
      readonly openedBeforeMs?: number | undefined;
    }
  | { readonly by: 'flow'; readonly flowId: number }
  | { readonly by: 'all' };

export type MessageToWorker =
  /** Swap in what is known now. Binds nothing and ends nothing by itself. */
  | {
      readonly type: 'snapshot';
      readonly snapshot: Snapshot;
      /** This worker's share of the descriptors that flows do not need. */
      readonly spareDescriptors: number;
    }
  /** Bind an address of a listener of the snapshot; where port 0 is configured, it has the one that the first worker has drawn. */
  | {
      readonly type: 'listen';
      readonly listenerId: number;
      /** Its name in answers: see `Engine.listen`. */
      readonly door: string;
      readonly bind: Bind;
      /** No other worker has it yet. */
      readonly isFirst: boolean;
      /** A socket that is bound there already; from here on this worker closes it. Absent: bind one. */
      readonly passed?: number | undefined;
    }
  | {
      readonly type: 'unlisten';
      readonly listenerId: number;
      /** Undefined: all of the listener. */
      readonly doors: readonly string[] | undefined;
      /** What becomes of its UDP conversations: see `Engine.unlisten`. */
      readonly code: 'listener-removed' | 'shutdown';
    }
  /** End open flows: a batch a turn, or TCP flows evenly over a time. */
  | {
      readonly type: 'end-flows';
      readonly select: FlowSelector;
      readonly code: TerminationCode;
      /** Absent: at once. */
      readonly overMs?: number | undefined;
      /** How many are meant is answered. */
      readonly requestId?: number;
    }
  /** Leave those alone that are open by this way and were to be ended over a time for one of these codes. */
  | {
      readonly type: 'keep-flows';
      readonly backendId: number;
      readonly way: Way;
      readonly codes: readonly TerminationCode[];
    }
  /** How many TCP flows are on another way than their backend's present one? */
  | { readonly type: 'count-former'; readonly requestId: number }
  /** Which clients have been seen to send to a backend over UDP since then? */
  | {
      readonly type: 'count-senders';
      readonly requestId: number;
      readonly backendId: number;
      /** On the shared clock. */
      readonly sinceMs: number;
      readonly most: number;
    }
  | { readonly type: 'list-flows'; readonly requestId: number; readonly most: number }
  /** A waiting flow's answer has come (affinity.claim: before-dial). */
  | { readonly type: 'claimed'; readonly flowId: number }
  /** End everything now and leave the thread. */
  | { readonly type: 'stop' }
  /** For tests of what a defect does: throw while serving the next flow, leave the thread at once, run out of heap, turn no more. */
  | { readonly type: 'break'; readonly how: 'throw-in-flow' | 'exit' | 'fill-heap' | 'loop' };
