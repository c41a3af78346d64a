/** What the front room asks of control: a tagged union of plain data. */
import type { FlowFilter } from '../core/flow-filter.ts';
import type { OperatorOrder } from '../core/operator-word.ts';
import type { OperatorChange } from '../pins/by-hand.ts';
import type { RoomName } from '../rooms/client.ts';
import type { RoomFault } from '../rooms/serve.ts';

export type PageName = 'metrics' | 'admin';

/** What only control may do. Each gets an answer that is passed on to who asked. */
export type Order =
  | { readonly kind: 'reload' }
  /** What a reload would do now. */
  | { readonly kind: 'preview-reload' }
  | {
      readonly kind: 'operate';
      readonly pool: string;
      readonly backend: string;
      readonly order: OperatorOrder;
      /** On all instances of the cluster. */
      readonly isForAll: boolean;
      /** Although nobody else of its pool takes new clients. */
      readonly isForced: boolean;
    }
  /** `overMs`: undefined: as each pool says. */
  | {
      readonly kind: 'kill';
      readonly filter: FlowFilter;
      readonly overMs: number | undefined;
      /** On all instances of the cluster. */
      readonly isForAll: boolean;
    }
  | { readonly kind: 'connections'; readonly most: number; readonly ofCluster: boolean }
  | { readonly kind: 'tell'; readonly change: OperatorChange }
  | { readonly kind: 'break'; readonly fault: Fault };

/** Faults on request, for tests: only a process started with PINION_TEST_FAULTS=1 obeys. */
export type Fault =
  | { readonly of: 'worker'; readonly worker: number; readonly how: 'exit' | 'fill-heap' | 'loop' }
  | { readonly of: 'flow' }
  | { readonly of: 'main' }
  | { readonly of: 'room'; readonly room: RoomName; readonly how: RoomFault };

export type MessageFromFront =
  | { readonly type: 'listening'; readonly page: PageName; readonly port: number }
  | { readonly type: 'not-listening'; readonly page: PageName; readonly message: string }
  /** `generation`: of the published configuration it has; `heard`: the number of the backends it has (told-backends.ts). */
  | { readonly type: 'ask'; readonly id: number; readonly generation: number; readonly heard: number }
  | { readonly type: 'order'; readonly id: number; readonly order: Order };
