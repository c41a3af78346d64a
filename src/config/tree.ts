/**
 * YAML text as plain values that remember where they were written.
 *
 *     text -> yaml/read.ts -> values + marks -> places
 *
 * It knows nothing of what the keys mean.
 */
import { formatPath, type Path, type Problem, problemIn } from './problem.ts';
import { type ListMarks, type MapMarks, readYaml, type YamlDocument } from './yaml/read.ts';

export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Tree {
  readonly source: string;
  readonly value: unknown;
  /** What is wrong with the keys as YAML; the first of two equal keys is in `value`. */
  readonly problems: readonly Problem[];
  /** How many more of these there are. */
  readonly problemsLeftOut: number;
  /**
   * Where `path` is written: its value, or its key. What is not there has the place of the nearest thing above it
   * that is (the key of that, when it has one).
   */
  place(path: Path, at: 'key' | 'value'): Place;
}

/** What is left when the values cannot be had. */
export interface Unreadable {
  readonly problems: readonly Problem[];
  readonly problemsLeftOut: number;
}

const wholeFile: Place = { line: 0, column: 0 };

/**
 * Reads the one document in `text`; the problems are those of YAML itself. Never throws.
 * @param needs what is missing in an empty one
 */
export function readTree(text: string, source: string, needs = 'listeners and pools'): Tree | Unreadable {
  const lines = new Lines(text);
  const single = (place: Place, message: string): Unreadable => ({
    problems: [problemIn(source, place, '', message)],
    problemsLeftOut: 0,
  });
  const document = readYaml(text);
  if ('message' in document) return single(lines.place(document.offset), document.message);
  if (document.value === null && document.faults.length === 0)
    return single(wholeFile, `is empty: it needs ${needs}`);
  const problems = document.faults.map((fault) => {
    const first =
      fault.firstOffset === undefined ? '' : ` (first in line ${lines.place(fault.firstOffset).line})`;
    return problemIn(source, lines.place(fault.offset), formatPath(fault.path), fault.message + first);
  });
  const problemsLeftOut = document.faultsLeftOut;
  if (document.faults.some((fault) => fault.fatal)) return { problems, problemsLeftOut };
  return {
    source,
    value: document.value,
    problems,
    problemsLeftOut,
    place: (path, what) => lines.place(offsetOf(document, path, what)),
  };
}

/** Where the lines of a text begin, found when somebody asks. */
class Lines {
  readonly #text: string;
  #starts: number[] | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  place(offset: number): Place {
    this.#starts ??= this.#find();
    let low = 0;
    let high = this.#starts.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle]! <= offset) low = middle;
      else high = middle;
    }
    return { line: low + 1, column: offset - this.#starts[low]! + 1 };
  }

  #find(): number[] {
    const starts = [0];
    for (let at = this.#text.indexOf('\n'); at >= 0; at = this.#text.indexOf('\n', at + 1))
      starts.push(at + 1);
    return starts;
  }
}

/** An offset into the text, as {@link Tree.place} describes. */
function offsetOf(document: YamlDocument, path: Path, at: 'key' | 'value'): number {
  let value = document.value;
  let valueOffset = document.offset;
  let keyOffset: number | undefined;
  for (const [depth, step] of path.entries()) {
    const marks = typeof value === 'object' && value !== null ? document.marks.get(value) : undefined;
    const mark = markOf(marks, step);
    if (mark === undefined) return keyOffset ?? valueOffset;
    keyOffset = mark.key;
    value = (value as Record<string | number, unknown>)[step];
    // An empty value is written nowhere: its key is the place to look.
    valueOffset = value === null ? (mark.key ?? mark.value) : mark.value;
    if (depth === path.length - 1 && at === 'value') return valueOffset;
  }
  return keyOffset ?? valueOffset;
}

function markOf(
  marks: ListMarks | MapMarks | undefined,
  step: string | number,
): { readonly key: number | undefined; readonly value: number } | undefined {
  if (marks instanceof Map) return marks.get(String(step));
  const value = marks?.[Number(step)];
  return value === undefined ? undefined : { key: undefined, value };
}
