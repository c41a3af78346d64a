/**
 * The first message of TLS: whom a client asks for (RFC 6066 section 3) and what it speaks (ALPN, RFC 7301 section 3.1), read without
 * ending anything. The message as in RFC 8446 section 4.1.2 and RFC 5246 section 7.4.1.2, in records (RFC 8446 section 5.1) that
 * may be split anywhere, or bare as in QUIC. With an encrypted hello (draft-ietf-tls-esni, type 0xfe0d) the name is the outer one,
 * which is that of the server that decrypts it; a client may also send an encrypted hello that is none, so as to look alike.
 *
 * What is said twice, or is no name, makes it no hello: a server behind could read the other one.
 */
import { clientHelloBytesMax } from '../core/limits.ts';

export interface ClientHello {
  /** As it was sent: ASCII in any case, by RFC 6066 without a dot at its end. Undefined: it names nobody. */
  readonly serverName: string | undefined;
  /** In the client's order; bytes as Latin-1. */
  readonly alpn: readonly string[];
  /** It has an encrypted hello, or what looks like one. */
  readonly hasEch: boolean;
}

const handshakeRecord = 22;
const recordHeadBytes = 5;
/** Plain text of one record: RFC 8446 section 5.1. */
const recordBytesMax = 16 * 1024;
const clientHelloKind = 1;
/** Kind and length. */
const messageHeadBytes = 4;
const extension = { serverName: 0, alpn: 16, ech: 0xfe0d } as const;
const hostName = 0;
/** OpenSSL and BoringSSL take no longer name. */
const nameBytesMax = 255;

/** Reads one connection's hello as it comes, and looks at each record once, in however many pieces they come. */
export class ClientHelloReader {
  /** Where the next record begins, and what those before it hold of the message. */
  private at = 0;
  private gathered = 0;
  private size = messageHeadBytes;

  /**
   * @param bytes all that has come so far
   * @returns 'more': so far it is a hello. Undefined: this is not TLS, or the hello is broken or larger than {@link clientHelloBytesMax}
   */
  read(bytes: Uint8Array): ClientHello | 'more' | undefined {
    while (this.gathered < this.size) {
      if (this.at >= bytes.length) return 'more';
      const length = recordLength(bytes, this.at);
      if (length === undefined || length === 'more') return length;
      const here = Math.min(length, bytes.length - this.at - recordHeadBytes);
      const gathered = this.gathered + here;
      if (this.gathered < messageHeadBytes && here > 0) {
        const size = sizeOf(messageIn(bytes, Math.min(gathered, messageHeadBytes)));
        if (size === undefined) return undefined;
        if (size !== 'more') this.size = size;
      }
      if (here < length && gathered < this.size) return 'more';
      this.gathered = gathered;
      this.at += recordHeadBytes + length;
    }
    return readHandshake(messageIn(bytes, this.size));
  }
}

/** What the record at `at` holds, if it is one of the handshake. */
function recordLength(bytes: Uint8Array, at: number): number | 'more' | undefined {
  if (bytes[at] !== handshakeRecord) return undefined;
  if (at + 1 < bytes.length && bytes[at + 1] !== 3) return undefined;
  if (at + recordHeadBytes > bytes.length) return 'more';
  const length = uint16(bytes, at + 3);
  return length === 0 || length > recordBytesMax ? undefined : length;
}

/** The first `size` bytes of what the records hold; they are known to be there. */
function messageIn(bytes: Uint8Array, size: number): Uint8Array {
  const first = uint16(bytes, 3);
  if (first >= size) return bytes.subarray(recordHeadBytes, recordHeadBytes + size);
  const message = new Uint8Array(size);
  let done = 0;
  for (let at = 0; done < size; ) {
    const length = Math.min(uint16(bytes, at + 3), size - done);
    const from = at + recordHeadBytes;
    for (let i = 0; i < length; i++) message[done + i] = bytes[from + i]!;
    done += length;
    at = from + length;
  }
  return message;
}

