/**
 * Rules that need more than one key: names that are used twice, pools that do not exist, settings that fight.
 * Each rule sees a draft and reports all it finds; the rules for listeners and pools are in the files beside this.
 */
import { checkListeners } from './check-listeners.ts';
import { checkPools } from './check-pools.ts';
import type { Draft } from './draft.ts';
import { formatPath, type Path, type Problem } from './problem.ts';
import type { Report } from './report.ts';
import type { Tree } from './tree.ts';

/** Runs every rule. */
export function checkDraft(draft: Draft, tree: Tree): { problems: Problem[]; warnings: Problem[] } {
  const problems: Problem[] = [];
  const warnings: Problem[] = [];
  const make = (path: Path, message: string, at: 'key' | 'value' = 'value'): Problem => ({
    file: tree.source,
    ...tree.place(path, at),
    path: formatPath(path),
    message,
  });
  const report: Report = {
    problem: (path, message, at) => problems.push(make(path, message, at)),
    warning: (path, message, at) => warnings.push(make(path, message, at)),
    pointTo: (path) => `${formatPath(path)} (line ${tree.place(path, 'value').line})`,
  };
  checkListeners(draft, report);
  checkPools(draft, report);
  if (draft.redis?.value.password !== undefined)
    report.warning(draft.redis.path, 'the password is in the file; use password_file');
  return { problems, warnings };
}
