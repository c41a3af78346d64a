/** `pinion check`: is this configuration good? */
import type { Command } from 'commander';
import { formatProblem } from '../config/load.ts';
import { printPlan } from '../config/print.ts';
import { decideEngine, engineWarnings } from '../engine/select.ts';
import { loadedOrComplain, requiredConfigFile, warn } from './load.ts';
import { lookAtMachine } from './machine.ts';
import { print } from './standard-output.ts';

export async function check(
  command: Command,
  file: string | undefined,
  options: { readonly print?: boolean },
): Promise<void> {
  const path = requiredConfigFile(command, file);
  const loaded = loadedOrComplain(path);
  if (loaded === undefined) return;
  const { plan } = loaded;
  const decision = await decideEngine(plan.engine);
  const { engine, works, reason } = decision;
  // Without it nobody knows what could be done.
  if (!works) warn([formatProblem(loaded.problemAt(['engine'], `epoll does not work here: ${reason}`))]);
  else {
    const { problems, warnings } = await lookAtMachine(loaded, engine);
    const wouldNotStart = problems.map((line) => `${line} (run would not start here)`);
    warn([...wouldNotStart, ...engineWarnings(decision), ...warnings]);
  }
  if (options.print) {
    print(`${printPlan(plan)}\n`);
    return;
  }
  const backends = plan.pools.reduce((count, pool) => count + pool.backends.length, 0);
  print(
    `${path} is good: listeners ${plan.listeners.length}, pools ${plan.pools.length}, backends ${backends}\n`,
  );
}
