/**
 * Just enough of PostgreSQL's protocol to ask whether a server takes connections.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

const protocol3 = 196_608;
/** A server that is well answers a start-up with much less. */
const messageBytesMax = 16 * 1024;

export function encodeStartup(parameters: Readonly<Record<string, string>>): Buffer {
  const pairs = Object.entries(parameters).flatMap(([key, value]) => [`${key}\0`, `${value}\0`]);
  const body = Buffer.from(`${pairs.join('')}\0`, 'utf8');
  const head = Buffer.alloc(8);
  head.writeUInt32BE(8 + body.length, 0);
  head.writeUInt32BE(protocol3, 4);
  return Buffer.concat([head, body]);
}

export function encodeTerminate(): Buffer {
  return Buffer.from([0x58, 0, 0, 0, 4]);
}

/** @returns the first message; undefined: more bytes are needed. @throws RangeError: it is none of PostgreSQL's */
export function decodeMessage(
  bytes: Buffer,
): { readonly type: string; readonly body: Buffer; readonly end: number } | undefined {
  const type = String.fromCharCode(bytes[0]!);
  if (!/[A-Za-z]/.test(type)) throw new RangeError('it does not answer in the protocol of PostgreSQL');
  if (bytes.length < 5) return undefined;
  const length = bytes.readUInt32BE(1);
  if (length < 4 || length > messageBytesMax)
    throw new RangeError('it does not answer in the protocol of PostgreSQL');
  const end = 1 + length;
  return bytes.length < end ? undefined : { type, body: bytes.subarray(5, end), end };
}

/** The SQLSTATE and the sentence of an ErrorResponse. */
export function errorOf(body: Buffer): { readonly code: string | undefined; readonly message: string } {
  const fields = body.toString('utf8').split('\0');
  const of = (letter: string): string | undefined =>
    fields.find((field) => field.startsWith(letter))?.slice(1);
  return { code: of('C'), message: of('M') ?? 'an error without words' };
}
