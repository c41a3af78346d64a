/** Reading the configuration for a command: problems and warnings go to standard error, one a line. */
import { formatProblem, loadPlan } from '../config/load.ts';
import type { Plan } from '../core/plan.ts';
import { exitStatus } from './exit.ts';

/** @returns undefined after the problems have been said and the exit status set */
export function loadOrComplain(path: string): Plan | undefined {
  const loaded = loadPlan(path);
  if ('problems' in loaded) {
    for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem)}\n`);
    process.exitCode = exitStatus.refused;
    return undefined;
  }
  for (const warning of loaded.warnings) process.stderr.write(`warning: ${formatProblem(warning)}\n`);
  return loaded.plan;
}
