/**
 * The built command, run as a user runs it, with its log read back as records. Start-up is over when it says
 * so itself (`"event":"ready"`); the ports it bound come from its `listening` lines, so a test may bind port 0.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { patienceMs } from './eventually.ts';
import { fetchFresh } from './fresh-page.ts';
import { type Transport, waitUntilBound } from './ports.ts';
import { type ExitStatus, type RunningProcess, startProcess } from './processes.ts';
import { openDescriptors, residentBytes } from './procfs.ts';
import { temporaryFile } from './temporary.ts';

/** One line of the log. `event` is what tests look for. */
export interface LogRecord {
  readonly event?: string;
  readonly [field: string]: unknown;
}

export interface PinionOptions {
  /** More arguments after `run --config FILE`. */
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly core?: number | undefined;
  /** A command it is started through, which must end by becoming it (exec): prlimit, unshare, setpriv. */
  readonly wrapper?: readonly string[];
  /** Take a bound port for ready, for configurations that log less than `info`. */
  readonly readyWhenBound?: { readonly transport: Transport; readonly port: number };
  readonly startTimeoutMs?: number;
  /** Another build's main.js instead of this checkout's. */
  readonly main?: string;
}

export interface Pinion {
  readonly pid: number;
  readonly process: RunningProcess;
  readonly configPath: string;
  /** The newest log records, at most 50,000. */
  readonly logs: readonly LogRecord[];
  /** The records with this event so far. */
  events(event: string): LogRecord[];
  /** Resolves with the first record, past or future, that matches; rejects on exit or time-out. */
  waitForLog(matches: (record: LogRecord) => boolean, timeoutMs?: number): Promise<LogRecord>;
  /** The port a listener is bound to. Throws with the log when it has not said so. */
  port(listener: string): number;
  /** The metrics page as text, with nothing older than this call; the address comes from the `listening` line of `metrics` unless given. */
  metrics(url?: string): Promise<string>;
  /** The sum of a metric's samples whose labels contain all the given ones; undefined when there is none. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number | undefined>;
  descriptors(): number;
  rssBytes(): number;
  stop(signal?: NodeJS.Signals, graceMs?: number): Promise<ExitStatus>;
}

const logRecordsMax = 50_000;

/** dist/src/main.js of this checkout, from the sources (test/support) as from the build (dist/test/support). */
export function pinionMain(): string {
  const places = ['../../dist/src/main.js', '../../src/main.js'];
  const found = places
    .map((place) => fileURLToPath(new URL(place, import.meta.url)))
    .find((path) => existsSync(path));
  if (found === undefined) throw new Error('dist/src/main.js is missing: run `npm run build` first');
  return found;
}

/**
 * Runs `pinion run` with a configuration (YAML text when it holds a line break, else the path of a file) and
 * waits until it is ready. Rejects with everything it wrote when it ends or is silent first.
 */
export async function startPinion(config: string, options: PinionOptions = {}): Promise<Pinion> {
  const configPath = config.includes('\n') ? temporaryFile('pinion.yaml', config) : config;
  const pinion = new StartedPinion(configPath, options);
  const { readyWhenBound, startTimeoutMs } = options;
  try {
    if (readyWhenBound === undefined) {
      await pinion.waitForLog((record) => record.event === 'ready', startTimeoutMs);
    } else {
      const { transport, port } = readyWhenBound;
      await waitUntilBound(transport, port, pinion.process, startTimeoutMs);
    }
  } catch (error) {
    await pinion.stop('SIGKILL');
    throw error;
  }
  return pinion;
}

class StartedPinion implements Pinion {
  readonly pid: number;
  readonly process: RunningProcess;
  readonly configPath: string;
  readonly logs: LogRecord[] = [];
  readonly #watchers = new Set<(record: LogRecord) => void>();

  constructor(configPath: string, options: PinionOptions) {
    this.configPath = configPath;
    const main = options.main ?? pinionMain();
    const run = [process.execPath, main, 'run', '--config', configPath, ...(options.args ?? [])];
    const [command, ...args] = [...(options.wrapper ?? []), ...run] as [string, ...string[]];
    this.process = startProcess({
      name: 'pinion',
      command,
      args,
      onLine: (line) => this.#read(line),
      core: options.core,
      ...(options.env === undefined ? {} : { env: options.env }),
    });
    this.pid = this.process.pid;
  }

  #read(line: string): void {
    let record: LogRecord;
    try {
      record = JSON.parse(line);
    } catch {
      return; // Not a log line; process.output() still has it.
    }
    this.logs.push(record);
    if (this.logs.length > logRecordsMax) this.logs.shift();
    for (const watcher of this.#watchers) watcher(record);
  }

  events(event: string): LogRecord[] {
    return this.logs.filter((record) => record.event === event);
  }

  async waitForLog(matches: (record: LogRecord) => boolean, timeoutMs = patienceMs): Promise<LogRecord> {
    const past = this.logs.find(matches);
    if (past !== undefined) return past;
    let timer: NodeJS.Timeout | undefined;
    let watcher: (record: LogRecord) => void = () => {};
    const written = (): string => `it wrote:\n${this.process.output()}`;
    try {
      return await new Promise((resolve, reject) => {
        watcher = (record) => matches(record) && resolve(record);
        this.#watchers.add(watcher);
        const late = `pinion did not log what was waited for in ${timeoutMs} ms; `;
        timer = setTimeout(() => reject(new Error(late + written())), timeoutMs);
        void this.process.exited.then(() => reject(new Error(`pinion ended; ${written()}`)));
      });
    } finally {
      clearTimeout(timer);
      this.#watchers.delete(watcher);
    }
  }

  port(listener: string): number {
    const record = this.events('listening').findLast((one) => one.listener === listener);
    if (typeof record?.port === 'number') return record.port;
    throw new Error(`no listening line for ${listener} in:\n${this.process.output()}`);
  }

  async metrics(url?: string): Promise<string> {
    const response = await fetchFresh(url ?? `http://127.0.0.1:${this.port('metrics')}/metrics`);
    if (!response.ok) throw new Error(`the metrics page answered ${response.status}`);
    if (!response.headers.has('pinion-as-of')) throw new Error('the metrics page does not say how old it is');
    return response.text();
  }

  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | undefined> {
    const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
    const samples = (await this.metrics())
      .split('\n')
      .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
      .filter((line) => wanted.every((label) => line.includes(`{${label}`) || line.includes(`,${label}`)));
    if (samples.length === 0) return undefined;
    return samples.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0);
  }

  descriptors(): number {
    return openDescriptors(this.pid);
  }

  rssBytes(): number {
    return residentBytes(this.pid);
  }

  stop(signal?: NodeJS.Signals, graceMs = 15_000): Promise<ExitStatus> {
    return this.process.stop(signal, graceMs);
  }
}
