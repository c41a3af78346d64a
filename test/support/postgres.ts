/**
 * A real PostgreSQL with an empty database (or a replica of one), for the length of a test: trust authentication on loopback, no
 * fsync, everything in a temporary folder. It refuses to run as root, so root hands it to the user `postgres`
 * that the package made.
 */
import { chmodSync, chownSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findCommand, requireCommand } from './packages.ts';
import { freePort } from './ports.ts';
import { type RunningProcess, runToEnd, startProcess } from './processes.ts';
import { temporaryFolder } from './temporary.ts';

export interface Postgres {
  readonly host: string;
  readonly port: number;
  /** Its unix socket. */
  readonly path: string;
  /** Its certificate, with `certified`. */
  readonly certificate: string;
  readonly process: RunningProcess;
  /** Runs one statement through psql, by default directly; `port` goes through a load balancer. Trimmed text. */
  query(sql: string, through?: { readonly host?: string; readonly port: number }): Promise<string>;
  /** SIGINT is PostgreSQL's fast shutdown (sessions are cut), SIGQUIT its immediate one. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export interface PostgresOptions {
  readonly host?: string;
  readonly port?: number;
  /** Lines for postgresql.conf as name/value pairs. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf that count before the one that trusts everybody. */
  readonly access?: readonly string[];
  /** It speaks TLS, by this name. */
  readonly certified?: string;
  /** Begins as a copy of this one and follows it. */
  readonly replicaOf?: { readonly host: string; readonly port: number };
  readonly core?: number;
}

const administrator = 'pinion';

async function numericId(flag: '-u' | '-g', user: string): Promise<number> {
  return Number.parseInt(await runToEnd({ command: 'id', args: [flag, user] }), 10);
}

/** Everybody on this machine, replicas included, as `initdb --auth=trust` has it. */
const trusting = ['local', 'host'].flatMap((kind) =>
  ['all', 'replication'].map((what) => `${kind} ${what} all ${kind === 'host' ? 'samehost ' : ''}trust`),
);

/** A folder of data that nobody has used: the same for all servers of one test file, as making one takes seconds. */
let unused: Promise<string> | undefined;

async function makeUnused(user: string | undefined): Promise<string> {
  const folder = await ownFolder('postgres-data', user);
  const fixed = ['--auth=trust', '--no-sync', '--encoding=UTF8', '--no-locale'];
  const args = ['-D', join(folder, 'data'), '-U', administrator, ...fixed];
  await runToEnd({ command: requireCommand('postgres', 'initdb'), args, folder, user });
  return join(folder, 'data');
}

/** Makes the folder of data. */
async function makeData(
  data: string,
  primary: PostgresOptions['replicaOf'],
  { folder, user }: { readonly folder: string; readonly user: string | undefined },
): Promise<void> {
  if (primary !== undefined) {
    const from = ['-h', primary.host, '-p', String(primary.port), '-U', administrator];
    const args = ['-D', data, ...from, '--write-recovery-conf', '--checkpoint=fast', '--no-sync'];
    await runToEnd({ command: requireCommand('postgres', 'pg_basebackup'), args, folder, user });
    return;
  }
  // Temporary folders go when everything is stopped.
  if (unused === undefined || !existsSync(await unused)) unused = makeUnused(user);
  await runToEnd({ command: 'cp', args: ['-a', await unused, data], folder, user });
}

/** A temporary folder that is the server's own. */
async function ownFolder(name: string, user: string | undefined): Promise<string> {
  const folder = temporaryFolder(name);
  if (user !== undefined) chownSync(folder, await numericId('-u', user), await numericId('-g', user));
  chmodSync(folder, 0o700);
  return folder;
}

/** Starts a server and waits until it accepts connections. Rejects with its output when it does not come up. */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const host = options.host ?? '127.0.0.1';
  const port = options.port ?? (await freePort());
  const user = process.getuid?.() === 0 ? 'postgres' : undefined;
  const folder = await ownFolder('postgres', user);
  const data = join(folder, 'data');
  const folderAndUser = { folder, user };
  await makeData(data, options.replicaOf, folderAndUser);
  if (options.access !== undefined)
    writeFileSync(
      join(data, 'pg_hba.conf'),
      [...options.access, ...trusting].map((line) => `${line}\n`).join(''),
    );

  const [certificate, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  if (options.certified !== undefined) {
    const names = ['-subj', `/CN=${options.certified}`, '-addext', `subjectAltName=DNS:${options.certified}`];
    const files = ['-out', certificate, '-keyout', key];
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    await runToEnd({
      command: 'openssl',
      args: ['req', '-x509', ...kind, ...names, ...files],
      ...folderAndUser,
    });
  }

  const settings: Record<string, string> = {
    listen_addresses: host,
    port: String(port),
    unix_socket_directories: folder,
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '200',
    ...(options.certified === undefined ? {} : { ssl: 'on', ssl_cert_file: certificate, ssl_key_file: key }),
    ...options.settings,
  };
  const args = [
    '-D',
    data,
    ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const started = startProcess({
    command: requireCommand('postgres', 'postgres'),
    args,
    ...folderAndUser,
    core: options.core,
  });
  await started.waitForOutput(/database system is ready to accept (?:read-only )?connections/);
  return {
    host,
    port,
    path: join(folder, `.s.PGSQL.${port}`),
    certificate,
    process: started,
    async query(sql, through) {
      const target = ['-h', through?.host ?? host, '-p', String(through?.port ?? port), '-U', administrator];
      const psql = requireCommand('postgres', 'psql');
      const flags = ['--no-psqlrc', '-At', '-v', 'ON_ERROR_STOP=1', '-d', 'postgres', '-c', sql];
      return (await runToEnd({ command: psql, args: [...target, ...flags] })).trim();
    },
    async stop(signal = 'SIGINT') {
      await started.stop(signal, 15_000);
    },
  };
}

/** pgbench's own command line with the user and database of `startPostgres`; undefined when it is not installed. */
export function pgbenchCommand(port: number, args: readonly string[], host = '127.0.0.1') {
  const command = findCommand('pgbench');
  if (command === undefined) return undefined;
  return { command, args: ['-h', host, '-p', String(port), '-U', administrator, ...args, 'postgres'] };
}
