/** What `top` knows and shows: plain data. Keys and answers make the next one of it (press.ts, hear.ts), render.ts draws it. */
import type { EventRow, FlowsPage, Preview, StatusPage } from '../../front/api/shapes.ts';
import { topViews } from '../commands/look.ts';
import type { Line } from '../screen/line.ts';

export type ViewName = (typeof topViews)[number];
export { topViews as viewNames };

/** What is asked of the instance, or of the program. */
export type Wish =
  | { readonly kind: 'quit' }
  | { readonly kind: 'redraw' }
  | { readonly kind: 'preview'; readonly order: Order }
  | { readonly kind: 'order'; readonly order: Order }
  | { readonly kind: 'explain'; readonly listener: string; readonly client: string }
  | { readonly kind: 'move'; readonly pool: string; readonly backend: string; readonly to: string }
  | { readonly kind: 'end-flow'; readonly listener: string; readonly client: string }
  | { readonly kind: 'preview-reload' }
  | { readonly kind: 'reload' };

/** Of an operator, for one backend. */
export interface Order {
  readonly word: 'drain' | 'undrain' | 'maintenance' | 'weight';
  readonly pool: string;
  readonly backend: string;
  /** Of `weight`. */
  readonly to?: string;
}

/** A line that is being typed. */
export interface Prompt {
  readonly for: 'filter' | 'weight' | 'move' | 'explain';
  readonly label: string;
  readonly text: string;
  /** Of weight and move. */
  readonly pool?: string;
  readonly backend?: string;
}

/** What lies over the table until it is closed, or answered with y. */
export interface Dialog {
  readonly title: string;
  readonly lines: readonly Line[];
  /** Lines that are scrolled out above. */
  readonly offset: number;
  readonly wish?: Wish;
}

export interface Sorting {
  /** The title of a column; undefined: as the instance has them. */
  readonly by: string | undefined;
  readonly isReversed: boolean;
}

export interface TopState {
  readonly view: ViewName;
  readonly page: StatusPage | undefined;
  readonly flows: FlowsPage | undefined;
  /** The newest first. */
  readonly events: readonly EventRow[];
  /** Why the instance cannot be asked now. */
  readonly lost: string | undefined;
  /** Nothing that is heard is shown. */
  readonly isPaused: boolean;
  /** The name of the row the cursor is on, for each view. */
  readonly selected: Readonly<Partial<Record<ViewName, string>>>;
  readonly sorting: Readonly<Partial<Record<ViewName, Sorting>>>;
  readonly filter: string;
  readonly prompt: Prompt | undefined;
  readonly dialog: Dialog | undefined;
  /** What came of the last order. */
  readonly note: { readonly text: string; readonly isBad: boolean } | undefined;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export function firstState(view: ViewName): TopState {
  return {
    view,
    page: undefined,
    flows: undefined,
    events: [],
    lost: undefined,
    isPaused: false,
    selected: {},
    sorting: {},
    filter: '',
    prompt: undefined,
    dialog: undefined,
    note: undefined,
  };
}

export const eventsKeptMax = 500;

export type Heard =
  | { readonly kind: 'state'; readonly page: StatusPage }
  | { readonly kind: 'event'; readonly row: EventRow }
  | { readonly kind: 'flows'; readonly flows: FlowsPage }
  | { readonly kind: 'lost'; readonly why: string }
  | { readonly kind: 'preview'; readonly preview: Preview; readonly order: Order }
  | { readonly kind: 'told'; readonly title: string; readonly lines: readonly Line[]; readonly wish?: Wish }
  | { readonly kind: 'done'; readonly text: string }
  | { readonly kind: 'refused'; readonly text: string };
