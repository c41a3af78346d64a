/**
 * The screen of `top`, drawn from its state: as many lines as the terminal has, none wider than it.
 *
 *     who it is, how much there is to do       2 or 3 lines
 *     what somebody should know now            at most 3 lines
 *     views, filter, sorting                   1 line
 *     the table, or what lies over it          the rest
 *     keys, what is being typed, what came of it   1 line
 */
import { bannerLine, headerLines } from '../look/status.ts';
import { count } from '../screen/amounts.ts';
import { cutLine, type Line, plain, printable, type Span, span, wrapLine } from '../screen/line.ts';
import { tableOf } from '../screen/table.ts';
import { type Dialog, type Size, type TopState, type ViewName, viewNames } from './state.ts';
import { selectedIndex, tableOfView } from './tables.ts';

/** Below this nothing can be read. */
const least: Size = { width: 24, height: 6 };
const bannersMax = 3;
/** Room for the mark of the row that the cursor is on. */
const gutter = 2;

export function render(state: TopState, size: Size): Line[] {
  const { width, height } = size;
  if (width < least.width || height < least.height)
    return fitted([[span('too small'.slice(0, width))]], size);
  const head = [...headLines(state, height), tabLine(state)];
  const room = height - head.length - 1;
  const body =
    state.dialog === undefined ? tableLines(state, width, room) : dialogLines(state.dialog, width, room);
  return fitted([...fitted([...head, ...body], { width, height: height - 1 }), footLine(state)], size);
}

/** Exactly as many lines as there are rows. */
function fitted(lines: readonly Line[], { width, height }: Size): Line[] {
  const shown = lines.slice(0, height).map((line) => cutLine(line, width));
  return [...shown, ...Array.from({ length: height - shown.length }, (): Line => [])];
}

function headLines({ page, lost, isPaused }: TopState, height: number): Line[] {
  const lostLine: Line[] = lost === undefined ? [] : [[span(`! ${printable(lost)}; trying again`, 'bad')]];
  if (page === undefined)
    return [...lostLine, ...(lost === undefined ? [[span('asking the instance ...', 'dim')]] : [])];
  const [who = [], , flows = [], pins = [], ...cluster] = headerLines(page, 'last1s');
  const isLow = height < 14;
  const shown = page.banners.slice(0, isLow ? 1 : bannersMax);
  const left = page.banners.length - shown.length;
  return [
    [...who, ...(isPaused ? [span('  PAUSED', 'warning')] : [])],
    flows,
    ...(isLow ? [] : [pins, ...cluster]),
    ...lostLine,
    ...shown.map(bannerLine),
    ...(left > 0 ? [[span(`  and ${left} more: pinion status`, 'dim')]] : []),
  ];
}

function tabLine(state: TopState): Line {
  const tabs = viewNames.flatMap((name: ViewName, i): Span[] => [
    span(
      name === state.view ? `[${i + 1} ${name}]` : ` ${i + 1} ${name} `,
      name === state.view ? 'selected' : 'dim',
    ),
  ]);
  const { by, isReversed = false } = state.sorting[state.view] ?? {};
  const sorted =
    by === undefined && !isReversed ? '' : `  by ${by ?? 'itself'}${isReversed ? ', reversed' : ''}`;
  const table = tableOfView(state);
  const filtered =
    state.filter === '' ? '' : `  /${state.filter}: ${count(table.rows.length)} of ${count(table.all)}`;
  return [...tabs, span(sorted, 'accent'), span(filtered, 'accent')];
}

function tableLines(state: TopState, width: number, room: number): Line[] {
  const table = tableOfView(state);
  if (table.rows.length === 0) return [[], [span(emptyText(state), 'dim')]];
  const at = selectedIndex(table, state);
  const rows = Math.max(1, room - 1);
  // The cursor stays in the middle, except near both ends.
  const first = Math.max(0, Math.min(at - Math.floor(rows / 2), table.rows.length - rows));
  const shown = table.rows.slice(first, first + rows).map(({ row }) => row);
  const [titles = [], ...lines] = tableOf(table.columns, shown, width - gutter);
  return [
    [span('  '), ...titles],
    ...lines.map((line, i) =>
      first + i === at ? [span(`> ${plain(line)}`, 'selected')] : [span('  '), ...line],
    ),
  ];
}

function emptyText({ view, page, flows, filter }: TopState): string {
  if (filter !== '') return 'nothing has this text; Esc shows all';
  if (page === undefined) return '';
  switch (view) {
    case 'pools':
      return 'there are no backends';
    case 'listeners':
      return 'there are no listeners';
    case 'flows':
      return flows === undefined ? 'asking ...' : 'nobody is connected';
    case 'events':
      return 'nothing has happened since this was opened';
    case 'cluster':
      return 'this instance has no cluster section: it shares its pins with nobody';
  }
}

function dialogLines(
  { title, lines: whole, offset: wanted, wish }: Dialog,
  width: number,
  room: number,
): Line[] {
  const lines = whole.flatMap((line) => wrapLine(line, width));
  const rows = Math.max(1, room - 4);
  const end = wish === undefined ? 'any key closes this' : 'y: do it   n: leave it';
  const offset = Math.min(wanted, Math.max(0, lines.length - rows));
  const more = lines.length - offset - rows;
  return [
    [],
    [span(printable(title), 'strong')],
    ...lines.slice(offset, offset + rows),
    [],
    [span(end, 'accent'), span(more > 0 ? `   ${more} more lines: down` : '', 'dim')],
  ];
}

const hints: Readonly<Record<ViewName, string>> = {
  pools: 'd drain  m maintenance  w weight  v move pins  e explain',
  listeners: 'Enter details  e explain',
  flows: 'x end  e explain  s sort',
  events: 'Enter details',
  cluster: 'Enter details',
};

function footLine({ prompt, note, view, dialog }: TopState): Line {
  if (prompt !== undefined)
    return [span(`${prompt.label}: `, 'accent'), span(prompt.text), span('_', 'selected')];
  if (note !== undefined) return [span(printable(note.text), note.isBad ? 'bad' : 'good')];
  if (dialog !== undefined) return [];
  return [span('q quit  ? help  / filter  ', 'dim'), span(hints[view], 'dim')];
}
