/**
 * Options that several commands have. What stands in this folder is only what commands are called, take and mean: it is read for
 * every `--help`, completion and man page, so what a command does is loaded when it is run.
 */
import { type Command, InvalidArgumentError } from 'commander';

/** Which instance is meant. */
export interface AdminOptions {
  readonly config?: string;
  readonly admin?: string;
}

export interface AskOptions extends AdminOptions {
  readonly json?: boolean;
}

export interface LookOptions extends AskOptions {
  readonly watch?: boolean;
  /** Milliseconds. */
  readonly every?: number;
}

/** Adds the two ways to name a configuration: `pinion check FILE` and `pinion check --config FILE`. */
export function withConfigFile(command: Command): Command {
  return command
    .argument('[file]', 'the configuration')
    .option('-c, --config <file>', 'the configuration, as an option');
}

/** Adds the two ways to say which instance: its admin address, or its configuration. */
export function withAdminOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', "the instance's configuration (its admin.listen is used)")
    .option('-a, --admin <address>', 'its admin address: unix:/run/pinion/admin.sock or 127.0.0.1:9465');
}

/** For commands that ask and say what was answered. */
export function withAskOptions(command: Command): Command {
  return withAdminOptions(command).option('--json', 'print the answer as JSON, for scripts');
}

/** For commands that show something. */
export function withLookOptions(command: Command): Command {
  return withAskOptions(command)
    .option('-w, --watch', 'show it again and again')
    .option('--every <time>', 'with --watch: how often, such as 500ms or 5s (default: 1s)', readEvery);
}

/** A port that somebody names. */
export function readPort(text: string): number {
  const port = Number(text);
  if (/^\d+$/.test(text) && port >= 1 && port <= 65_535) return port;
  throw new InvalidArgumentError('Write a port from 1 to 65535.');
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

function readEvery(text: string): number {
  const [, number = '', unit = ''] = /^(\d{1,6})(ms|s|m)$/.exec(text) ?? [];
  const ms = Number(number) * (unitMs[unit] ?? 0);
  if (ms < 100) throw new InvalidArgumentError('Write a time of 100ms or more, such as 500ms or 5s.');
  return ms;
}
