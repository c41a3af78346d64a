/**
 * PostgreSQL. Without a user it is asked whether it takes a start-up message at all, as pg_isready does: the server needs no role
 * for that, and logs at most that one does not exist. With a user, a session: role and lag are what the server says of itself.
 *
 * The server logs nothing of how a check ends, unless its time-out cuts it: a session says goodbye, a log-in that goes no further
 * ends where the server waits for the password (a goodbye there is "expected SASL response, got message type 88", a reset "could
 * not receive data from client"); only GSSAPI tells that it came to nothing. Resets are for those who do not speak the protocol,
 * or do not close in time.
 * https://www.postgresql.org/docs/current/protocol-flow.html
 */
import { createHash, randomBytes } from 'node:crypto';
import { choice, duration, size, text } from '../../core/options.ts';
import {
  type Authentication,
  decodeAuthentication,
  decodeDataRow,
  decodeMessage,
  encodePassword,
  encodeQuery,
  encodeSaslInitial,
  encodeSaslResponse,
  encodeSslRequest,
  encodeStartup,
  encodeTerminate,
  errorOf,
  type Message,
} from '../../wire/postgres.ts';
import { type Asked, type CheckResult, dialect, failed, passed } from '../dialect.ts';
import { firstLine } from '../faults.ts';
import { clientFinal, clientFirst, isSignedBy, mechanism, type Proof } from '../scram.ts';
import { passwordOption, readPassword } from '../secrets.ts';
import { type CheckStream, overTcp } from '../stream.ts';
import { tlsConnection, tlsOptions, tlsProblem } from '../tls-options.ts';

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
    'A replica whose last replayed transaction is older is lagging, unless it has replayed all it receives from its primary. Needs a user.',
    undefined,
  ),
  max_lag_bytes: size(
    'A replica that has more bytes of write-ahead log before it is lagging: of what it has received, and of what its primary has told it of where the user may see that (pg_monitor). Needs a user. A size with a unit, such as 16MiB.',
  ),
  ...tlsOptions,
} as const;

type Options = typeof options;

/** Who asks without a role of his own says so in the server's log. */
const nobody = 'pinion_check';
/** A session of one question has some twenty; notices may come between. */
const messagesMax = 256;

export const postgres = dialect({
  meaning: 'a PostgreSQL server takes connections, and has the role that is wanted',
  options,
  problem(given) {
    if (given.user === undefined) {
      const needs = (key: string) => ({ key, message: 'needs a user: the server says it in a session only' });
      if (given.role !== 'any') return needs('role');
      if (given.max_lag !== undefined) return needs('max_lag');
      if (given.max_lag_bytes !== undefined) return needs('max_lag_bytes');
      if (given.password_file !== undefined) return { key: 'password_file', message: 'needs a user' };
    }
    return tlsProblem(given);
  },
  async ask(asked) {
    const startedAtMs = performance.now();
    const { user, password_file } = asked.options;
    const password = user === undefined ? undefined : readPassword(password_file);
    return overTcp(asked, async (stream) => {
      const conversation = new Conversation(stream, asked);
      const result =
        (await conversation.open()) ??
        (await (user === undefined ? conversation.askStartup() : conversation.askRole(user, password)));
      conversation.takeLeave();
      // The result stands: it is not to be late for this.
      await stream.closedWithin(asked.timeoutMs - (performance.now() - startedAtMs));
      return result;
    });
  },
});

class Conversation {
  private readonly stream: CheckStream;
  private readonly asked: Asked<Options>;
  private messages = 0;
  /** The server waits for questions, or will in a moment. */
  private isSession = false;
  /** It has refused, and closes. */
  private isRefused = false;

  constructor(stream: CheckStream, asked: Asked<Options>) {
    this.stream = stream;
    this.asked = asked;
  }

  /** Over TLS if that is wanted. @returns why not; undefined: go on */
  async open(): Promise<CheckResult | undefined> {
    const { options } = this.asked;
    if (!options.tls) return undefined;
    const secure = tlsConnection(options);
    this.stream.write(encodeSslRequest());
    // What comes along with the answer was not protected: https://www.postgresql.org/support/security/CVE-2021-23222/
    const answer = await this.stream.read((all) => all.length);
    if (answer.toString('latin1') !== 'S') return failed('check-failed', 'it does not speak TLS');
    await this.stream.secure(secure);
    return undefined;
  }

