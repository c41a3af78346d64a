/** `pinion connections`: who is connected where, through which backend. */
import { Command } from 'commander';
import { mostRule, readMost } from '../front/most.ts';
import { exitStatus } from './exit.ts';
import { type AdminOptions, ask, withAdminOptions } from './operate.ts';

export function connectionsCommand(): Command {
  return withAdminOptions(new Command('connections'))
    .description('who is connected where, as JSON')
    .option('--cluster', 'of all instances')
    .option('--most <count>', 'at most this many of each worker or instance', '1000')
    .action((options: AdminOptions & { cluster?: boolean; most: string }) => {
      if (readMost(options.most) === undefined) {
        process.stderr.write(`--most ${options.most}: ${mostRule}\n`);
        process.exitCode = exitStatus.usage;
        return undefined;
      }
      const query = new URLSearchParams({ most: options.most });
      if (options.cluster) query.set('cluster', '1');
      return ask(options, 'GET', `/connections?${query}`);
    });
}
