/**
 * A table for a terminal. What does not fit is left out in the order that its columns say, then texts are cut; into a file or a pipe
 * everything is written, however wide.
 */
import { cut, type Line, pad, type Span, type Style, span, widthOf } from './line.ts';

export interface Column {
  readonly title: string;
  /** Default: left. Numbers stand right. */
  readonly align?: 'left' | 'right';
  /** On a narrow terminal the columns with the highest number go first; absent: it stays. */
  readonly leaves?: number;
  /** Texts of it may be cut down to so many columns; absent: they are not. */
  readonly cutTo?: number;
}

/** Text, or text and what it means. Empty: there is nothing to say, shown as `-`. */
export type Cell = string | Span;

const gap = '  ';

/**
 * @param width of the terminal; Infinity: there is none
 * @returns the titles, then a line for each row
 */
function table(columns: readonly Column[], rows: readonly (readonly Cell[])[], width: number): Line[] {
  const spans = rows.map((row) => row.map(shown));
  const natural = columns.map(({ title }, at) =>
    spans.reduce((most, row) => Math.max(most, widthOf(row[at]!.text)), widthOf(title)),
  );
  const kept = columnsThatFit(columns, natural, width);
  const widths = shrunk(columns, natural, kept, width);
  const draw = (cells: readonly Span[]): Line =>
    kept.flatMap((at, i): Span[] => {
      const { text, style } = cells[at]!;
      const cell = cut(text, widths[at]!);
      const isLast = i === kept.length - 1;
      const { align = 'left' } = columns[at]!;
      // Spaces have no style: a selected or underlined cell ends with its text.
      const padded = isLast && align === 'left' ? cell : pad(cell, widths[at]!, align);
      return isLast ? [span(padded, style)] : [span(padded, style), span(gap)];
    });
  const titles = columns.map(({ title }) => span(title, 'dim' satisfies Style));
  return [draw(titles), ...spans.map(draw)];
}

function shown(cell: Cell): Span {
  const piece = typeof cell === 'string' ? span(cell) : cell;
  return piece.text === '' ? span('-', 'dim') : piece;
}

/** Places of the columns that stay. */
function columnsThatFit(columns: readonly Column[], natural: readonly number[], width: number): number[] {
  const least = (at: number): number => Math.min(natural[at]!, columns[at]!.cutTo ?? natural[at]!);
  const kept = columns.map((_, at) => at);
  const room = (): number => kept.reduce((sum, at) => sum + least(at), gap.length * (kept.length - 1));
  while (room() > width) {
    const [first] = kept
      .filter((at) => columns[at]!.leaves !== undefined)
      .sort((a, b) => columns[b]!.leaves! - columns[a]!.leaves!);
    if (first === undefined) break;
    kept.splice(kept.indexOf(first), 1);
  }
  return kept;
}

/** Widths by place: what would leave first is cut first, and of two alike the wider one. */
function shrunk(
  columns: readonly Column[],
  natural: readonly number[],
  kept: readonly number[],
  width: number,
): number[] {
  const widths = [...natural];
  let over = kept.reduce((sum, at) => sum + widths[at]!, gap.length * (kept.length - 1)) - width;
  while (over > 0) {
    const [next] = kept
      .filter((at) => widths[at]! > (columns[at]!.cutTo ?? Number.POSITIVE_INFINITY))
      .sort((a, b) => staying(columns[a]!) - staying(columns[b]!) || widths[b]! - widths[a]!);
    if (next === undefined) break;
    widths[next]! -= 1;
    over -= 1;
  }
  return widths;
}

/** How late it leaves. */
function staying({ leaves = -1 }: Column): number {
  return -leaves;
}

/** A column that knows what stands in it. */
export interface Field<Row> extends Column {
  readonly cell: (row: Row) => Cell;
  /** What rows are put in order by; absent: by this column they are not. */
  readonly order?: (row: Row) => number | string;
}

/** {@link table} of rows as fields show them. */
export function tableOf<Row>(fields: readonly Field<Row>[], rows: readonly Row[], width: number): Line[] {
  return table(
    fields,
    rows.map((row) => fields.map(({ cell }) => cell(row))),
    width,
  );
}
