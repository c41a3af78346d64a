/** What a key does: the next state, and what it asks for. Pure; nothing is done to an instance before its preview was answered with y. */
import type { BackendRow, FlowRow, ListenerRow } from '../../front/api/shapes.ts';
import { backendLines } from '../look/backends.ts';
import { mostEnds } from '../look/rows.ts';
import { count } from '../screen/amounts.ts';
import { type Line, printable, span, wrapLine } from '../screen/line.ts';
import { helpLines } from './help.ts';
import type { Key } from './keys.ts';
import {
  type Dialog,
  type Order,
  type Prompt,
  type Size,
  type TopState,
  type ViewName,
  viewNames,
  type Wish,
} from './state.ts';
import { selectedIndex, tableOfView } from './tables.ts';

export interface Pressed {
  readonly state: TopState;
  readonly wish?: Wish;
}

/** @param size of the screen, for what pages by it */
export function press(state: TopState, key: Key, size: Size): Pressed {
  if (key === 'ctrl-c') return { state, wish: { kind: 'quit' } };
  if (key === 'ctrl-l') return { state, wish: { kind: 'redraw' } };
  if (state.prompt !== undefined) return typed(state, state.prompt, key);
  if (state.dialog !== undefined) return answered(state, state.dialog, key, size);
  const fresh = { ...state, note: undefined };
  return (
    moved(fresh, key, size) ?? (typeof key === 'string' ? plainKey(fresh, key) : lettered(fresh, key.text))
  );
}

function plainKey(state: TopState, key: Exclude<Key, object>): Pressed {
  switch (key) {
    case 'escape':
      return { state: { ...state, filter: '' } };
    case 'enter':
      return { state: details(state) };
    case 'tab':
    case 'right':
      return { state: turned(state, 1) };
    case 'back-tab':
    case 'left':
      return { state: turned(state, -1) };
    default:
      return { state };
  }
}

function turned(state: TopState, by: number): TopState {
  const at = (viewNames.indexOf(state.view) + by + viewNames.length) % viewNames.length;
  return { ...state, view: viewNames[at]! };
}

/** The cursor. Undefined: the key is another one's. */
function moved(state: TopState, key: Key, { height }: Size): Pressed | undefined {
  const table = tableOfView(state);
  const at = selectedIndex(table, state);
  const last = table.rows.length - 1;
  const page = Math.max(1, height - 8);
  const name = typeof key === 'string' ? key : key.text;
  const to = {
    up: at - 1,
    k: at - 1,
    down: at + 1,
    j: at + 1,
    'page-up': at - page,
    'page-down': at + page,
    home: 0,
    g: 0,
    end: last,
    G: last,
  }[name];
  if (to === undefined) return undefined;
  const row = table.rows[Math.min(Math.max(to, 0), last)];
  if (row === undefined) return { state };
  return { state: { ...state, selected: { ...state.selected, [state.view]: row.name } } };
}

function lettered(state: TopState, letter: string): Pressed {
  const view: ViewName | undefined = /^\d$/.test(letter) ? viewNames[Number(letter) - 1] : undefined;
  if (view !== undefined) return { state: { ...state, view } };
  switch (letter) {
    case 'q':
      return { state, wish: { kind: 'quit' } };
    case '?':
    case 'h':
      return { state: opened(state, 'Keys', helpLines) };
    case '/':
      return { state: asking(state, { for: 'filter', label: 'filter', text: state.filter }) };
    case 's':
      return { state: sortedByNext(state) };
    case 'S':
      return { state: reversed(state) };
    case 'p':
    case ' ':
      return { state: { ...state, isPaused: !state.isPaused } };
    case 'e':
      return {
        state: asking(state, { for: 'explain', label: 'explain: LISTENER CLIENT', text: explainText(state) }),
      };
    case 'R':
      return { state, wish: { kind: 'preview-reload' } };
    case 'x':
      return endFlow(state);
    default:
      return backendKey(state, letter);
  }
}

function asking(state: TopState, prompt: Prompt): TopState {
  return { ...state, prompt };
}

function opened(state: TopState, title: string, lines: readonly Line[], wish?: Wish): TopState {
  return { ...state, dialog: { title, lines, offset: 0, ...(wish === undefined ? {} : { wish }) } };
}

function selectedRow(state: TopState): unknown {
  const table = tableOfView(state);
  return table.rows[selectedIndex(table, state)]?.row;
}

/** d, m, w, v: of the backend that the cursor is on. */
function backendKey(state: TopState, letter: string): Pressed {
  const row = state.view === 'pools' ? (selectedRow(state) as BackendRow | undefined) : undefined;
  if (row === undefined || !'dmwv'.includes(letter)) return { state };
  const { pool, backend, operator } = row;
  const preview = (word: Order['word']): Pressed => ({
    state,
    wish: { kind: 'preview', order: { word, pool, backend } },
  });
  switch (letter) {
    case 'd':
      return preview(operator?.state === 'drain' ? 'undrain' : 'drain');
    case 'm':
      return preview(operator?.state === 'maintenance' ? 'undrain' : 'maintenance');
    case 'w':
      return {
        state: asking(state, {
          for: 'weight',
          label: `weight of ${pool}/${backend}`,
          text: `${row.weight.live}`,
          pool,
          backend,
        }),
      };
    default:
      return {
        state: asking(state, {
          for: 'move',
          label: `move pins of ${pool}/${backend} to`,
          text: '',
          pool,
          backend,
        }),
      };
  }
}