  /** It asks for a password, or refuses the role: either way it takes connections. */
  async askStartup(): Promise<CheckResult> {
    const { type, body } = await this.startUp(nobody);
    if (type === 'E') {
      const { code, message } = errorOf(body);
      return byCode(code, message) ?? passed;
    }
    if (type !== 'R') return foreign;
    this.isSession = decodeAuthentication(body).kind === 'ok';
    return passed;
  }

  async askRole(user: string, password: string | undefined): Promise<CheckResult> {
    const { options } = this.asked;
    const first = await this.startUp(user);
    const refusal = first.type === 'E' ? refusalOf(first) : await this.logIn(first, user, password);
    if (refusal !== undefined) return refusal;
    this.isSession = true;
    const greeting = await this.until('Z');
    if (greeting.error !== undefined) return refusalOf(greeting.error);
    const ofBytes = options.max_lag_bytes === undefined ? '' : `, ${bytesBehind}`;
    this.stream.write(encodeQuery(`select ${roleAndTime}${ofBytes}`));
    const answer = await this.until('Z');
    if (answer.error !== undefined) return refusalOf(answer.error);
    return judgeRole(answer.row === undefined ? [] : decodeDataRow(answer.row.body), options);
  }

  /** Nothing is left in the server's log by this. */
  takeLeave(): void {
    if (this.isSession) this.stream.write(encodeTerminate());
    else if (!this.isRefused) this.stream.end();
  }

  /** @returns what it says to a start-up message */
  private startUp(user: string): Promise<Message> {
    const { database } = this.asked.options;
    this.stream.write(encodeStartup({ user, database, application_name: 'pinion' }));
    return this.next();
  }

  /** @returns why it does not let in; undefined: it does */
  private async logIn(
    first: Message,
    user: string,
    password: string | undefined,
  ): Promise<CheckResult | undefined> {
    if (first.type !== 'R') return foreign;
    const wanted = decodeAuthentication(first.body);
    if (wanted.kind === 'ok') return undefined;
    if (wanted.kind === 'sasl-continue' || wanted.kind === 'sasl-final') return foreign;
    const unspoken = unspokenOf(wanted);
    if (unspoken !== undefined)
      return failed('not-authorized', `it asks for ${unspoken}, which a check does not speak`);
    if (password === undefined)
      return failed('not-authorized', 'it asks for a password, and there is no password_file');
    if (wanted.kind === 'sasl') return this.logInBySasl(password);
    this.stream.write(encodePassword(wanted.kind === 'md5' ? md5Of(user, password, wanted.salt) : password));
    return this.admitted();
  }

  private async logInBySasl(password: string): Promise<CheckResult | undefined> {
    const nonce = randomBytes(18).toString('base64');
    this.stream.write(encodeSaslInitial(mechanism, clientFirst(nonce)));
    const challenge = await this.next();
    if (challenge.type === 'E') return refusalOf(challenge);
    const server = saslData(challenge, 'sasl-continue');
    if (server === undefined) return foreign;
    const proof: Proof = await clientFinal({ nonce, password }, server, this.asked.signal);
    this.stream.write(encodeSaslResponse(proof.message));
    const outcome = await this.next();
    if (outcome.type === 'E') return refusalOf(outcome);
    // Who lets in without a proof of his own is not the one who has the password.
    if (!isSignedBy(saslData(outcome, 'sasl-final') ?? '', proof))
      return failed('check-failed', 'it does not prove that it knows the password');
    return this.admitted();
  }

  private async admitted(): Promise<CheckResult | undefined> {
    const answer = await this.next();
    if (answer.type === 'E') return refusalOf(answer);
    return answer.type === 'R' && decodeAuthentication(answer.body).kind === 'ok' ? undefined : foreign;
  }

  /** Reads until a message of this type. @returns the first row and the error that came before it, or instead of it */
  private async until(type: string): Promise<{ row: Message | undefined; error: Message | undefined }> {
    let row: Message | undefined;
    for (;;) {
      const message = await this.next();
      if (message.type === 'E') return { row, error: message };
      if (message.type === type) return { row, error: undefined };
      if (message.type === 'D') row ??= message;
    }
  }

  /** The next message that answers something: notices, parameters and versions come unasked. */
  private async next(): Promise<Message> {
    for (;;) {
      const message = await this.stream.message(decodeMessage);
      if (++this.messages > messagesMax) throw new RangeError('it does not stop talking');
      const { type } = message;
      if (type === 'E') this.isRefused = true;
      if (type !== 'N' && type !== 'S' && type !== 'v') return message;
    }
  }
}

