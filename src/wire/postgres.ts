/**
 * As much of PostgreSQL's protocol (3.0) as a question and its answer take. What a server sends is bounded, and what is no message
 * of the protocol is a RangeError.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

const protocol3 = 196_608;
const sslRequestCode = 80_877_103;
/** A server that is well answers a start-up, or a question of one row, with much less. Bytes. */
const messageBytesMax = 16 * 1024;
const columnsMax = 64;
/** A server names two or three. */
const mechanismsMax = 16;

/** @throws RangeError: no text of the protocol has a NUL in it */
function text(value: string): Buffer {
  if (value.includes('\0')) throw new RangeError('a name or a password with a NUL cannot be sent');
  return Buffer.from(`${value}\0`, 'utf8');
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function encodeMessage(type: string, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(type, 'latin1'), uint32(4 + body.length), body]);
}

/** @throws RangeError: a parameter has a NUL */
export function encodeStartup(parameters: Readonly<Record<string, string>>): Buffer {
  const body = Buffer.concat([...Object.entries(parameters).flat().map(text), Buffer.alloc(1)]);
  return Buffer.concat([uint32(8 + body.length), uint32(protocol3), body]);
}

/** The server answers with one byte: S, and TLS begins; N, and it does not. */
export function encodeSslRequest(): Buffer {
  return Buffer.concat([uint32(8), uint32(sslRequestCode)]);
}

/** The password itself, or its MD5. @throws RangeError: it has a NUL */
export function encodePassword(password: string): Buffer {
  return encodeMessage('p', text(password));
}

export function encodeSaslInitial(mechanism: string, response: string): Buffer {
  const bytes = Buffer.from(response, 'utf8');
  return encodeMessage('p', Buffer.concat([text(mechanism), uint32(bytes.length), bytes]));
}

export function encodeSaslResponse(response: string): Buffer {
  return encodeMessage('p', Buffer.from(response, 'utf8'));
}

export function encodeQuery(sql: string): Buffer {
  return encodeMessage('Q', text(sql));
}

export function encodeTerminate(): Buffer {
  return encodeMessage('X', Buffer.alloc(0));
}

export interface Message {
  readonly type: string;
  readonly body: Buffer;
  /** Bytes of all of it. */
  readonly end: number;
}

function foreign(): RangeError {
  return new RangeError('it does not answer in the protocol of PostgreSQL');
}

/** @returns the first message; undefined: more bytes are needed. @throws RangeError: it is none of PostgreSQL's, or too long */
export function decodeMessage(bytes: Buffer): Message | undefined {
  if (bytes.length === 0) return undefined;
  const type = String.fromCharCode(bytes[0]!);
  if (!/[A-Za-z]/.test(type)) throw foreign();
  if (bytes.length < 5) return undefined;
  const length = bytes.readUInt32BE(1);
  if (length < 4 || length > messageBytesMax) throw foreign();
  const end = 1 + length;
  return bytes.length < end ? undefined : { type, body: bytes.subarray(5, end), end };
}

/** What an Authentication message says. */
export type Authentication =
  | { readonly kind: 'ok' }
  | { readonly kind: 'cleartext' }
  | { readonly kind: 'md5'; readonly salt: Buffer }
  | { readonly kind: 'sasl'; readonly mechanisms: readonly string[] }
  | { readonly kind: 'sasl-continue' | 'sasl-final'; readonly data: string }
  /** Something that is not spoken here. */
  | { readonly kind: 'other'; readonly name: string };

const otherNames: Readonly<Record<number, string>> = {
  2: 'Kerberos 5',
  4: 'crypt',
  6: 'SCM credentials',
  7: 'GSSAPI',
  8: 'GSSAPI',
  9: 'SSPI',
};

/** @param body of a message of type R. @throws RangeError: it is cut, or has bytes to spare */
export function decodeAuthentication(body: Buffer): Authentication {
  if (body.length < 4) throw foreign();
  const code = body.readUInt32BE(0);
  const rest = body.subarray(4);
  switch (code) {
    case 0:
    case 3:
      if (rest.length > 0) throw foreign();
      return { kind: code === 0 ? 'ok' : 'cleartext' };
    case 5:
      if (rest.length !== 4) throw foreign();
      return { kind: 'md5', salt: rest };
    case 10:
      return { kind: 'sasl', mechanisms: decodeMechanisms(rest) };
    case 11:
      return { kind: 'sasl-continue', data: rest.toString('utf8') };
    case 12:
      return { kind: 'sasl-final', data: rest.toString('utf8') };
    default:
      return { kind: 'other', name: otherNames[code] ?? `authentication ${code}` };
  }
}

/** Texts that end in a NUL each, and a NUL after the last. */
function decodeMechanisms(bytes: Buffer): string[] {
  const names = bytes.toString('latin1').split('\0');
  if (names.length < 3 || names.pop() !== '' || names.pop() !== '') throw foreign();
  if (names.length > mechanismsMax || names.includes('')) throw foreign();
  return names;
}

/** @param body of a message of type D. @returns its columns; null: NULL. @throws RangeError */
export function decodeDataRow(body: Buffer): (string | null)[] {
  if (body.length < 2) throw foreign();
  const count = body.readUInt16BE(0);
  if (count > columnsMax) throw foreign();
  const columns: (string | null)[] = [];
  let at = 2;
  for (let i = 0; i < count; i++) {
    if (body.length < at + 4) throw foreign();
    const length = body.readInt32BE(at);
    at += 4;
    if (length < -1 || length > body.length - at) throw foreign();
    columns.push(length < 0 ? null : body.toString('utf8', at, at + length));
    at += Math.max(0, length);
  }
  if (at !== body.length) throw foreign();
  return columns;
}

/** The SQLSTATE and the sentence of an ErrorResponse or a NoticeResponse; total: what it lacks is left out. */
export function errorOf(body: Buffer): { readonly code: string | undefined; readonly message: string } {
  const fields = body.toString('utf8').split('\0');
  const of = (letter: string): string | undefined =>
    fields.find((field) => field.startsWith(letter))?.slice(1);
  return { code: of('C'), message: of('M') ?? 'an error without words' };
}
