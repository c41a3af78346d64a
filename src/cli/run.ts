/** `pinion run`: the balancer. */
import { Command } from 'commander';
import { StartFailure } from '../control/listeners.ts';
import type { Plan } from '../core/plan.ts';
import { createLog, logEvents } from '../observe/log.ts';
import { demo } from './demo.ts';
import { exitStatus } from './exit.ts';
import { Instance } from './instance.ts';
import { configFileOf, loadOrComplain, requiredConfigFile, withConfigFile } from './load.ts';

export function runCommand(): Command {
  return withConfigFile(new Command('run'))
    .description('run the balancer with a configuration')
    .addHelpText(
      'after',
      '\nSignals: SIGTERM and SIGINT drain (shutdown.drain), a second one ends at once; SIGHUP reads the file again.',
    )
    .action(async (file: string | undefined, _options: object, command: Command) => {
      const plan = loadOrComplain(requiredConfigFile(command, file));
      if (plan !== undefined) await run(plan);
    });
}

/** What `npm start` runs: the demo, or `run` when a configuration is given. */
export function startCommand(): Command {
  return withConfigFile(new Command('start'))
    .description('run the demo, or the balancer when a configuration is given')
    .action(async (file: string | undefined, _options: object, command: Command) => {
      const path = configFileOf(command, file);
      if (path === undefined) return demo();
      const plan = loadOrComplain(path);
      if (plan !== undefined) await run(plan);
    });
}

async function run(plan: Plan): Promise<void> {
  const log = createLog(plan.log.level);
  let isFailing = false;
  const fail = async (error: unknown, status: number): Promise<void> => {
    // What fails while the end is under way has nobody to be told to.
    if (isFailing) return;
    isFailing = true;
    log.logger.fatal({ event: 'failed', err: error }, error instanceof Error ? error.message : String(error));
    await log.flush();
    process.exit(status);
  };
  // A defect leaves the process in a state nobody knows: say so and let the service manager start a fresh one.
  process.on('uncaughtException', (error) => void fail(error, exitStatus.defect));
  process.on('unhandledRejection', (error) => void fail(error, exitStatus.defect));
  try {
    const instance = await Instance.create(plan, {
      watch: logEvents(log.logger, plan.log.flows.level),
      flush: () => log.flush(),
      logLinesDropped: () => log.dropped(),
    });
    await instance.start();
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    process.stderr.write(`pinion: ${error.message}\n`);
    await fail(error.message, exitStatus.refused);
  }
}
