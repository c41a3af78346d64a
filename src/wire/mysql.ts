/**
 * As much of the protocol of MySQL and MariaDB as a log-in, a question and its answer take. What a server sends is bounded, and
 * what is no packet of the protocol is a RangeError.
 * https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html, https://mariadb.com/kb/en/clientserver-protocol/
 */

/** Capability flags: https://dev.mysql.com/doc/dev/mysql-server/latest/group__group__cs__capabilities__flags.html */
export const capability = {
  longPassword: 0x1,
  protocol41: 0x200,
  ssl: 0x800,
  transactions: 0x2000,
  secureConnection: 0x8000,
  pluginAuth: 0x80000,
} as const;

/** What a check speaks, where the server does. */
const spoken =
  capability.longPassword |
  capability.protocol41 |
  capability.transactions |
  capability.secureConnection |
  capability.pluginAuth;

/** A row of SHOW REPLICA STATUS with a long set of transactions is the largest a check asks for. Bytes. */
const packetBytesMax = 32 * 1024;
/** SHOW REPLICA STATUS has some 60. */
const columnsMax = 256;
/** The largest packet a client of this kind says it takes. Bytes. */
const clientPacketBytesMax = 0xff_ffff;
/** utf8mb4_general_ci, which every server has that has this protocol. */
const utf8mb4 = 45;
/** Bytes of a nonce; in a greeting 8 and 12, and a NUL. */
export const nonceBytes = 20;
/** The plugin of servers that name none. */
export const nativePassword = 'mysql_native_password';

function foreign(): RangeError {
  return new RangeError('it does not answer in the protocol of MySQL');
}

export interface Packet {
  /** What follows has the next one. */
  readonly sequence: number;
  readonly body: Buffer;
  /** Bytes of all of it. */
  readonly end: number;
}

/** @returns the first packet; undefined: more bytes are needed. @throws RangeError: it is too long, or has nothing in it */
export function decodePacket(bytes: Buffer): Packet | undefined {
  if (bytes.length < 4) return undefined;
  const length = bytes.readUIntLE(0, 3);
  if (length === 0 || length > packetBytesMax) throw foreign();
  const end = 4 + length;
  return bytes.length < end ? undefined : { sequence: bytes[3]!, body: bytes.subarray(4, end), end };
}

/** @param sequence one more than that of the packet it answers; 0 for a command */
export function encodePacket(sequence: number, body: Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeUIntLE(body.length, 0, 3);
  head[3] = sequence & 0xff;
  return Buffer.concat([head, body]);
}

/** @throws RangeError: no text of the protocol has a NUL in it */
function text(value: string): Buffer {
  if (value.includes('\0')) throw new RangeError('a name or a password with a NUL cannot be sent');
  return Buffer.from(`${value}\0`, 'utf8');
}

/** What a server says first (HandshakeV10). */
export interface Greeting {
  readonly version: string;
  readonly capabilities: number;
  readonly nonce: Buffer;
  readonly plugin: string;
}

/** @throws RangeError: it is another version, or cut */
export function decodeGreeting(body: Buffer): Greeting {
  if (body[0] !== 10) throw foreign();
  const versionEnd = body.indexOf(0, 1);
  // Thread, first part of the nonce, filler, capabilities, character set, status, capabilities, length, reserved.
  if (versionEnd < 0 || body.length < versionEnd + 32) throw foreign();
  const fixed = body.subarray(versionEnd + 1);
  const capabilities = (fixed.readUInt16LE(13) | (fixed.readUInt16LE(18) << 16)) >>> 0;
  const isOf = (flag: number): boolean => (capabilities & flag) !== 0;
  if (!isOf(capability.protocol41) || !isOf(capability.secureConnection)) throw foreign();
  const rest = fixed.subarray(31);
  if (rest.length < nonceBytes - 8) throw foreign();
  const nonce = Buffer.concat([fixed.subarray(4, 12), rest.subarray(0, nonceBytes - 8)]);
  const version = body.toString('latin1', 1, versionEnd);
  const plugin = isOf(capability.pluginAuth) ? untilNul(rest.subarray(nonceBytes - 8 + 1)) : nativePassword;
  return { version, capabilities, nonce, plugin };
}

function untilNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end < 0 ? bytes.length : end);
}

/** Capabilities, largest packet, character set, reserved. */
function head(capabilities: number): Buffer {
  const bytes = Buffer.alloc(32);
  bytes.writeUInt32LE(capabilities, 0);
  bytes.writeUInt32LE(clientPacketBytesMax, 4);
  bytes[8] = utf8mb4;
  return bytes;
}

/** After it TLS begins. */
export function encodeSslRequest(greeting: Greeting): Buffer {
  return encodePacket(1, head((spoken & greeting.capabilities) | capability.ssl));
}

export interface LogIn {
  readonly user: string;
  readonly plugin: string;
  /** What the plugin makes of password and nonce. */
  readonly proof: Buffer;
  readonly isSecured: boolean;
}