/** @param stream the first bytes of a handshake without records, as the CRYPTO frames of QUIC carry it. @returns as {@link ClientHelloReader.read} */
export function readHandshake(stream: Uint8Array): ClientHello | 'more' | undefined {
  const size = sizeOf(stream);
  if (size === undefined || size === 'more') return size;
  return stream.length < size ? 'more' : readBody(stream.subarray(messageHeadBytes, size));
}

/** Bytes of the whole message. */
function sizeOf(stream: Uint8Array): number | 'more' | undefined {
  if (stream.length > 0 && stream[0] !== clientHelloKind) return undefined;
  if (stream.length < messageHeadBytes) return 'more';
  const size = messageHeadBytes + (stream[1]! << 16) + uint16(stream, 2);
  return size > clientHelloBytesMax ? undefined : size;
}

/** Of bytes that are there. */
function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function readBody(body: Uint8Array): ClientHello | undefined {
  // Version, random, and three lists: session, ciphers, compression.
  if (body.length < 38 || body[0] !== 3) return undefined;
  let at = 34;
  const sessionBytes = body[at]!;
  at += 1 + sessionBytes;
  if (sessionBytes > 32 || at + 2 > body.length) return undefined;
  const cipherBytes = uint16(body, at);
  at += 2 + cipherBytes;
  if (cipherBytes < 2 || cipherBytes % 2 !== 0 || at + 1 > body.length) return undefined;
  const compressionBytes = body[at]!;
  at += 1 + compressionBytes;
  if (compressionBytes === 0 || at > body.length) return undefined;
  // Before TLS 1.3 there may be no extensions at all.
  if (at === body.length) return { serverName: undefined, alpn: [], hasEch: false };
  if (at + 2 > body.length || uint16(body, at) !== body.length - at - 2) return undefined;
  return readExtensions(body.subarray(at + 2));
}

function readExtensions(bytes: Uint8Array): ClientHello | undefined {
  const found = new Map<number, Uint8Array>();
  for (let at = 0; at < bytes.length; ) {
    if (at + 4 > bytes.length) return undefined;
    const type = uint16(bytes, at);
    const end = at + 4 + uint16(bytes, at + 2);
    if (end > bytes.length) return undefined;
    if (type === extension.serverName || type === extension.alpn || type === extension.ech) {
      if (found.has(type)) return undefined;
      found.set(type, bytes.subarray(at + 4, end));
    }
    at = end;
  }
  const serverName = readServerName(found.get(extension.serverName));
  const alpn = readAlpn(found.get(extension.alpn));
  if (serverName === false || alpn === undefined) return undefined;
  return { serverName, alpn, hasEch: found.has(extension.ech) };
}

/** @returns undefined: nobody is named. False: it is broken */
function readServerName(bytes: Uint8Array | undefined): string | undefined | false {
  // A list of none is not allowed, and servers pass over it.
  if (bytes === undefined || bytes.length === 0) return undefined;
  if (bytes.length < 2 || uint16(bytes, 0) !== bytes.length - 2) return false;
  // Of names that are no host names not even the length is known.
  if (bytes.length === 2 || bytes[2] !== hostName) return undefined;
  if (bytes.length < 5) return false;
  const length = uint16(bytes, 3);
  if (length === 0 || length > nameBytesMax || 5 + length > bytes.length) return false;
  // No second one of the same kind may follow, and there is no other kind.
  if (5 + length !== bytes.length) return false;
  const name = bytes.subarray(5);
  return name.every((byte) => byte > 0x20 && byte < 0x7f) ? String.fromCharCode(...name) : false;
}

/** @returns undefined: it is broken */
function readAlpn(bytes: Uint8Array | undefined): string[] | undefined {
  if (bytes === undefined || bytes.length === 0) return [];
  if (bytes.length < 2 || uint16(bytes, 0) !== bytes.length - 2) return undefined;
  const protocols: string[] = [];
  for (let at = 2; at < bytes.length; ) {
    const end = at + 1 + bytes[at]!;
    if (bytes[at] === 0 || end > bytes.length) return undefined;
    protocols.push(String.fromCharCode(...bytes.subarray(at + 1, end)));
    at = end;
  }
  return protocols;
}
