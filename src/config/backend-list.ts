/**
 * A file that is nothing but a list of backends, in the form that `backends` has in a pool; YAML, and so JSON. Read within the bounds
 * of a configuration, and refused whole with the first thing that is wrong: a list that is half right would take servers away.
 */
import { backendsPerPoolMax } from '../core/limits.ts';
import type { Reading } from '../core/options.ts';
import type { BackendPlan } from '../core/plan.ts';
import { backendShape, buildBackend } from './backend-shape.ts';
import { findingsOf } from './issues.ts';
import { formatPath, type Path } from './problem.ts';
import { type Report, reportRepeats } from './report.ts';
import type { Remark } from './telling.ts';
import { readText } from './text.ts';
import { readTree, type Tree } from './tree.ts';
import * as z from './zod.ts';

/** Where a list has its place in a configuration: what is known of keys is known by their place there. */
const base: Path = ['pools', 'list', 'backends'];
const list = z
  .array(backendShape, { error: 'must be a list of backends (- name: ...)' })
  .max(backendsPerPoolMax, { error: `has more than ${backendsPerPoolMax} backends` });
const asConfiguration = z.object({ pools: z.object({ list: z.object({ backends: list }) }) });

/** Reads the list at `path`; an empty one is `[]`. Blocks; never throws: what it refuses begins with the place. */
export function readBackendList(path: string): Reading<readonly BackendPlan[]> {
  const text = readText(path);
  return 'value' in text ? parseBackendList(text.value, path) : { refused: `${path}: ${text.refused}` };
}

/** The same for a text. `source` is what problems call it. */
export function parseBackendList(text: string, source: string): Reading<readonly BackendPlan[]> {
  const tree = readTree(text, source, 'a list of backends, or [] for none');
  if (!('value' in tree))
    return refused(
      tree.problems.map(({ line, column, message }) => ({ line, column, message })),
      source,
    );
  const value = Array.isArray(tree.value) ? tree.value.slice(0, backendsPerPoolMax + 1) : tree.value;
  const placed: Tree = {
    ...tree,
    value: { pools: { list: { backends: value } } },
    place: (at, what) => tree.place(at.slice(base.length), what),
  };
  const shaped = asConfiguration.safeParse(placed.value);
  const remarks = shaped.success
    ? repeats(shaped.data.pools.list.backends, placed)
    : findingsOf(shaped.error.issues, placed);
  const found = [
    ...tree.problems,
    ...remarks.map(({ path, at, message }) => {
      const where = formatPath(path.slice(base.length));
      const words = typeof message === 'string' ? message : message();
      return { ...placed.place(path, at), message: where === '' ? words : `${where}: ${words}` };
    }),
  ];
  if (!shaped.success || found.length > 0) return refused(found, source);
  return { value: shaped.data.pools.list.backends.map(buildBackend) };
}

function repeats(backends: readonly { readonly name: string }[], tree: Tree): Remark[] {
  const remarks: Remark[] = [];
  const add: Report['problem'] = (path, message, at = 'value') => remarks.push({ path, at, message });
  const report: Report = {
    problem: add,
    warning: add,
    pointTo: (path) => `line ${tree.place(path, 'value').line}`,
  };
  reportRepeats(
    backends.map(({ name }, i) => ({ name, path: [...base, i, 'name'] })),
    ({ name }) => name,
    ({ path }) => path,
    report,
    (name, first) => `"${name}" is the name of another backend of this list: ${first}`,
  );
  return remarks;
}

interface Found {
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** The first in the order of the file, and how many there are besides. */
function refused(found: readonly Found[], source: string): { readonly refused: string } {
  const [first, ...others] = [...found].sort((a, b) => a.line - b.line || a.column - b.column);
  const { line, column, message } = first!;
  const place = line === 0 ? source : `${source}:${line}:${column}`;
  const more = others.length === 0 ? '' : ` (and ${others.length} more)`;
  return { refused: `${place}: ${message}${more}` };
}
