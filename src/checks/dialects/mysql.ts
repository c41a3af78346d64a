/**
 * MySQL, MariaDB, and Galera clusters of them. Without a user the log-in of nobody is refused, which shows that the server takes
 * connections; with one, a session: role, state in the cluster and lag are what the server says of itself.
 *
 * A server counts connections that end in the middle of a handshake, and bans their host after `max_connect_errors` (100) in a
 * row: for a load balancer, with all its clients. A refusal is not counted (it is logged), so that every check ends with one, or
 * with a goodbye in a session, those cut by the time-out too: what has been sent by then the server reads when it can.
 * https://dev.mysql.com/doc/refman/8.4/en/host-cache.html. Tried with MariaDB 10.11: closing, a reset, COM_QUIT in place of an
 * answer, an empty packet and an SSLRequest are all counted.
 *
 * mysql2, the client that others would take, keeps a socket of its own, reads answers of any length, and has no way to end a
 * log-in politely; what a check needs of the protocol is little.
 */
import { choice, duration, text } from '../../core/options.ts';
import {
  capability,
  decodeChallenge,
  decodeColumnCount,
  decodeColumnName,
  decodeGreeting,
  decodePacket,
  decodeRow,
  encodeLogIn,
  encodePacket,
  encodeQuery,
  encodeQuit,
  encodeSslRequest,
  errorOf,
  type Greeting,
  isEof,
  isError,
  isOk,
  nativePassword,
} from '../../wire/mysql.ts';
import { type Asked, type CheckResult, dialect, failed, passed } from '../dialect.ts';
import { firstLine } from '../faults.ts';
import {
  cachingSha2,
  isPlugin,
  type Plugin,
  plainPassword,
  proofOf,
  sealedPassword,
} from '../mysql-passwords.ts';
import { passwordOption, readPassword } from '../secrets.ts';
import { type CheckStream, overTcp } from '../stream.ts';
import { tlsConnection, tlsOptions, tlsProblem } from '../tls-options.ts';

const options = {
  user: text(
    'Logs in as this account. Default: it is only seen that the server takes connections.',
    undefined,
  ),
  password_file: passwordOption,
  role: choice(
    'primary takes writes, replica has read_only on. Needs a user, unless it is any.',
    ['primary', 'replica', 'any'],
    'any',
  ),
  max_lag: duration(
    'A replica that is further behind, or does not replicate, is lagging. Needs a user with the right to SHOW REPLICA STATUS.',
    undefined,
  ),
  donor: choice(
    'What a node of a Galera cluster is while it gives another its data, or is desynced.',
    ['up', 'down'],
    'down',
  ),
  ...tlsOptions,
} as const;

type Options = typeof options;

/** Who asks without an account of his own says so in the server's log. */
const nobody = 'pinion_check';
/** Three answers, of sixty columns at most, and as many sources of a replica as anybody has. */
const packetsMax = 512;

