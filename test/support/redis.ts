/** A real Redis without persistence, for the length of a test. */
import { requireCommand } from './packages.ts';
import { freePort, waitUntilBound } from './ports.ts';
import { type RunningProcess, runToEnd, startProcess } from './processes.ts';
import { temporaryFolder } from './temporary.ts';

export interface Redis {
  readonly host: string;
  readonly port: number;
  readonly url: string;
  readonly folder: string;
  readonly process: RunningProcess;
  /** Runs redis-cli with these arguments and returns what it printed, trimmed. */
  command(...args: readonly string[]): Promise<string>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface RedisOptions {
  readonly host?: string;
  /** The same port again lets a test end a server and bring it back. */
  readonly port?: number;
  /** The same folder again, for what a server of a Redis Cluster keeps there: its name and the others'. */
  readonly folder?: string;
  /** More command line, for example `--maxmemory 1mb`, word by word. */
  readonly args?: readonly string[];
  /** What redis-cli needs to be let in (`--tls`, `-a`), asked at every command. */
  readonly access?: () => readonly string[];
}

/** What lets DEBUG through and makes loading answer often: Redis 7 and Valkey want to be told, 6.2 knows no such options. */
export async function debugArgs(): Promise<string[]> {
  const server = requireCommand('redis', 'redis-server');
  const isOld = / v=6\./.test(await runToEnd({ command: server, args: ['--version'] }));
  return isOld ? [] : ['--enable-debug-command', 'yes', '--loading-process-events-interval-bytes', '1024'];
}

/** Starts redis-server and waits until it listens. Rejects with its output when it ends first. */
export async function startRedis(options: RedisOptions = {}): Promise<Redis> {
  const host = options.host ?? '127.0.0.1';
  const port = options.port ?? (await freePort());
  const folder = options.folder ?? temporaryFolder('redis');
  const fixed = ['--port', String(port), '--bind', host, '--dir', folder, '--save', '', '--appendonly', 'no'];
  const started = startProcess({
    command: requireCommand('redis', 'redis-server'),
    args: [...fixed, '--daemonize', 'no', ...(options.args ?? [])],
  });
  await waitUntilBound('tcp', port, started);
  return {
    host,
    port,
    url: `redis://${host.includes(':') ? `[${host}]` : host}:${port}`,
    folder,
    process: started,
    async command(...args) {
      const cli = requireCommand('redis', 'redis-cli');
      const words = ['-h', host, '-p', String(port), ...(options.access?.() ?? []), ...args];
      return (await runToEnd({ command: cli, args: words })).trim();
    },
    async stop(signal) {
      await started.stop(signal);
    },
  };
}
