/**
 * PostgreSQL. Without a user it is asked whether it takes a start-up message at all, as pg_isready does: the server needs no role
 * for that, and logs at most that one does not exist. With a user, a session: role and lag are what the server says of itself.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */
import { type NetConnectOpts, Socket } from 'node:net';
import { choice, duration, text } from '../../core/options.ts';
import type { Bind } from '../../core/plan.ts';
import { decodeMessage, encodeStartup, encodeTerminate, errorOf } from '../../wire/postgres.ts';
import { type Asked, type CheckResult, dialect, failed, passed } from '../dialect.ts';
import { firstLine, resultOf } from '../faults.ts';
import { passwordOption, readPassword } from '../secrets.ts';
import { CheckStream } from '../stream.ts';
import { readCa, tlsOptions } from '../tls-options.ts';

const options = {
  user: text('Logs in as this role; it needs no rights. Default: only the start-up is looked at.', undefined),
  password_file: passwordOption,
  database: text('The database to log in to.', 'postgres'),
  role: choice(
    'The role it must have; primary and replica need a user.',
    ['primary', 'replica', 'any'],
    'any',
  ),
  max_lag: duration(
    'A replica whose last replayed transaction is older is lagging. Needs a user.',
    undefined,
  ),
  ...tlsOptions,
} as const;

type Options = typeof options;

export const postgres = dialect({
  meaning: 'a PostgreSQL server takes connections, and has the role that is wanted',
  options,
  ask: (asked) => (asked.options.user === undefined ? askStartup(asked) : askRole(asked, asked.options.user)),
});

/** Who asks without a role of his own says so in the server's log. */
const nobody = 'pinion_check';

async function askStartup({
  target,
  source,
  signal,
  options: { database },
}: Asked<Options>): Promise<CheckResult> {
  const stream = await CheckStream.connect(target, source, signal);
  try {
    stream.write(encodeStartup({ user: nobody, database, application_name: 'pinion' }));
    let result: CheckResult | undefined;
    await stream.read((all) => {
      const message = decodeMessage(all);
      if (message === undefined) return undefined;
      result = judgeStartup(message.type, message.body);
      return message.end;
    });
    stream.write(encodeTerminate());
    return result ?? failed('check-failed', 'it does not answer in the protocol of PostgreSQL');
  } finally {
    stream.drop();
  }
}

/** It asks for a password, or refuses the role: either way it takes connections. */
function judgeStartup(type: string, body: Buffer): CheckResult {
  if (type === 'R' || type === 'v') return passed;
  if (type !== 'E') return failed('check-failed', 'it does not answer in the protocol of PostgreSQL');
  const { code, message } = errorOf(body);
  return byCode(code, message) ?? passed;
}

/** What a server that cannot serve says: https://www.postgresql.org/docs/current/errcodes-appendix.html */
function byCode(code: string | undefined, message: string): CheckResult | undefined {
  const why = firstLine(message);
  if (code === '53300') return failed('full', why);
  if (
    code === '57P03' ||
    code === '57P01' ||
    code === '57P02' ||
    code?.startsWith('58') ||
    code?.startsWith('XX')
  )
    return failed('check-failed', why);
  return undefined;
}

async function askRole(
  { target, source, signal, timeoutMs, options }: Asked<Options>,
  user: string,
): Promise<CheckResult> {
  const { Client } = (await import('pg')).default;
  const password = readPassword(options.password_file);
  const client = new Client({
    ...placeOf(target),
    user,
    database: options.database,
    application_name: 'pinion',
    connectionTimeoutMillis: timeoutMs,
    query_timeout: timeoutMs,
    ...(password === undefined ? {} : { password }),
    ...(options.tls ? { ssl: sslOf(options) } : {}),
    ...(source === undefined ? {} : { stream: () => sourceSocket(source) }),
  });
  client.on('error', () => {});
  const end = (): void => void client.end().catch(() => {});
  signal.addEventListener('abort', end);
  try {
    await client.connect();
    const { rows } = await client.query(question);
    return judgeRole(rows[0] as Row, options.role, options.max_lag);
  } catch (error) {
    return judgeError(error);
  } finally {
    signal.removeEventListener('abort', end);
    end();
  }
}

const question = `select pg_is_in_recovery() as replica,
  extract(epoch from now() - pg_last_xact_replay_timestamp()) * 1000 as lag_ms,
  pg_last_wal_receive_lsn() is not distinct from pg_last_wal_replay_lsn() as caught_up`;

interface Row {
  readonly replica: boolean;
  readonly lag_ms: string | null;
  readonly caught_up: boolean;
}

function judgeRole(
  row: Row,
  wanted: 'primary' | 'replica' | 'any',
  maxLagMs: number | undefined,
): CheckResult {
  const is = row.replica ? 'replica' : 'primary';
  if (wanted !== 'any' && is !== wanted)
    return failed('wrong-role', `it is a ${is}, and a ${wanted} is wanted`);
  if (!row.replica || maxLagMs === undefined) return passed;
  // A primary at rest writes nothing: who has replayed all that was received is not behind.
  const lagMs = row.caught_up ? 0 : Number(row.lag_ms ?? 0);
  return lagMs <= maxLagMs ? passed : failed('lagging', `it is ${(lagMs / 1_000).toFixed(1)} s behind`);
}

function judgeError(error: unknown): CheckResult {
  const { code, message } = error as { code?: string; message: string };
  // 28: invalid authorization; 3D000: there is no such database.
  if (code?.startsWith('28') || code === '3D000') return failed('not-authorized', firstLine(message));
  return (
    (code !== undefined && /^[0-9A-Z]{5}$/.test(code) ? byCode(code, message) : undefined) ?? resultOf(error)
  );
}

function placeOf(target: Bind): { host: string; port?: number } {
  // The library looks for the socket in a folder, by the port in its name.
  const match = target.kind === 'unix' ? /^(.*)\/\.s\.PGSQL\.(\d+)$/.exec(target.path) : undefined;
  if (match !== undefined && match !== null) return { host: match[1]!, port: Number(match[2]) };
  return target.kind === 'unix' ? { host: target.path } : { host: target.ip, port: target.port };
}

function sslOf(options: Asked<Options>['options']): Record<string, unknown> {
  const ca = readCa(options.ca_file);
  return {
    rejectUnauthorized: options.verify,
    ...(options.server_name === undefined ? {} : { servername: options.server_name }),
    ...(ca === undefined ? {} : { ca }),
  };
}

function sourceSocket(localAddress: string): Socket {
  const socket = new Socket();
  const connect = socket.connect.bind(socket) as (where: NetConnectOpts) => Socket;
  // The library connects by port and host.
  socket.connect = ((port: number, host: string) => connect({ port, host, localAddress })) as never;
  return socket;
}
