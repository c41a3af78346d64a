/**
 * A configuration file as a plan, or everything that is wrong with it.
 *
 *     text.ts -> tree.ts -> shape.ts ----> build.ts -> Plan
 *     bytes      places     |  issues.ts -> draft.ts
 *                           |                  v
 *                           +--------------- check.ts -> problems, warnings
 *
 * It touches nothing but the file: no name is resolved, no address is tried.
 */
import type { Plan } from '../core/plan.ts';
import { buildPlan } from './build.ts';
import { checkDraft } from './check.ts';
import { draftOf } from './draft.ts';
import { findingsOf, problemOf } from './issues.ts';
import type { Problem } from './problem.ts';
import { fileShape } from './shape.ts';
import { readText } from './text.ts';
import { readTree } from './tree.ts';

export { formatProblem, type Problem } from './problem.ts';

/** A plan, or at least one problem. Warnings come with both and stop nothing. In the order of the file. */
export type LoadResult =
  | { readonly plan: Plan; readonly warnings: readonly Problem[] }
  | { readonly problems: readonly Problem[]; readonly warnings: readonly Problem[] };

/** Reads and checks the file at `path`. Blocks while reading; never throws: a file that cannot be read is a problem. */
export function loadPlan(path: string): LoadResult {
  const text = readText(path);
  if ('value' in text) return parsePlan(text.value, path);
  return { problems: [{ file: path, line: 0, column: 0, path: '', message: text.refused }], warnings: [] };
}

/** Checks the text of a configuration. `source` is the name that problems and the plan carry. Never throws. */
export function parsePlan(text: string, source: string): LoadResult {
  const tree = readTree(text, source);
  if (!('value' in tree)) return { problems: tree.problems, warnings: [] };
  const shaped = fileShape.safeParse(tree.value);
  const findings = shaped.success ? [] : findingsOf(shaped.error.issues, tree);
  const checked = checkDraft(draftOf(tree, findings), tree);
  const problems = inOrder([
    ...tree.problems,
    ...findings.map((finding) => problemOf(finding, tree)),
    ...checked.problems,
  ]);
  const warnings = inOrder(checked.warnings);
  if (!shaped.success || problems.length > 0) return { problems, warnings };
  return { plan: buildPlan(shaped.data, source), warnings };
}

/** By place, once each: what is wrong behind an alias would come again for every use of it. */
function inOrder(problems: readonly Problem[]): Problem[] {
  const unique = new Map<string, Problem>();
  for (const problem of problems) {
    const key = `${problem.line}:${problem.column}:${lastStep(problem.path)}:${problem.message}`;
    if (!unique.has(key)) unique.set(key, problem);
  }
  return [...unique.values()].sort((a, b) => a.line - b.line || a.column - b.column);
}

function lastStep(path: string): string {
  return path.slice(path.lastIndexOf('.') + 1);
}
