/** `pinion run`: the balancer. */
import { Command } from 'commander';
import type { Loaded } from '../config/load.ts';
import { StartFailure } from '../control/listeners.ts';
import { createLog, logEvents } from '../observe/log.ts';
import { watchConfig } from './config-watch.ts';
import { demo, demoPortOption } from './demo.ts';
import { exitStatus } from './exit.ts';
import { Instance } from './instance.ts';
import { configFileOf, loadedOrComplain, requiredConfigFile, warn, withConfigFile } from './load.ts';
import { MachineFailure } from './machine.ts';
import { takePassedSockets } from './passed-sockets.ts';
import { ServiceManager } from './service-manager.ts';

export function runCommand(): Command {
  return withConfigFile(new Command('run'))
    .description('run the balancer with a configuration')
    .option('-w, --watch', 'reload when the file has changed')
    .addHelpText(
      'after',
      '\nSignals: SIGTERM and SIGINT drain (shutdown.drain), a second one ends at once; SIGHUP reads the file again, or drains when its terminal was closed.',
    )
    .action(async (file: string | undefined, options: RunOptions, command: Command) => {
      const loaded = loadedOrComplain(requiredConfigFile(command, file));
      if (loaded !== undefined) await run(loaded, options);
    });
}

interface RunOptions {
  /** Reload when the file has changed. */
  readonly watch?: boolean;
}

/** What `npm start` runs: the demo, or `run` when a configuration is given. */
export function startCommand(): Command {
  return withConfigFile(new Command('start'))
    .description('run the demo, or the balancer when a configuration is given')
    .option('-w, --watch', 'reload when the file has changed')
    .addOption(demoPortOption())
    .action(async (file: string | undefined, options: RunOptions & { port: number }, command: Command) => {
      const path = configFileOf(command, file);
      if (path === undefined) return demo(options.port);
      const loaded = loadedOrComplain(path);
      if (loaded !== undefined) await run(loaded, options);
    });
}

async function run(loaded: Loaded, options: RunOptions): Promise<void> {
  const { plan } = loaded;
  const log = createLog(plan.log.level);
  const complain = (line: string): void => warn([line]);
  const manager = await ServiceManager.take(process.env, complain);
  const passed = await takePassedSockets(process.env, complain);
  let isFailing = false;
  const fail = async (error: unknown, status: number): Promise<void> => {
    // What fails while the end is under way has nobody to be told to.
    if (isFailing) return;
    isFailing = true;
    manager?.failed(error instanceof Error ? error.message : String(error));
    log.logger.fatal({ event: 'failed', err: error }, error instanceof Error ? error.message : String(error));
    await log.flush();
    process.exit(status);
  };
  // A defect leaves the process in a state nobody knows: say so and let the service manager start a fresh one.
  process.on('uncaughtException', (error) => void fail(error, exitStatus.defect));
  process.on('unhandledRejection', (error) => void fail(error, exitStatus.defect));
  try {
    const instance = await Instance.create(loaded, {
      watch: logEvents(log.logger, plan.log.flows.level),
      flush: () => log.flush(),
      logLinesDropped: () => log.dropped(),
      manager,
      passed,
    });
    await instance.start();
    if (options.watch) watchConfig(plan.source, () => void instance.reload());
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    const lines = error instanceof MachineFailure ? error.lines : [`pinion: ${error.message}`];
    for (const line of lines) process.stderr.write(`${line}\n`);
    if (error instanceof MachineFailure)
      for (const line of lines.slice(0, -1)) log.logger.fatal({ event: 'failed', err: line }, line);
    await fail(error instanceof MachineFailure ? lines.at(-1) : error.message, exitStatus.refused);
  }
}
