/** `pinion check`: is this configuration good? */
import { Command } from 'commander';
import { printPlan } from '../config/print.ts';
import { loadOrComplain, requiredConfigFile, withConfigFile } from './load.ts';
import { print } from './standard-output.ts';

export function checkCommand(): Command {
  return withConfigFile(new Command('check'))
    .description('check a configuration and say everything that is wrong with it, each with file:line:column')
    .option('--print', 'print what it means, with every default filled in, as JSON')
    .action((file: string | undefined, options: { print?: boolean }, command: Command) => {
      const path = requiredConfigFile(command, file);
      const plan = loadOrComplain(path);
      if (plan === undefined) return;
      if (options.print) {
        print(`${printPlan(plan)}\n`);
        return;
      }
      const backends = plan.pools.reduce((count, pool) => count + pool.backends.length, 0);
      print(
        `${path} is good: listeners ${plan.listeners.length}, pools ${plan.pools.length}, backends ${backends}\n`,
      );
    });
}