const foreign = failed('check-failed', 'it does not answer in the protocol of PostgreSQL');

function saslData({ type, body }: Message, kind: 'sasl-continue' | 'sasl-final'): string | undefined {
  if (type !== 'R') return undefined;
  const said = decodeAuthentication(body);
  return said.kind === kind ? said.data : undefined;
}

/** What it asks for that is not spoken here; undefined: it is. */
function unspokenOf(wanted: Authentication): string | undefined {
  if (wanted.kind === 'other') return wanted.name;
  if (wanted.kind !== 'sasl' || wanted.mechanisms.includes(mechanism)) return undefined;
  return firstLine(wanted.mechanisms.join(' or '));
}

/** https://www.postgresql.org/docs/current/protocol-flow.html, AuthenticationMD5Password */
function md5Of(user: string, password: string, salt: Buffer): string {
  const md5 = (...parts: readonly (string | Buffer)[]): string => {
    const hash = createHash('md5');
    for (const part of parts) hash.update(part);
    return hash.digest('hex');
  };
  return `md5${md5(md5(password, user), salt)}`;
}

/** What a server that cannot serve says: https://www.postgresql.org/docs/current/errcodes-appendix.html */
function byCode(code = '', message: string): CheckResult | undefined {
  if (code === '53300') return failed('full', firstLine(message));
  // 53: no memory, no disk. 57P0: it stops, starts up, or ends its sessions. 58, XX: its system or itself is broken.
  return /^(?:53|57P0|58|XX)/.test(code) ? failed('check-failed', firstLine(message)) : undefined;
}

function refusalOf({ body }: Message): CheckResult {
  const { code, message } = errorOf(body);
  // 28: invalid authorization. 3D000: there is no such database. 42501: the role may not.
  if (code !== undefined && /^(?:28|3D000|42501)/.test(code))
    return failed('not-authorized', firstLine(message));
  return byCode(code, message) ?? failed('check-failed', firstLine(message));
}

/**
 * A primary at rest writes nothing: a replica that receives, and has replayed all of it, is not behind, however old the last
 * transaction is. One that does not receive cannot know. Any role sees the row of pg_stat_wal_receiver, if not its columns.
 */
const roleAndTime = `pg_is_in_recovery(),
  (extract(epoch from now() - pg_last_xact_replay_timestamp()) * 1000)::bigint,
  exists (select from pg_stat_wal_receiver)
    and pg_last_wal_receive_lsn() is not distinct from pg_last_wal_replay_lsn()`;

/** Who may not see what the primary has told of (latest_end_lsn) sees null there, which `greatest` passes over. */
const bytesBehind = `pg_wal_lsn_diff(
  greatest(pg_last_wal_receive_lsn(), (select max(latest_end_lsn) from pg_stat_wal_receiver)),
  pg_last_wal_replay_lsn())::bigint`;

function judgeRole(
  row: readonly (string | null)[],
  { role: wanted, max_lag, max_lag_bytes }: Asked<Options>['options'],
): CheckResult {
  const [isReplica, lag, isCaughtUp, bytes] = row;
  if (!isBoolean(isReplica) || !isBoolean(isCaughtUp) || !isWholeOrNull(lag)) return foreign;
  const is = isReplica === 't' ? 'replica' : 'primary';
  if (wanted !== 'any' && is !== wanted)
    return failed('wrong-role', `it is a ${is}, and a ${wanted} is wanted`);
  if (is === 'primary') return passed;
  if (max_lag_bytes !== undefined) {
    if (!isWholeOrNull(bytes)) return foreign;
    if (bytes === null) return failed('lagging', 'it has received nothing from a primary since it started');
    if (Number(bytes) > max_lag_bytes) return failed('lagging', `it is ${mebibytes(Number(bytes))} behind`);
  }
  if (max_lag === undefined || isCaughtUp === 't') return passed;
  if (lag === null)
    return failed('lagging', 'it is behind, and has replayed no transaction since it started');
  const lagMs = Number(lag);
  return lagMs <= max_lag ? passed : failed('lagging', `it is ${(lagMs / 1_000).toFixed(1)} s behind`);
}

function isWholeOrNull(column: string | null | undefined): column is string | null {
  return column === null || /^-?\d{1,18}$/.test(column ?? '');
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

function isBoolean(column: string | null | undefined): column is 't' | 'f' {
  return column === 't' || column === 'f';
}
