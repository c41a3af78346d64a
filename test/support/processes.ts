/**
 * Real processes, started and ended by us: what the system tests and the benchmark stand on.
 *
 * Every process leads its own session, so a Ctrl-C at the terminal reaches only us and we end the others in
 * order; it is also told to die with us (PR_SET_PDEATHSIG, through setpriv), so a killed test run leaves
 * nothing behind. Output is kept up to a bound, the oldest goes first. A process is only ever signalled by the
 * id it was given here.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { patienceMs } from './eventually.ts';
import { removeTemporaryFolders } from './temporary.ts';

export interface ProcessOptions {
  /** A path or a name looked up in PATH. */
  readonly command: string;
  readonly args?: readonly string[];
  /** What messages call it; the command's name when left out. */
  readonly name?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly folder?: string;
  /** The one CPU it may run on (taskset), children included. */
  readonly core?: number | undefined;
  /** A command it is started through, which must end by becoming it (exec): that of a network namespace. */
  readonly wrapper?: readonly string[] | undefined;
  /** Become this user first; needs root and setpriv. */
  readonly user?: string | undefined;
  /** Each line of standard output, without its end. */
  readonly onLine?: (line: string) => void;
}

export interface ExitStatus {
  /** null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  /** Resolves when the process has ended and its output is complete. Never rejects. */
  readonly exited: Promise<ExitStatus>;
  /** Set once it has ended. */
  readonly status: ExitStatus | undefined;
  /** The newest part of what it wrote, both streams in order of arrival. */
  output(): string;
  /** Sends a signal to the process; false when it has ended. */
  signal(signal: NodeJS.Signals): boolean;
  /** Resolves with the match once the output contains it; rejects with the output on exit or time-out. */
  waitForOutput(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** `signal` (SIGTERM), then SIGKILL to its whole group once `graceMs` (5000) have passed. */
  stop(signal?: NodeJS.Signals, graceMs?: number): Promise<ExitStatus>;
}

const outputCharactersMax = 1024 * 1024;
const setprivPath = ['/usr/bin/setpriv', '/bin/setpriv'].find((path) => existsSync(path));
const running = new Set<RunningProcess>();

/** The argument vector with the wrappers that pin it, change its user and tie its life to ours. */
function commandLine(options: ProcessOptions): string[] {
  const line = [...(options.wrapper ?? []), options.command, ...(options.args ?? [])];
  if (options.core !== undefined) line.unshift('taskset', '--cpu-list', String(options.core));
  if (setprivPath === undefined) {
    if (options.user !== undefined)
      throw new Error(`setpriv (util-linux) is needed to run as ${options.user}`);
    return line;
  }
  const user = options.user;
  const identity = user === undefined ? [] : [`--reuid=${user}`, `--regid=${user}`, '--init-groups'];
  return [setprivPath, ...identity, '--pdeathsig', 'KILL', '--', ...line];
}

/** Starts a process. Throws only when the wrapper itself cannot be started. */
export function startProcess(options: ProcessOptions): RunningProcess {
  const [command, ...args] = commandLine(options) as [string, ...string[]];
  const spawnOptions: SpawnOptions = { detached: true, stdio: ['ignore', 'pipe', 'pipe'] };
  if (options.env !== undefined) spawnOptions.env = { ...process.env, ...options.env };
  if (options.folder !== undefined) spawnOptions.cwd = options.folder;
  const child = spawn(command, args, spawnOptions);
  return new StartedProcess(options.name ?? options.command.replace(/^.*\//, ''), child, options.onLine);
}

class StartedProcess implements RunningProcess {
  readonly name: string;
  readonly pid: number;
  readonly exited: Promise<ExitStatus>;
  status: ExitStatus | undefined;
  #text = '';
  readonly #child: ChildProcess;
  readonly #watchers = new Set<() => void>();

  constructor(name: string, child: ChildProcess, onLine: ((line: string) => void) | undefined) {
    this.name = name;
    this.#child = child;
    this.pid = child.pid ?? 0;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#text = (this.#text + text).slice(-outputCharactersMax);
        for (const watcher of this.#watchers) watcher();
      });
    }
    if (onLine !== undefined && child.stdout !== null) createInterface(child.stdout).on('line', onLine);
    running.add(this);
    this.exited = new Promise((resolve) => {
      const ended = (status: ExitStatus): void => {
        this.status = status;
        running.delete(this);
        for (const watcher of this.#watchers) watcher();
        resolve(status);
      };
      child.once('close', (code, signal) => ended({ code, signal }));
      child.once('error', (error) => {
        this.#text += `${error.message}\n`;
        if (child.pid === undefined) ended({ code: 127, signal: null });
      });
    });
  }

  output(): string {
    return this.#text;
  }

  signal(signal: NodeJS.Signals): boolean {
    return this.status === undefined && this.#child.kill(signal);
  }

  waitForOutput(pattern: RegExp, timeoutMs = patienceMs): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const finish = (match: RegExpExecArray | string): void => {
        clearTimeout(timer);
        this.#watchers.delete(look);
        if (typeof match === 'string') reject(new Error(`${this.name} ${match}; it wrote:\n${this.#text}`));
        else resolve(match);
      };
      const look = (): void => {
        const match = pattern.exec(this.#text);
        if (match !== null) finish(match);
        else if (this.status !== undefined) finish(`ended (${describeExit(this.status)}) without ${pattern}`);
      };
      const timer = setTimeout(() => finish(`did not write ${pattern} within ${timeoutMs} ms`), timeoutMs);
      this.#watchers.add(look);
      look();
    });
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM', graceMs = 5_000): Promise<ExitStatus> {
    if (this.status === undefined) this.#child.kill(signal);
    const timer = setTimeout(() => killGroup(this.pid), graceMs);
    const status = await this.exited;
    clearTimeout(timer);
    return status;
  }
}

/** SIGKILL to a process we started and to what it started itself, unless they left its group. */
function killGroup(pid: number): void {
  if (pid <= 1) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: all of them have ended by themselves.
  }
}

/** `code 1`, `signal SIGKILL`: for messages. */
export function describeExit(status: ExitStatus): string {
  return status.signal === null ? `code ${status.code}` : `signal ${status.signal}`;
}

/**
 * Runs a command to its end and returns what it wrote. Rejects with the output when the exit code is not 0 or
 * when it runs longer than `timeoutMs` (60 s).
 */
export async function runToEnd(options: ProcessOptions & { readonly timeoutMs?: number }): Promise<string> {
  const started = startProcess(options);
  const timeoutMs = options.timeoutMs ?? 60_000;
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    killGroup(started.pid);
  }, timeoutMs);
  const status = await started.exited;
  clearTimeout(timer);
  if (expired)
    throw new Error(`${started.name} ran longer than ${timeoutMs} ms; it wrote:\n${started.output()}`);
  if (status.code !== 0) {
    throw new Error(`${started.name} ended with ${describeExit(status)}; it wrote:\n${started.output()}`);
  }
  return started.output();
}

/** Ends every process started here that still runs, the newest first, then removes the temporary folders. */
export async function stopEverything(): Promise<void> {
  for (const one of [...running].reverse()) await one.stop();
  removeTemporaryFolders();
}

process.once('exit', () => {
  for (const one of running) killGroup(one.pid);
  removeTemporaryFolders();
});
