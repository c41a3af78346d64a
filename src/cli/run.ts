/** `pinion run`: the balancer. */
import type { Command } from 'commander';
import { formatProblem, type Loaded } from '../config/load.ts';
import { StartFailure } from '../control/listeners.ts';
import { createLog, type Log, lastWords, logEvents } from '../observe/log.ts';
import type { DemoOptions, RunOptions } from './commands/run.ts';
import { watchConfig } from './config-watch.ts';
import { exitStatus } from './exit.ts';
import { Instance } from './instance.ts';
import { configFileOf, loadedOrComplain, requiredConfigFile, warn } from './load.ts';
import { MachineFailure } from './machine.ts';
import { takePassedSockets } from './passed-sockets.ts';
import { ServiceManager } from './service-manager.ts';

export async function run(command: Command, file: string | undefined, options: RunOptions): Promise<void> {
  const loaded = loadedOrComplain(requiredConfigFile(command, file));
  if (loaded !== undefined) await runLoaded(loaded, options);
}

/** What `npm start` runs: the demo, or `run` when a configuration is given. */
export async function start(
  command: Command,
  file: string | undefined,
  options: RunOptions & DemoOptions,
): Promise<void> {
  const path = configFileOf(command, file);
  if (path === undefined) return (await import('./demo.ts')).demo(options.port);
  const loaded = loadedOrComplain(path);
  if (loaded !== undefined) await runLoaded(loaded, options);
}

async function runLoaded(loaded: Loaded, options: RunOptions): Promise<void> {
  const { plan } = loaded;
  const log = openLog(loaded);
  if (log === undefined) return;
  // Also without a file to open, and before anything else: Node would open the inspector's port.
  process.on('SIGUSR1', () => log.reopen());
  const complain = (line: string): void => warn([line]);
  const manager = await ServiceManager.take(process.env, complain);
  const passed = await takePassedSockets(process.env, complain);
  let isFailing = false;
  const fail = async (error: unknown, status: number): Promise<void> => {
    // What fails while the end is under way has nobody to be told to.
    if (isFailing) return;
    isFailing = true;
    manager?.failed(error instanceof Error ? error.message : String(error));
    if (error instanceof StartFailure) tellFailedStart(error);
    else
      log.logger.fatal(
        { event: 'failed', err: error },
        error instanceof Error ? error.message : String(error),
      );
    await log.flush();
    process.exit(status);
  };
  // A defect leaves the process in a state nobody knows: say so and let the service manager start a fresh one.
  process.on('uncaughtException', (error) => void fail(error, exitStatus.defect));
  process.on('unhandledRejection', (error) => void fail(error, exitStatus.defect));
  try {
    const instance = await Instance.create(loaded, {
      watch: logEvents(log),
      reloaded: (next) => log.change(next.log),
      flush: () => log.flush(),
      logLinesDropped: () => log.dropped(),
      manager,
      passed,
    });
    // Before it has started: a start waits for names and for Redis, and the file may change meanwhile.
    if (options.watch) watchConfig(plan.source, () => void instance.reload());
    await instance.start();
  } catch (error) {
    if (!(error instanceof StartFailure)) throw error;
    await fail(error, exitStatus.refused);
  }
}

/** @returns undefined: the file of finished flows cannot be written, and that has been told */
function openLog({ plan, problemAt }: Loaded): Log | undefined {
  try {
    return createLog(plan.log);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === undefined || plan.log.access === undefined) throw error;
    const problem = problemAt(['log', 'access', 'file'], `cannot be opened for writing: ${message}`);
    process.stderr.write(lastWords(`${formatProblem(problem)}\n`));
    process.exitCode = exitStatus.refused;
    return undefined;
  }
}

/** Once, and on standard error, as a configuration that is refused: it is not in the log besides. */
function tellFailedStart(error: StartFailure): void {
  const lines = error instanceof MachineFailure ? error.lines : [`pinion: ${error.message}`];
  for (const line of lines) process.stderr.write(lastWords(`${line}\n`));
}
