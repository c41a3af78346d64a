/**
 * The text of families, as bytes. Most numbers of most backends are what they were when the page was made last: a family of many rows of
 * which that is true is copied from the last page, so that a scrape of a thousand backends makes a fifth of its 23,000 lines.
 *
 *    last page   | few lines |  up of 1,000  |  flows of 1,000  | ...        families, one after the other
 *                                   |copied        x made anew
 *    this page   | few lines |  up of 1,000  |  flows of 1,000  | ...
 *
 * One page is kept, the last: 70 bytes a line.
 */
import type { Distribution } from '../core/histograms.ts';
import { type Family, type FamilyTable, labelPairs, labelText } from './family.ts';

/** A family of rows as it is on the last page. */
interface Known {
  labels: readonly string[];
  numbers: Float64Array;
  bytes: Uint8Array;
}

export class Page {
  private readonly families: readonly Family[];
  private readonly known = new Map<Family, Known>();
  /** What is read of a family, before it is compared. */
  private scratch = new Float64Array(0);

  constructor(families: readonly Family[]) {
    this.families = families;
  }

  /**
   * All lines as they are now, each with its end.
   * @param after what is to stand behind them
   */
  bytes(after = ''): Buffer {
    const pieces: Uint8Array[] = [];
    const rowed: { readonly at: number; readonly known: Known }[] = [];
    let lines: string[] = [];
    for (const family of this.families) {
      lines.push(headOf(family));
      if (family.table === undefined) {
        addLines(lines, family);
        continue;
      }
      pieces.push(textOf(lines));
      lines = [];
      const known = this.rowsOf(family, family.table);
      rowed.push({ at: pieces.length, known });
      pieces.push(known.bytes);
    }
    pieces.push(textOf(lines), Buffer.from(after));
    const page = Buffer.concat(pieces);
    const starts = startsOf(pieces);
    // What is known of rows stands in the page from now on, and nowhere else.
    for (const { at, known } of rowed)
      known.bytes = page.subarray(starts[at]!, starts[at]! + pieces[at]!.byteLength);
    return page;
  }

  private rowsOf(family: Family, table: FamilyTable): Known {
    const labels = table.labels();
    const count = labels.length;
    if (this.scratch.length < count) this.scratch = new Float64Array(count);
    const { scratch } = this;
    table.read(scratch);
    const known = this.known.get(family);
    if (known?.labels === labels && isEqual(known.numbers, scratch)) return known;
    let text = '';
    for (let i = 0; i < count; i++) text += `${family.name}${labels[i]}${valueText(scratch[i]!)}\n`;
    const made = { labels, numbers: scratch.slice(0, count), bytes: Buffer.from(text) };
    this.known.set(family, made);
    return made;
  }
}

function startsOf(pieces: readonly Uint8Array[]): number[] {
  let end = 0;
  return pieces.map(({ byteLength }) => {
    end += byteLength;
    return end - byteLength;
  });
}

/** @param other may go on */
function isEqual(one: Float64Array, other: Float64Array): boolean {
  for (let i = 0; i < one.length; i++) if (one[i] !== other[i]) return false;
  return true;
}

function textOf(lines: readonly string[]): Uint8Array {
  return Buffer.from(lines.length === 0 ? '' : `${lines.join('\n')}\n`);
}

function headOf({ name, help, type }: Family): string {
  return `# HELP ${name} ${help.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')}\n# TYPE ${name} ${type}`;
}

function addLines(lines: string[], family: Family): void {
  const { name, labels: names } = family;
  if (family.type === 'histogram') {
    family.read((distribution, ...labels) =>
      addDistribution(lines, name, labelPairs(names, labels), distribution),
    );
  } else
    family.read((value, ...labels) => void lines.push(name + labelText(names, labels) + valueText(value)));
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

function valueText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}
