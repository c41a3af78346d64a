/** The configuration of a command: how it is named, and what is said about it on standard error, one problem a line. */
import type { Command } from 'commander';
import { type Loaded, loadPlan, problemLines, warningLines } from '../config/load.ts';
import type { Plan } from '../core/plan.ts';
import { exitStatus } from './exit.ts';

/** Adds the two ways to name it: `pinion check FILE` and `pinion check --config FILE`. */
export function withConfigFile(command: Command): Command {
  return command
    .argument('[file]', 'the configuration')
    .option('-c, --config <file>', 'the configuration, as an option');
}

/**
 * The file a command was given; undefined when none was.
 * @throws CommanderError when it is named twice, or by nothing
 */
export function configFileOf(command: Command, file: string | undefined): string | undefined {
  const { config } = command.opts<{ config?: string }>();
  if (file !== undefined && config !== undefined) {
    command.error(`error: two configurations are given: ${file} and --config ${config}`);
  }
  if (file === '') command.error('error: the name of the configuration is empty');
  return file ?? config;
}

/** As {@link configFileOf}, for a command that cannot do without. */
export function requiredConfigFile(command: Command, file: string | undefined): string {
  const path = configFileOf(command, file);
  return path ?? command.error(`error: no configuration is given: pinion ${command.name()} FILE`);
}

/** @returns undefined after the problems have been said and the exit status set */
export function loadOrComplain(path: string): Plan | undefined {
  return loadedOrComplain(path)?.plan;
}

/** As {@link loadOrComplain}, for who has more to say of the file. */
export function loadedOrComplain(path: string): Loaded | undefined {
  const loaded = loadPlan(path);
  if ('problems' in loaded) {
    for (const line of problemLines(loaded)) process.stderr.write(`${line}\n`);
    process.exitCode = exitStatus.refused;
    return undefined;
  }
  warn(warningLines(loaded));
  return loaded;
}

export function warn(lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`warning: ${line}\n`);
}
