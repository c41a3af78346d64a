/** The commands that need no running instance: the balancer itself, the demo, what checks a file or prints. */
import { Command, InvalidArgumentError, Option } from 'commander';
import type { Protocol } from '../../core/plan.ts';
import { atOnce } from './at-once.ts';
import { withConfigFile } from './options.ts';

export interface RunOptions {
  /** Reload when the file has changed. */
  readonly watch?: boolean;
}

export function runCommand(): Command {
  return withConfigFile(new Command('run'))
    .description('run the balancer with a configuration')
    .option('-w, --watch', 'reload when the file has changed')
    .addHelpText(
      'after',
      '\nSignals: SIGTERM and SIGINT drain (shutdown.drain), a second one ends at once; SIGHUP reads the file again, or drains when its terminal was closed; SIGUSR1 opens log.access.file again.',
    )
    .action(async (file: string | undefined, options: RunOptions, command: Command) =>
      (await import('../run.ts')).run(command, file, options),
    );
}

/** What `npm start` runs: the demo, or `run` when a configuration is given. */
export function startCommand(): Command {
  return withConfigFile(new Command('start'))
    .description('run the demo, or the balancer when a configuration is given')
    .option('-w, --watch', 'reload when the file has changed')
    .addOption(demoPortOption())
    .action(async (file: string | undefined, options: RunOptions & DemoOptions, command: Command) =>
      (await import('../run.ts')).start(command, file, options),
    );
}

export function checkCommand(): Command {
  return withConfigFile(new Command('check'))
    .description('check a configuration and say everything that is wrong with it, each with file:line:column')
    .option('--print', 'print what it means, with every default filled in, as JSON')
    .action(async (file: string | undefined, options: { print?: boolean }, command: Command) =>
      (await atOnce('../check.ts', () => import('../check.ts'))).check(command, file, options),
    );
}

export function demoCommand(): Command {
  return new Command('demo')
    .description('run the balancer with sample backends on this machine, and show what happens')
    .addOption(demoPortOption())
    .action(async ({ port }: DemoOptions) => (await import('../demo.ts')).demo(port));
}

export interface DemoOptions {
  readonly port: number;
}

/** Of the demo's listeners, in its file. */
export const demoPort = 9_000;
/** Its metrics page is 464 ports above. */
const demoPortMax = 65_535 - 464;

function demoPortOption(): Option {
  return new Option(
    '--port <port>',
    'where clients of the demo connect; its other ports follow, up to PORT+464',
  )
    .default(demoPort)
    .argParser((text) => {
      const port = Number(text);
      if (Number.isInteger(port) && port > 0 && port <= demoPortMax) return port;
      throw new InvalidArgumentError(`must be a port from 1 to ${demoPortMax}`);
    });
}

/** One sample backend; the demo starts it as a process of its own. */
export function sampleBackendCommand(): Command {
  return new Command('sample-backend')
    .requiredOption('--protocol <tcp|udp>')
    .requiredOption('--ip <ip>')
    .requiredOption('--port <port>')
    .requiredOption('--name <name>')
    .action(async (options: { protocol: Protocol; ip: string; port: string; name: string }) =>
      (await import('../sample-backend.ts')).serveSample(
        options.protocol,
        options.ip,
        Number(options.port),
        options.name,
      ),
    );
}

export interface KernelOptions {
  readonly wanted?: boolean;
  readonly elements?: boolean;
  readonly remove?: boolean;
}

export function kernelCommand(): Command {
  return withConfigFile(new Command('kernel'))
    .description(
      'print the rules of relay: kernel, as they are on this machine and as the configuration wants them',
    )
    .option('--wanted', 'only as the configuration wants them, as text for `nft -f`, with no backend up')
    .option('--elements', 'with the elements of sets and maps; default: how many there are')
    .option('--remove', 'take the table away: connections that it carries end')
    .action(async (file: string | undefined, options: KernelOptions, command: Command) =>
      (await import('../kernel.ts')).kernel(command, file, options),
    );
}

export function schemaCommand(): Command {
  return new Command('schema')
    .description('print the JSON Schema of the configuration file, for editors')
    .addHelpText(
      'after',
      '\nExample: pinion schema > pinion.schema.json, and as first line of the file:\n' +
        '  # yaml-language-server: $schema=pinion.schema.json',
    )
    .option('--markdown', 'print the reference for people instead: every key with its default and meaning')
    .action(async (options: { markdown?: boolean }) =>
      (await atOnce('../schema.ts', () => import('../schema.ts'))).printSchema(options),
    );
}