/**
 * HandshakeResponse41.
 * @param greeting undefined: it has not come
 * @throws RangeError: the user has a NUL
 */
export function encodeLogIn(
  greeting: Greeting | undefined,
  { user, plugin, proof, isSecured }: LogIn,
): Buffer {
  const capabilities = (spoken & (greeting?.capabilities ?? spoken)) | (isSecured ? capability.ssl : 0);
  const parts = [head(capabilities), text(user), Buffer.from([proof.length]), proof];
  if ((capabilities & capability.pluginAuth) !== 0) parts.push(text(plugin));
  return encodePacket(isSecured ? 2 : 1, Buffer.concat(parts));
}

/** @throws RangeError: it has a NUL */
export function encodeQuery(sql: string): Buffer {
  if (sql.includes('\0')) throw new RangeError('a question with a NUL cannot be sent');
  return encodePacket(0, Buffer.from(`\x03${sql}`, 'utf8'));
}

export function encodeQuit(): Buffer {
  return encodePacket(0, Buffer.from([1]));
}

/** What an answer begins with. */
export const isOk = (body: Buffer): boolean => body[0] === 0x00;
export const isError = (body: Buffer): boolean => body[0] === 0xff;
/** The end of columns or rows. A row may begin with this byte, and is longer then. */
export const isEof = (body: Buffer): boolean => body[0] === 0xfe && body.length < 9;

/** The number and the sentence of an ERR packet, and its SQLSTATE, which a greeting has not. @throws RangeError: it is cut */
export function errorOf(body: Buffer): {
  readonly code: number;
  readonly state: string | undefined;
  readonly message: string;
} {
  if (body.length < 3) throw foreign();
  const code = body.readUInt16LE(1);
  const hasState = body.length >= 9 && body[3] === 0x23;
  return {
    code,
    state: hasState ? body.toString('latin1', 4, 9) : undefined,
    message: body.toString('utf8', hasState ? 9 : 3) || `error ${code}`,
  };
}

/** What the server says between a log-in and its OK or ERR. */
export type Challenge =
  /** Another way to log in, with a nonce of its own (AuthSwitchRequest). */
  | { readonly kind: 'switch'; readonly plugin: string; readonly nonce: Buffer }
  /** More for the same way (AuthMoreData). */
  | { readonly kind: 'more'; readonly data: Buffer };

/** @throws RangeError: it is neither */
export function decodeChallenge(body: Buffer): Challenge {
  if (body[0] === 1) return { kind: 'more', data: body.subarray(1) };
  // By itself the byte asks for the way of servers before 4.1.
  if (body[0] !== 0xfe) throw foreign();
  if (body.length === 1) return { kind: 'switch', plugin: 'mysql_old_password', nonce: Buffer.alloc(0) };
  const end = body.indexOf(0, 1);
  if (end < 0) throw foreign();
  return {
    kind: 'switch',
    plugin: body.toString('latin1', 1, end),
    nonce: body.subarray(end + 1, end + 1 + nonceBytes),
  };
}

/** How many columns the rows have that follow. @throws RangeError: it is no count, or none a check asks for */
export function decodeColumnCount(body: Buffer): number {
  const count = body[0]!;
  if (body.length !== 1 || count === 0 || count > Math.min(columnsMax, 0xfa)) throw foreign();
  return count;
}

/** The name of a column (ColumnDefinition41). @throws RangeError */
export function decodeColumnName(body: Buffer): string {
  // Catalog, schema, table and its name in the file come first.
  const name = new Texts(body).take(5)[4];
  if (name == null) throw foreign();
  return name;
}

/** @returns its columns; null: NULL. @throws RangeError: there are more or fewer */
export function decodeRow(body: Buffer, columns: number): (string | null)[] {
  const texts = new Texts(body);
  const row = texts.take(columns);
  if (!texts.isOver) throw foreign();
  return row;
}

/** Texts with their length before them. */
class Texts {
  private readonly bytes: Buffer;
  private at = 0;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }

  get isOver(): boolean {
    return this.at === this.bytes.length;
  }

  take(count: number): (string | null)[] {
    return Array.from({ length: count }, () => this.next());
  }

  private next(): string | null {
    const { bytes } = this;
    const first = bytes[this.at++];
    if (first === undefined || first === 0xff) throw foreign();
    if (first === 0xfb) return null;
    let length = first;
    if (first > 0xfb) {
      // Two bytes say it, or three; with eight it is longer than any packet here.
      const size = first === 0xfc ? 2 : 3;
      if (first === 0xfe || bytes.length < this.at + size) throw foreign();
      length = bytes.readUIntLE(this.at, size);
      this.at += size;
    }
    if (length > bytes.length - this.at) throw foreign();
    this.at += length;
    return bytes.toString('utf8', this.at - length, this.at);
  }
}