function endFlow(state: TopState): Pressed {
  const row = state.view === 'flows' ? (selectedRow(state) as FlowRow | undefined) : undefined;
  if (row === undefined) return { state };
  const { listener, client, protocol } = row;
  const what = protocol === 'tcp' ? 'connection' : 'conversation';
  const lines = [[span(`The ${what} of ${client} on ${listener} ends; its client may come back at once.`)]];
  return { state: opened(state, `End ${client}?`, lines, { kind: 'end-flow', listener, client }) };
}

/** What is known of the row, all of it. */
function details(state: TopState): TopState {
  const row = selectedRow(state);
  if (row === undefined) return state;
  switch (state.view) {
    case 'pools': {
      const backend = row as BackendRow;
      return opened(state, `${backend.pool}/${backend.backend}`, backendLines(backend));
    }
    case 'listeners': {
      const listener = row as ListenerRow;
      return opened(state, listener.listener, listenerDetails(listener));
    }
    default:
      return opened(state, 'Details', fieldLines(row as Readonly<Record<string, unknown>>));
  }
}

function listenerDetails({ ended, dropped, ...row }: ListenerRow): Line[] {
  const counts = (title: string, of: Readonly<Record<string, number>>): Line[] =>
    Object.entries(of)
      .sort(([, a], [, b]) => b - a)
      .map(([code, number]) => [span(`${title} ${code}  `, 'dim'), span(count(number))]);
  const { rates: _, ...fields } = row;
  return [
    ...fieldLines({ ...fields, 'most ends': mostEnds(ended) }),
    ...counts('ended', ended),
    ...counts('dropped', dropped),
  ];
}

function fieldLines(row: Readonly<Record<string, unknown>>): Line[] {
  return Object.entries(row).map(([name, value]) => [
    span(name.padEnd(12), 'dim'),
    span(printable(typeof value === 'string' ? value : (JSON.stringify(value) ?? '-'))),
  ]);
}

function sortedByNext(state: TopState): TopState {
  const titles = [
    undefined,
    ...tableOfView(state)
      .columns.filter(({ order }) => order !== undefined)
      .map(({ title }) => title),
  ];
  const { by, isReversed = false } = state.sorting[state.view] ?? {};
  const next = titles[(titles.indexOf(by) + 1) % titles.length];
  return { ...state, sorting: { ...state.sorting, [state.view]: { by: next, isReversed } } };
}

function reversed(state: TopState): TopState {
  const { by, isReversed = false } = state.sorting[state.view] ?? {};
  return { ...state, sorting: { ...state.sorting, [state.view]: { by, isReversed: !isReversed } } };
}

/** Whom the cursor is on, or at least where clients come in. */
function explainText(state: TopState): string {
  const row = selectedRow(state);
  if (state.view === 'flows' && row !== undefined) {
    const { listener, client } = row as FlowRow;
    return `${listener} ${client}`;
  }
  if (state.view === 'listeners' && row !== undefined) return `${(row as ListenerRow).listener} `;
  const only = state.page?.listeners[0]?.listener;
  return only === undefined ? '' : `${only} `;
}

function typed(state: TopState, prompt: Prompt, key: Key): Pressed {
  const now = (text: string): Pressed => ({
    state: { ...state, prompt: { ...prompt, text }, ...(prompt.for === 'filter' ? { filter: text } : {}) },
  });
  if (typeof key !== 'string') return now(prompt.text + key.text);
  switch (key) {
    case 'backspace':
      return now([...prompt.text].slice(0, -1).join(''));
    case 'ctrl-u':
      return now('');
    case 'escape':
      return { state: { ...state, prompt: undefined, ...(prompt.for === 'filter' ? { filter: '' } : {}) } };
    case 'enter':
      return entered({ ...state, prompt: undefined }, prompt);
    default:
      return { state };
  }
}

function entered(state: TopState, { for: what, text, pool = '', backend = '' }: Prompt): Pressed {
  const word = text.trim();
  if (what === 'filter' || word === '') return { state };
  switch (what) {
    case 'weight':
      return { state, wish: { kind: 'preview', order: { word: 'weight', pool, backend, to: word } } };
    case 'move': {
      const pins = state.page?.pools
        .flatMap(({ backends }) => backends)
        .find((row) => row.pool === pool && row.backend === backend)?.pins;
      const many =
        pins === undefined || pins === null ? 'The pins' : `${count(pins)} ${pins === 1 ? 'pin' : 'pins'}`;
      const lines = [
        [span(`${many} of ${pool}/${backend} move to ${pool}/${word}, on all instances.`)],
        [span('Open connections stay where they are; their clients go there with the next one.')],
      ];
      return {
        state: opened(state, `Move pins to ${word}?`, lines, { kind: 'move', pool, backend, to: word }),
      };
    }
    default: {
      const [listener = '', ...client] = word.split(/\s+/);
      return { state, wish: { kind: 'explain', listener, client: client.join(' ') } };
    }
  }
}

function answered(state: TopState, dialog: Dialog, key: Key, { width, height }: Size): Pressed {
  const closed = { ...state, dialog: undefined };
  const name = typeof key === 'string' ? key : key.text;
  if (dialog.wish !== undefined && name === 'y') return { state: closed, wish: dialog.wish };
  const page = Math.max(1, height - 8);
  const by = { down: 1, j: 1, up: -1, k: -1, 'page-down': page, ' ': page, 'page-up': -page }[name];
  if (by === undefined) {
    // While something waits for y, a key beside it must not look like an answer.
    const closes = dialog.wish === undefined || ['n', 'q', 'escape'].includes(name);
    return { state: closes ? closed : state };
  }
  const lines = dialog.lines.flatMap((line) => wrapLine(line, width));
  // What stands above and below it is no less than this.
  const most = Math.max(0, lines.length - Math.max(1, height - 12));
  const offset = Math.min(most, Math.max(0, dialog.offset + by));
  return { state: { ...state, dialog: { ...dialog, offset } } };
}
