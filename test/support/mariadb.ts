/**
 * A real MariaDB with an empty database, for the length of a test: a folder of data of its own, no name resolution, nothing is
 * synced. It runs as whoever runs the tests.
 */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { requireCommand } from './packages.ts';
import { freePort } from './ports.ts';
import { type RunningProcess, runToEnd, startProcess } from './processes.ts';
import { temporaryFolder } from './temporary.ts';

export interface MariaDb {
  readonly port: number;
  /** Its unix socket. */
  readonly path: string;
  readonly process: RunningProcess;
  /** Runs statements as its administrator, through the unix socket. Trimmed text, columns by tabs. */
  query(sql: string): Promise<string>;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface MariaDbOptions {
  /** Options of mariadbd, without their dashes. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** What comes before its command line. */
  readonly wrapper?: readonly string[];
  /** It resolves names. */
  readonly namesResolved?: boolean;
}

/** Galera's library, which Debian's server depends on. */
export const galeraLibrary = '/usr/lib/galera/libgalera_smm.so';

const small = ['--innodb-log-file-size=4M', '--innodb-flush-log-at-trx-commit=0'];

/** A folder of data that nobody has used: made once, and copied. */
let empty: Promise<string> | undefined;
let emptyFolder: string | undefined;
function emptyData(): Promise<string> {
  emptyFolder ??= mkdtempSync(join(tmpdir(), 'pinion-mariadb-'));
  empty ??= makeData(emptyFolder);
  return empty;
}

/** After the last server of a file. */
export function removeEmptyData(): void {
  if (emptyFolder !== undefined) rmSync(emptyFolder, { recursive: true, force: true });
  [empty, emptyFolder] = [undefined, undefined];
}

async function makeData(folder: string): Promise<string> {
  const data = join(folder, 'data');
  const access = ['--auth-root-authentication-method=normal', '--skip-test-db', '--skip-name-resolve'];
  await runToEnd({
    command: requireCommand('mariadb', 'mariadb-install-db'),
    args: ['--no-defaults', `--user=${userInfo().username}`, `--datadir=${data}`, ...small, ...access],
  });
  return data;
}

/** Starts a server and waits until it accepts connections. Rejects with its output when it does not come up. */
export async function startMariaDb(options: MariaDbOptions = {}): Promise<MariaDb> {
  const port = await freePort();
  const folder = temporaryFolder('mariadb');
  const path = join(folder, 'socket');
  const common = [
    '--no-defaults',
    `--user=${userInfo().username}`,
    `--datadir=${join(folder, 'data')}`,
    ...small,
  ];
  cpSync(await emptyData(), join(folder, 'data'), { recursive: true });
  const own = { port, socket: path, 'pid-file': join(folder, 'pid'), 'bind-address': '127.0.0.1' };
  const settings = { ...own, 'innodb-buffer-pool-size': '16M', ...options.settings };
  const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
  if (options.namesResolved !== true) args.push('--skip-name-resolve');
  const line = [...(options.wrapper ?? []), requireCommand('mariadb', 'mariadbd'), ...common, ...args];
  const started = startProcess({ name: 'mariadbd', command: line[0]!, args: line.slice(1), folder });
  await started.waitForOutput(/ready for connections/);
  return {
    port,
    path,
    process: started,
    async query(sql) {
      const client = requireCommand('mariadb', 'mariadb');
      const args = ['--no-defaults', '-uroot', '-S', path, '-N', '-B', '-e', sql];
      return (await runToEnd({ command: client, args })).trim();
    },
    async stop(signal) {
      await started.stop(signal, 15_000);
    },
  };
}
