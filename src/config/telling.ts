/**
 * Which problems are told: the first in the order of the file, once each, and how many there are besides. A file may
 * have as many as it has values, so the sentence of a problem, with its suggestions, is made only if it is told.
 */
import { problemsMax } from '../core/limits.ts';
import { formatPath, type Path, type Problem, problemIn } from './problem.ts';
import type { Tree } from './tree.ts';

/** Something that is wrong, or strange. */
export interface Remark {
  readonly path: Path;
  readonly at: 'key' | 'value';
  readonly message: string | (() => string);
}

export interface Told {
  readonly problems: readonly Problem[];
  /** How many more there are. */
  readonly leftOut: number;
}

interface Candidate {
  readonly line: number;
  readonly column: number;
  readonly lastStep: string | number | undefined;
  readonly make: () => Problem;
}

/** The first of `remarks` and of what `made` has already. */
export function tell(
  remarks: readonly Remark[],
  tree: Tree,
  made: Told = { problems: [], leftOut: 0 },
): Told {
  const candidates = [
    ...made.problems.map((problem): Candidate => ({ ...problem, lastStep: undefined, make: () => problem })),
    ...remarks.map((remark) => candidateOf(remark, tree)),
  ];
  candidates.sort((a, b) => a.line - b.line || a.column - b.column);
  const problems = new Map<string, Problem>();
  let { leftOut } = made;
  let steps = new Set<Candidate['lastStep']>();
  let before: Candidate | undefined;
  for (const candidate of candidates) {
    const isHere = candidate.line === before?.line && candidate.column === before.column;
    if (!isHere) steps = new Set();
    before = candidate;
    if (problems.size < problemsMax) {
      const problem = candidate.make();
      // What is wrong behind an alias would come again for every use of it.
      const key = `${problem.line}:${problem.column}:${candidate.lastStep}:${problem.message}`;
      if (!problems.has(key)) problems.set(key, problem);
    } else if (!steps.has(candidate.lastStep)) leftOut++;
    steps.add(candidate.lastStep);
  }
  return { problems: [...problems.values()], leftOut };
}

function candidateOf({ path, at, message }: Remark, tree: Tree): Candidate {
  const place = tree.place(path, at);
  const sentence = () => (typeof message === 'string' ? message : message());
  return {
    line: place.line,
    column: place.column,
    lastStep: path.at(-1),
    make: () => problemIn(tree.source, place, formatPath(path), sentence()),
  };
}
