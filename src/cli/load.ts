/** The configuration of a command: how it is named, and what is said about it on standard error, one problem a line. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { type Loaded, loadPlan, type Problem, problemLines, warningLines } from '../config/load.ts';
import { mayHoldSecret } from '../config/secret.ts';
import type { Plan } from '../core/plan.ts';
import { exitStatus } from './exit.ts';

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
    if (loaded.problems.length === 1) process.stderr.write(excerptOf(path, loaded.problems[0]!));
    process.exitCode = exitStatus.refused;
    return undefined;
  }
  warn(warningLines(loaded));
  return loaded;
}

/** Characters of a line that are shown before and behind the place. */
const excerptCharacters = 60;

/** The line of a mistake with a mark under the place; empty where there is none to show, or where it may hold a secret. */
export function excerptOf(path: string, { line, column, message }: Problem): string {
  if (line === 0 || !message.includes('is not valid YAML')) return '';
  let text: string;
  try {
    text = readFileSync(path, 'utf8').split(/\r?\n/)[line - 1] ?? '';
  } catch {
    return '';
  }
  const from = Math.max(0, column - 1 - excerptCharacters);
  const shown = text.slice(from, column - 1 + excerptCharacters);
  // A mark stands right only under what a terminal prints in one place a character.
  if (mayHoldSecret(text) || !/^[\x20-\x7e]*$/.test(shown)) return '';
  return `    ${shown}\n    ${' '.repeat(column - 1 - from)}^\n`;
}

export function warn(lines: readonly string[]): void {
  for (const line of lines) process.stderr.write(`warning: ${line}\n`);
}
