/**
 * A configuration file as a plan, or everything that is wrong with it.
 *
 *     text.ts -> tree.ts -> shape.ts ----> build.ts -> Plan
 *     bytes      places     |  issues.ts -> draft.ts
 *                           |                  v
 *                           +--------------- check.ts -> problems, warnings
 *
 * It touches nothing but the file, and what this machine says of names by itself (machine.ts): no server is asked, no
 * address is tried.
 */
import type { Plan } from '../core/plan.ts';
import { buildPlan } from './build.ts';
import { checkDraft } from './check.ts';
import { draftOf, draftOfWhole } from './draft.ts';
import { findingsOf } from './issues.ts';
import { anyMachine, type LocalNames, thisMachine } from './machine.ts';
import { formatPath, formatProblem, type Path, type Problem, problemIn } from './problem.ts';
import { fileShape } from './shape.ts';
import { tell } from './telling.ts';
import { readText } from './text.ts';
import { readTree } from './tree.ts';
import { withinLimits } from './within-limits.ts';

export { formatProblem, type Problem } from './problem.ts';

interface Warned {
  readonly warnings: readonly Problem[];
  /** How many more warnings there are than those that are told. */
  readonly warningsLeftOut: number;
}

/** A file that is no plan: at least one problem. */
export interface Refused extends Warned {
  readonly problems: readonly Problem[];
  /** How many more problems there are than those that are told. */
  readonly problemsLeftOut: number;
}

/** A file that is a plan. */
export interface Loaded extends Warned {
  readonly plan: Plan;
  /** A problem that somebody else has found, where `path` is written. */
  problemAt(path: Path, message: string): Problem;
}

/** A plan, or at least one problem. Warnings come with both and stop nothing. In the order of the file. */
export type LoadResult = Loaded | Refused;

/** Reads and checks the file at `path`. Blocks while reading; never throws: a file that cannot be read is a problem. */
export function loadPlan(path: string): LoadResult {
  const text = readText(path);
  if ('value' in text) return parsePlan(text.value, path, thisMachine());
  return unreadable([{ file: path, line: 0, column: 0, path: '', message: text.refused }], 0);
}

/**
 * Checks the text of a configuration. `source` is the name that problems and the plan carry; `names` says what the
 * machine knows. Never throws.
 */
export function parsePlan(text: string, source: string, names: LocalNames = anyMachine): LoadResult {
  const tree = readTree(text, source);
  if (!('value' in tree)) return unreadable(tree.problems, tree.problemsLeftOut);
  const value = withinLimits(tree.value);
  const shaped = fileShape.safeParse(value);
  const findings = shaped.success ? [] : findingsOf(shaped.error.issues, tree);
  const draft = shaped.success ? draftOfWhole(shaped.data) : draftOf(tree, value, findings);
  const checked = checkDraft(draft, tree, names);
  const { problems, leftOut: problemsLeftOut } = tell([...findings, ...checked.problems], tree, {
    problems: tree.problems,
    leftOut: tree.problemsLeftOut,
  });
  const { problems: warnings, leftOut: warningsLeftOut } = tell(checked.warnings, tree);
  if (!shaped.success || problems.length > 0) return { problems, problemsLeftOut, warnings, warningsLeftOut };
  const problemAt = (path: Path, message: string): Problem =>
    problemIn(source, tree.place(path, 'value'), formatPath(path), message);
  return { plan: buildPlan(shaped.data, source), warnings, warningsLeftOut, problemAt };
}

/** The problems as lines, and how many there are besides. */
export function problemLines(refused: Refused): string[] {
  return lines(refused.problems, refused.problemsLeftOut, 'problem');
}

/** As {@link problemLines}, for warnings. */
export function warningLines(result: LoadResult): string[] {
  return lines(result.warnings, result.warningsLeftOut, 'warning');
}

function lines(problems: readonly Problem[], leftOut: number, noun: string): string[] {
  const told = problems.map(formatProblem);
  if (leftOut === 0) return told;
  const more = `and ${leftOut.toLocaleString('en')} more ${noun}${leftOut === 1 ? '' : 's'}`;
  return [...told, `${problems[0]!.file}: ${more}`];
}

function unreadable(problems: readonly Problem[], problemsLeftOut: number): Refused {
  return { problems, problemsLeftOut, warnings: [], warningsLeftOut: 0 };
}
