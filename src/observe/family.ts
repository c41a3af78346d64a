/**
 * A metric family: a name, a text for operators, and how its numbers are read when somebody asks for the page. The page is
 * Prometheus's text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), written here (page.ts) and not by
 * prom-client: a thousand backends are 23,000 lines, and a collector for each would take most of a scrape.
 */
import type { Distribution } from '../core/histograms.ts';

type Value<T extends FamilyType> = T extends 'histogram' ? Distribution : number;
type FamilyType = 'counter' | 'gauge' | 'histogram';

interface FamilyOf<T extends FamilyType> {
  readonly name: string;
  readonly help: string;
  readonly type: T;
  readonly labels: readonly string[];
  readonly read: (add: (value: Value<T>, ...labels: string[]) => void) => void;
  /** The same numbers in one go, of a family that has a line for each of many rows. */
  readonly table?: FamilyTable;
}

/** One metric family, read when the page is. A distribution is in milliseconds, and its name ends in `_seconds`. */
export type Family = FamilyOf<'counter' | 'gauge'> | FamilyOf<'histogram'>;

export type NumberType = 'counter' | 'gauge';

export interface FamilyTable {
  /** What stands between name and number in each line: `{pool="p"} `. The same array as long as all of them are the same. */
  readonly labels: () => readonly string[];
  /** @param into as long as the labels are many */
  readonly read: (into: Float64Array) => void;
}

/** A family of one number. */
export function single(name: string, type: NumberType, help: string, read: () => number): Family {
  return { name, help, type, labels: [], read: (add) => add(read()) };
}

/** Names of labels, and what they are of a row. */
export type RowLabels<Row> = Readonly<Record<string, (row: Row) => string>>;

/** A label of which each row has a line for each word. */
export interface WordLabel<Word extends string> {
  readonly name: string;
  readonly words: readonly Word[];
}

/**
 * Makes families that have a number for each row, under the row's labels. The text of these is made once for all families and pages, as
 * long as the rows have the same: of a page with a thousand backends it would be half of the work.
 * @param each one more label, after the others
 */
export function familyOf<Row extends object, Word extends string = ''>(
  rows: () => readonly Row[],
  labels: RowLabels<Row>,
  each: WordLabel<Word> = { name: '', words: [''] as readonly string[] as readonly Word[] },
): (name: string, type: NumberType, help: string, read: (row: Row, word: Word) => number) => Family {
  const parts = Object.values(labels);
  const names = [...Object.keys(labels), ...(each.name === '' ? [] : [each.name])];
  const labelsOf = (row: Row, word: Word): string[] => [
    ...parts.map((part) => part(row)),
    ...(each.name === '' ? [] : [word]),
  ];
  const texts = keptTexts(rows, parts, (row) =>
    each.words.map((word) => labelText(names, labelsOf(row, word))),
  );
  return (name, type, help, read) => ({
    name,
    help,
    type,
    labels: names,
    read: (add) => {
      for (const row of rows()) for (const word of each.words) add(read(row, word), ...labelsOf(row, word));
    },
    table: {
      labels: texts,
      read: (into) => {
        let at = 0;
        for (const row of rows()) for (const word of each.words) into[at++] = read(row, word);
      },
    },
  });
}

/** The texts of all rows: the same array as long as no row has another label. */
function keptTexts<Row extends object>(
  rows: () => readonly Row[],
  parts: readonly ((row: Row) => string)[],
  textsOf: (row: Row) => readonly string[],
): () => readonly string[] {
  let known: { readonly rows: readonly Row[]; readonly texts: readonly string[] } = { rows: [], texts: [] };
  const isAsBefore = (now: readonly Row[]): boolean => {
    if (now.length !== known.rows.length) return false;
    for (let i = 0; i < now.length; i++)
      for (const part of parts) if (part(now[i]!) !== part(known.rows[i]!)) return false;
    return true;
  };
  return () => {
    const now = rows();
    if (now !== known.rows)
      known = { rows: now, texts: isAsBefore(now) ? known.texts : now.flatMap(textsOf) };
    return known.texts;
  };
}

/** A family of a distribution for each row. One that has counted nothing is left out: there may be thousands. */
export function distributions<Row>(
  rows: () => Iterable<Row>,
  label: string,
  labelOf: (row: Row) => string,
): (name: string, help: string, read: (row: Row) => Distribution) => Family {
  return (name, help, read) => ({
    name,
    help,
    type: 'histogram',
    labels: [label],
    read: (add) => {
      for (const row of rows()) {
        const distribution = read(row);
        if (distribution.count > 0) add(distribution, labelOf(row));
      }
    },
  });
}

/** What stands between a name and its number: `{pool="p"} `, or a space where there are no labels. */
export function labelText(names: readonly string[], labels: readonly string[]): string {
  return names.length === 0 ? ' ' : `{${labelPairs(names, labels)}} `;
}

/** `pool="p",backend="b"` */
export function labelPairs(names: readonly string[], labels: readonly string[]): string {
  let text = '';
  for (let i = 0; i < names.length; i++)
    text += `${i === 0 ? '' : ','}${names[i]}="${escaped(labels[i] ?? '')}"`;
  return text;
}

function escaped(label: string): string {
  return /["\\\n]/.test(label)
    ? label.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n')
    : label;
}
