/** `pinion check`: is this configuration good? */
import { Command } from 'commander';
import { loadOrComplain } from './load.ts';

export function checkCommand(): Command {
  return new Command('check')
    .description('check a configuration and say everything that is wrong with it, each with file:line:column')
    .requiredOption('-c, --config <file>', 'the configuration')
    .option('--print', 'print what it means, with every default filled in, as JSON')
    .action((options: { config: string; print?: boolean }) => {
      const plan = loadOrComplain(options.config);
      if (plan === undefined) return;
      if (options.print) {
        process.stdout.write(`${JSON.stringify(plan, null, 2)}\n`);
        return;
      }
      const backends = plan.pools.reduce((count, pool) => count + pool.backends.length, 0);
      process.stdout.write(
        `${options.config} is good: listeners ${plan.listeners.length}, pools ${plan.pools.length}, backends ${backends}\n`,
      );
    });
}