export const mysql = dialect({
  meaning: 'a MySQL or MariaDB server takes connections, and has the role and state that are wanted',
  options,
  problem(given) {
    if (given.user === undefined) {
      const key = (['role', 'max_lag', 'donor', 'password_file'] as const).find(
        (name) => given[name] !== options[name].fallback,
      );
      if (key === 'password_file') return { key, message: 'needs a user' };
      if (key !== undefined) return { key, message: 'needs a user: the server says it in a session only' };
    }
    if (given.role === 'primary' && given.max_lag !== undefined)
      return { key: 'max_lag', message: 'has no effect with role: primary' };
    return tlsProblem(given);
  },
  async ask(asked) {
    const startedAtMs = performance.now();
    const { user, password_file } = asked.options;
    const password = user === undefined ? undefined : readPassword(password_file);
    let conversation: Conversation | undefined;
    // Before the connection hears of it, and closes.
    asked.signal.addEventListener('abort', () => conversation?.takeLeave());
    return overTcp(asked, async (stream) => {
      conversation = new Conversation(stream, asked);
      const result =
        (await conversation.open()) ??
        (user === undefined
          ? await conversation.askNobody()
          : ((await conversation.logIn(user, password)) ?? (await conversation.askState())));
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
  private greeting: Greeting | undefined;
  private isSecured = false;
  private packets = 0;
  /** What the next packet to the server has, while they answer one another. */
  private sequence = 1;
  /** What ends it here without being counted as an error; undefined: the server closes of itself. */
  private farewell: Buffer | undefined;

  constructor(stream: CheckStream, asked: Asked<Options>) {
    this.stream = stream;
    this.asked = asked;
    this.farewell = this.logInOfNobody();
  }

  /** Hears the greeting, and goes on over TLS if that is wanted. @returns why not; undefined: go on */
  async open(): Promise<CheckResult | undefined> {
    const { stream } = this;
    const { options } = this.asked;
    // Nobody says more before he is answered; and what is said before TLS begins was not protected.
    const bytes = await stream.read((all) => (decodePacket(all) === undefined ? undefined : all.length));
    const { body, end } = decodePacket(bytes)!;
    if (end !== bytes.length) return foreign;
    if (isError(body)) return this.refused(body);
    this.greeting = decodeGreeting(body);
    this.farewell = this.logInOfNobody();
    if (!options.tls) return undefined;
    if ((this.greeting.capabilities & capability.ssl) === 0)
      return failed('check-failed', 'it does not speak TLS');
    const secure = tlsConnection(options);
    this.farewell = undefined;
    stream.write(encodeSslRequest(this.greeting));
    await stream.secure(secure);
    this.isSecured = true;
    this.farewell = this.logInOfNobody();
    return undefined;
  }

  /** It refuses nobody, or even lets him in: either way it takes connections. */
  async askNobody(): Promise<CheckResult> {
    this.send(this.logInOfNobody(), encodeQuit());
    for (;;) {
      const body = await this.next();
      if (isOk(body)) return passed;
      if (isError(body)) {
        const refusal = this.refused(body);
        return isOfAccount(errorOf(body)) ? passed : refusal;
      }
      const challenge = decodeChallenge(body);
      // A NUL says that there is no password, to all ways but the oldest.
      if (challenge.kind === 'switch') this.answer(Buffer.alloc(challenge.plugin === nativePassword ? 0 : 1));
      else if (challenge.data[0] !== fastLogIn) return foreign;
    }
  }

  /** @returns why it does not let in; undefined: it does */
  async logIn(user: string, password = ''): Promise<CheckResult | undefined> {
    const { greeting, isSecured } = this;
    let { nonce } = greeting!;
    let plugin: Plugin = isPlugin(greeting!.plugin) ? greeting!.plugin : nativePassword;
    const proof = proofOf(plugin, password, nonce);
    this.send(encodeLogIn(greeting, { user, plugin, proof, isSecured }), encodeQuit());
    for (;;) {
      const body = await this.next();
      if (isOk(body)) return undefined;
      if (isError(body)) return this.refused(body);
      const challenge = decodeChallenge(body);
      // It waits for an answer, and refuses one of the wrong bytes; one of another length than ed25519 has it counts.
      this.farewell = encodePacket(this.sequence, Buffer.alloc(64));
      if (challenge.kind === 'switch') {
        if (!isPlugin(challenge.plugin)) return unspoken(challenge.plugin);
        ({ plugin, nonce } = { ...challenge, plugin: challenge.plugin });
        this.answer(proofOf(plugin, password, nonce));
      } else if (plugin !== cachingSha2 || challenge.data.length !== 1) return foreign;
      else if (challenge.data[0] === fullLogIn) await this.tell(password, nonce);
      else if (challenge.data[0] !== fastLogIn) return foreign;
    }
  }

  /** What it says of itself. */
  async askState(): Promise<CheckResult> {
    const variables = await this.table(questionOfVariables);
    if (!(variables instanceof Map)) return variables;
    const isReadOnly = readOnlyVariables.some((name) => !isOff(variables.get(name) ?? 'OFF'));
    const isNode = variables.get('wsrep_on') === 'ON';
    if (!variables.has('read_only')) return foreign;
    if (isNode) {
      const state = await this.table(questionOfNode);
      if (!(state instanceof Map)) return state;
      const problem = nodeProblem(variables, state, this.asked.options.donor);
      if (problem !== undefined) return problem;
    }
    const { role, max_lag } = this.asked.options;
    if (role === 'primary' && isReadOnly)
      return isNode
        ? failed('read-only', 'read_only is on')
        : failed('wrong-role', 'read_only is on, and a primary is wanted');
    if (role === 'replica' && !isReadOnly)
      return failed('wrong-role', 'it takes writes, and a replica is wanted');
    return max_lag === undefined || isNode ? passed : this.askLag(max_lag, isReadOnly);
  }

  /** Nothing is counted against us by this. */
  takeLeave(): void {
    const { farewell } = this;
    this.farewell = undefined;
    if (farewell !== undefined) this.stream.write(farewell);
  }

  private async askLag(maxLagMs: number, isReadOnly: boolean): Promise<CheckResult> {
    const isMariaDb = this.greeting!.version.includes('MariaDB');
    // A replica of MariaDB may have several sources, which it tells one by one unless it is asked for all.
    const questions = isMariaDb ? ['SHOW ALL SLAVES STATUS'] : ['SHOW REPLICA STATUS', 'SHOW SLAVE STATUS'];
    for (const [i, question] of questions.entries()) {
      const rows = await this.query(question);
      if (Array.isArray(rows)) return judgeLag(rows, maxLagMs, isReadOnly);
      if (rows.error.code !== unknownSyntax || i === questions.length - 1) return refusalOf(rows.error);
    }
    return foreign;
  }

  /** The rest of a log-in by the password itself, which is for the server alone. */
  private async tell(password: string, nonce: Buffer): Promise<void> {
    if (this.isSecured || this.asked.target.kind === 'unix') return this.answer(plainPassword(password));
    this.answer(Buffer.from([askForKey]));
    const body = await this.next();
    if (body[0] !== 1) throw new RangeError('it does not send the key that the password is to be sent with');
    this.answer(sealedPassword(password, nonce, body.subarray(1)));
  }

  private logInOfNobody(): Buffer {
    const { greeting, isSecured } = this;
    return encodeLogIn(greeting, { user: nobody, plugin: nativePassword, proof: Buffer.alloc(0), isSecured });
  }

  private refused(body: Buffer): CheckResult {
    this.farewell = undefined;
    return refusalOf(errorOf(body));
  }

  private send(bytes: Buffer, farewell: Buffer): void {
    this.stream.write(bytes);
    this.farewell = farewell;
  }

  private answer(body: Buffer): void {
    this.send(encodePacket(this.sequence, body), encodeQuit());
  }

  private async next(): Promise<Buffer> {
    const packet = await this.stream.message(decodePacket);
    if (++this.packets > packetsMax) throw new RangeError('it does not stop talking');
    this.sequence = packet.sequence + 1;
    return packet.body;
  }

  /** Rows of a name and a value each. @returns why there are none, if so */
  private async table(question: string): Promise<Map<string, string> | CheckResult> {
    const rows = await this.query(question);
    if (!Array.isArray(rows)) return refusalOf(rows.error);
    return new Map(rows.map(({ variable_name = '', value }) => [variable_name ?? '', value ?? '']));
  }

  /** @returns rows, by names in lower case */
  private async query(sql: string): Promise<Row[] | { readonly error: ServerError }> {
    this.send(encodeQuery(sql), encodeQuit());
    const first = await this.next();
    if (isError(first)) return { error: errorOf(first) };
    const count = decodeColumnCount(first);
    const names: string[] = [];
    for (let i = 0; i < count; i++) names.push(decodeColumnName(await this.next()).toLowerCase());
    if (!isEof(await this.next())) throw new RangeError('it does not answer in the protocol of MySQL');
    const rows: Row[] = [];
    for (;;) {
      const body = await this.next();
      if (isEof(body)) return rows;
      if (isError(body)) return { error: errorOf(body) };
      const columns = decodeRow(body, count);
      rows.push(Object.fromEntries(names.map((name, i) => [name, columns[i]!])));
    }
  }
}

type Row = Readonly<Record<string, string | null>>;
type ServerError = ReturnType<typeof errorOf>;

const foreign = failed('check-failed', 'it does not answer in the protocol of MySQL');

/** caching_sha2_password: https://dev.mysql.com/doc/dev/mysql-server/latest/page_caching_sha2_authentication_exchanges.html */
const askForKey = 2;
const fastLogIn = 3;
const fullLogIn = 4;

function unspoken(plugin: string): CheckResult {
  return failed('not-authorized', `it asks for ${firstLine(plugin)}, which a check does not speak`);
}

/** https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html, https://mariadb.com/kb/en/mariadb-error-code-reference/ */
const fullCodes = new Set([1040, 1203, 1226]);
/** Without SQLSTATE 28: this host is banned or not known, a right is missing, an account is locked or its password too old. */
const refusalCodes = new Set([1044, 1045, 1129, 1130, 1142, 1227, 1698, 1820, 1862, 3118, 3159, 4151]);
const unknownSyntax = 1064;
/** They speak of the host that asks, whoever he is. */
const hostCodes = new Set([1129, 1130]);

function isRefusal({ code, state }: ServerError): boolean {
  return refusalCodes.has(code) || state?.startsWith('28') === true;
}

/** Whether it would let somebody else in. */
function isOfAccount(error: ServerError): boolean {
  return isRefusal(error) && !hostCodes.has(error.code);
}

function refusalOf(error: ServerError): CheckResult {
  const why = firstLine(error.message);
  if (fullCodes.has(error.code)) return failed('full', why);
  return failed(isRefusal(error) ? 'not-authorized' : 'check-failed', why);
}

/** Of a kind that a Galera node answers that is not ready for queries: no SELECT. What a server has not is left out. */
const readOnlyVariables = ['read_only', 'super_read_only', 'innodb_read_only'];
const listOf = (...names: readonly string[]): string => names.map((name) => `'${name}'`).join(', ');
const questionOfVariables = `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${listOf(
  ...readOnlyVariables,
  'wsrep_on',
  'wsrep_reject_queries',
  'pxc_maint_mode',
)})`;
const questionOfNode = `SHOW GLOBAL STATUS WHERE Variable_name IN (${listOf(
  'wsrep_ready',
  'wsrep_local_state',
  'wsrep_local_state_comment',
)})`;

/** MariaDB 12 knows of more than on and off. */
function isOff(value: string): boolean {
  return value === 'OFF' || value === '0';
}

const donor = '2';
const synced = '4';

/** https://galeracluster.com/library/documentation/node-states.html, https://docs.percona.com/percona-xtradb-cluster/8.0/load-balance-proxysql.html */
function nodeProblem(
  variables: ReadonlyMap<string, string>,
  status: ReadonlyMap<string, string>,
  donorIs: 'up' | 'down',
): CheckResult | undefined {
  const state = status.get('wsrep_local_state');
  if (state === undefined) return foreign;
  if (status.get('wsrep_ready') !== 'ON')
    return failed('check-failed', 'it is not ready: wsrep_ready is off');
  const rejects = variables.get('wsrep_reject_queries') ?? 'NONE';
  if (rejects !== 'NONE') return failed('check-failed', `wsrep_reject_queries is ${firstLine(rejects)}`);
  const maintenance = variables.get('pxc_maint_mode') ?? 'DISABLED';
  if (maintenance !== 'DISABLED')
    return failed('check-failed', `pxc_maint_mode is ${firstLine(maintenance)}`);
  if (state === synced || (state === donor && donorIs === 'up')) return undefined;
  const comment = status.get('wsrep_local_state_comment') ?? state;
  return failed('lagging', `it is not synced: its state is ${firstLine(comment)}`);
}

/** Servers before MySQL 8.0.22 and all of MariaDB have the older names. */
function judgeLag(rows: readonly Row[], maxLagMs: number, isReadOnly: boolean): CheckResult {
  if (rows.length === 0)
    return isReadOnly ? failed('lagging', 'read_only is on, and it does not replicate') : passed;
  let worstMs = 0;
  for (const row of rows) {
    const behind = row.seconds_behind_source ?? row.seconds_behind_master ?? null;
    if (behind === null) {
      const error = row.last_sql_error || row.last_io_error;
      return failed('lagging', error ? firstLine(error) : 'it does not replicate');
    }
    if (!/^\d{1,18}$/.test(behind)) return foreign;
    worstMs = Math.max(worstMs, Number(behind) * 1_000);
  }
  return worstMs <= maxLagMs ? passed : failed('lagging', `it is ${worstMs / 1_000} s behind`);
}
