/**
 * What a client of PostgreSQL says first: that it wants TLS or GSSAPI, that a query be cancelled, or who it is and which database it
 * wants. https://www.postgresql.org/docs/current/protocol-message-formats.html (SSLRequest, GSSENCRequest, CancelRequest,
 * StartupMessage); since version 17 a client may also begin with TLS at once (`sslnegotiation=direct`), which is a record of TLS and
 * none of these.
 */

export type PostgresStartup =
  /** It waits for one byte, S or N (G or N), and says nothing before. */
  | { readonly kind: 'ssl-request' | 'gss-request'; readonly length: number }
  | {
      readonly kind: 'cancel';
      readonly processId: number;
      /** A view of the bytes it was read from. */
      readonly secret: Uint8Array;
      readonly length: number;
    }
  | {
      readonly kind: 'startup';
      readonly minorVersion: number;
      readonly user: string;
      /** That of the user's name if the client names none. */
      readonly database: string;
      /** Bytes of all of it. */
      readonly length: number;
    };

const codes = { cancel: 80_877_102, ssl: 80_877_103, gss: 80_877_104 } as const;
const majorVersion = 3;
/** MAX_STARTUP_PACKET_LENGTH of the server. */
const startupBytesMax = 10_000;
/** Number and key; version 3.2 has keys of up to 256 bytes. */
const cancelBytesMax = 12 + 256;

const decoder = new TextDecoder();

/** @param bytes the first ones of a connection, or those after an answer. @returns 'more': so far it is one. Undefined: it is none */
export function readPostgresStartup(bytes: Uint8Array): PostgresStartup | 'more' | undefined {
  // No message is so long that its length has another first byte.
  if (bytes.length > 0 && bytes[0] !== 0) return undefined;
  if (bytes.length > 1 && bytes[1] !== 0) return undefined;
  if (bytes.length < 4) return 'more';
  const length = (bytes[2]! << 8) | bytes[3]!;
  if (length < 8 || length > startupBytesMax) return undefined;
  if (bytes.length < 8) return bytes.length < 5 || bytes[4] === 4 || bytes[4] === 0 ? 'more' : undefined;
  const code = uint32(bytes, 4);
  const isRequest = code === codes.ssl || code === codes.gss;
  const isCancel = code === codes.cancel;
  if (!isRequest && !isCancel && code >>> 16 !== majorVersion) return undefined;
  if (isRequest && length !== 8) return undefined;
  if (isCancel && (length < 16 || length > cancelBytesMax)) return undefined;
  if (bytes.length < length) return 'more';
  if (isRequest) return { kind: code === codes.ssl ? 'ssl-request' : 'gss-request', length };
  if (isCancel)
    return { kind: 'cancel', processId: uint32(bytes, 8), secret: bytes.subarray(12, length), length };
  return readParameters(bytes.subarray(0, length), code & 0xffff);
}

function uint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Names and values, each with a NUL behind it, and a NUL after the last. Of a name that is said twice, the server takes the last. */
function readParameters(message: Uint8Array, minorVersion: number): PostgresStartup | undefined {
  const texts: Uint8Array[] = [];
  let at = 8;
  for (;;) {
    const end = message.indexOf(0, at);
    if (end < 0) return undefined;
    if (end === at && texts.length % 2 === 0) break;
    texts.push(message.subarray(at, end));
    at = end + 1;
  }
  if (at !== message.length - 1) return undefined;
  let user = '';
  let database = '';
  for (let i = 0; i < texts.length; i += 2) {
    const name = decoder.decode(texts[i]);
    if (name === 'user') user = decoder.decode(texts[i + 1]);
    else if (name === 'database') database = decoder.decode(texts[i + 1]);
  }
  // The server refuses who has no name.
  if (user === '') return undefined;
  return { kind: 'startup', minorVersion, user, database: database || user, length: message.length };
}
