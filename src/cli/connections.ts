/** `pinion connections`: who is connected where, through which backend; and `connections kill`, which ends connections. */
import { Command } from 'commander';
import { readDuration } from '../config/units.ts';
import { mostRule, readMost } from '../front/most.ts';
import { exitStatus } from './exit.ts';
import { type AdminOptions, ask, withAdminOptions } from './operate.ts';

export function connectionsCommand(): Command {
  return withAdminOptions(new Command('connections'))
    .addCommand(killCommand())
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

const filters = ['listener', 'pool', 'backend', 'client'] as const;

interface KillOptions extends AdminOptions {
  readonly listener?: string;
  readonly pool?: string;
  readonly backend?: string;
  readonly client?: string;
  readonly all?: boolean;
  readonly over?: string;
  readonly everywhere?: boolean;
}

function killCommand(): Command {
  return withAdminOptions(new Command('kill'))
    .description('end connections and UDP conversations; their clients may come back at once')
    .option('--listener <name>', 'only of this listener')
    .option('--pool <name>', 'only of this pool')
    .option('--backend <name>', 'only to backends of this name')
    .option('--client <address>', 'only of this client or network')
    .option('--all', 'every one')
    .option('--over <time>', 'TCP: evenly over this time, such as 30s; default: close_over of each pool')
    .option('--everywhere', 'on all instances of the cluster; default: on this one')
    .action((_: unknown, command: Command) => {
      // What the command above it knows as well (--admin) is taken there.
      const options = command.optsWithGlobals<KillOptions>();
      const query = new URLSearchParams();
      for (const key of filters) if (options[key] !== undefined) query.set(key, options[key]);
      if (query.size === 0 && options.all !== true)
        return refuse(
          'connections kill: say which: --listener, --pool, --backend or --client; --all for every one',
        );
      if (options.all === true) query.set('all', '1');
      if (options.everywhere === true) query.set('everywhere', '');
      if (options.over !== undefined) {
        const over = readDuration(options.over);
        if ('refused' in over) return refuse(`--over ${over.refused}`);
        query.set('over-ms', String(over.value));
      }
      return ask(options, 'POST', `/connections/kill?${query}`);
    });
}

function refuse(why: string): undefined {
  process.stderr.write(`${why}\n`);
  process.exitCode = exitStatus.usage;
  return undefined;
}
