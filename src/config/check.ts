/**
 * Rules that need more than one key: names that are used twice, pools that do not exist, settings that fight.
 * Each rule sees a draft and reports all it finds; the rules for listeners and pools are in the files beside this.
 */

import { checkAdmin } from './check-admin.ts';
import { checkGroups } from './check-groups.ts';
import { checkListeners } from './check-listeners.ts';
import { checkLoops } from './check-loops.ts';
import { checkPools } from './check-pools.ts';
import { checkPorts } from './check-ports.ts';
import { checkRelay } from './check-relay.ts';
import { checkTiers } from './check-tiers.ts';
import type { Draft } from './draft.ts';
import type { LocalNames } from './machine.ts';
import { formatPath } from './problem.ts';
import type { Report } from './report.ts';
import type { Remark } from './telling.ts';
import type { Tree } from './tree.ts';

/** Runs every rule. */
export function checkDraft(
  draft: Draft,
  tree: Tree,
  names: LocalNames,
): { problems: Remark[]; warnings: Remark[] } {
  const problems: Remark[] = [];
  const warnings: Remark[] = [];
  const report: Report = {
    problem: (path, message, at = 'value') => problems.push({ path, message, at }),
    warning: (path, message, at = 'value') => warnings.push({ path, message, at }),
    pointTo: (path) => `${formatPath(path)} (line ${tree.place(path, 'value').line})`,
  };
  checkListeners(draft, report);
  checkPools(draft, report);
  checkPorts(draft, report);
  checkRelay(draft, report);
  checkTiers(draft, report);
  checkGroups(draft, report);
  checkLoops(draft, names, report);
  checkAdmin(draft, report);
  if (draft.redis?.value.password !== undefined)
    report.warning(draft.redis.path, 'the password is in the file; use password_file');
  return { problems, warnings };
}
