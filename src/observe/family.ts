/**
 * A metric family: a name, a text for operators, and how its numbers are read when somebody asks for the page. The page is
 * Prometheus's text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/), written here and not by
 * prom-client: a thousand backends are 25,000 lines, and a collector for each would take most of a scrape.
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
  /** The same, with what stands between name and number as the page has it: `{pool="p"} `. */
  readonly readAsText?: (add: (value: number, labels: string) => void) => void;
}

/** One metric family, read when the page is. A distribution is in milliseconds, and its name ends in `_seconds`. */
export type Family = FamilyOf<'counter' | 'gauge'> | FamilyOf<'histogram'>;

export type NumberType = 'counter' | 'gauge';

/** A family of one number. */
export function single(name: string, type: NumberType, help: string, read: () => number): Family {
  return { name, help, type, labels: [], read: (add) => add(read()) };
}

/**
 * Makes families that have a value for each row, under the row's labels. The text of these is made once for all families: of a page
 * with a thousand backends it would be half of the work.
 */
export function familyOf<Row extends object>(
  rows: () => readonly Row[],
  labels: readonly string[],
  labelsOf: (row: Row) => readonly string[],
): (name: string, type: NumberType, help: string, read: (row: Row) => number) => Family {
  const texts = new WeakMap<Row, string>();
  const textOf = (row: Row): string => {
    let text = texts.get(row);
    if (text === undefined) {
      text = between(labels, labelsOf(row));
      texts.set(row, text);
    }
    return text;
  };
  return (name, type, help, read) => ({
    name,
    help,
    type,
    labels,
    read: (add) => {
      for (const row of rows()) add(read(row), ...labelsOf(row));
    },
    readAsText: (add) => {
      for (const row of rows()) add(read(row), textOf(row));
    },
  });
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

/**
 * The lines of families, without the last line's end. Each family's lines become one text before the next is read: kept by the
 * thousand, they are what the collector copies from one half of the young generation to the other, again and again.
 */
export function pageOf(families: readonly Family[]): string {
  const texts: string[] = [];
  const lines: string[] = [];
  for (const family of families) {
    addFamily(lines, family);
    texts.push(lines.join('\n'));
    lines.length = 0;
  }
  return texts.join('\n');
}

function addFamily(lines: string[], family: Family): void {
  const { name, help, type, labels: names } = family;
  lines.push(`# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}`, `# TYPE ${name} ${type}`);
  if (family.type === 'histogram') {
    family.read((distribution, ...labels) =>
      addDistribution(lines, name, pairs(names, labels), distribution),
    );
    return;
  }
  // Of as few parts as can be: each but the first is a string more that is thrown away.
  const addNumber = (value: number, text: string): void => void lines.push(name + text + valueText(value));
  if (family.readAsText !== undefined) family.readAsText(addNumber);
  else family.read((value, ...labels) => addNumber(value, between(names, labels)));
}

function addDistribution(
  lines: string[],
  name: string,
  labels: string,
  { buckets, count, sumMs }: Distribution,
): void {
  const before = labels === '' ? '' : `${labels},`;
  for (const { boundMs, count: below } of buckets)
    lines.push(`${name}_bucket{${before}le="${boundMs / 1_000}"} ${below}`);
  lines.push(`${name}_bucket{${before}le="+Inf"} ${count}`);
  const after = labels === '' ? '' : `{${labels}}`;
  lines.push(`${name}_sum${after} ${sumMs / 1_000}`, `${name}_count${after} ${count}`);
}

function between(names: readonly string[], labels: readonly string[]): string {
  return names.length === 0 ? ' ' : `{${pairs(names, labels)}} `;
}

function pairs(names: readonly string[], labels: readonly string[]): string {
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

function valueText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
