/** What control tells the front room: a tagged union of plain data. */
import type { KeptEvent } from './events-kept.ts';
import type { Answer } from './http.ts';
import type { SentState } from './state.ts';

export type MessageToFront =
  /** The answer to `ask`. */
  | { readonly type: 'state'; readonly id: number; readonly state: SentState }
  /** The answer to `order`. */
  | { readonly type: 'answer'; readonly id: number; readonly answer: Answer }
  /** All that are kept, or the next. */
  | { readonly type: 'events'; readonly events: readonly KeptEvent[] }
  | { readonly type: 'stop' };
