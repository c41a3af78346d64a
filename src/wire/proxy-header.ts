/**
 * The header of the PROXY protocol, versions 1 and 2: who the client of a proxy is. Read from the first bytes of a connection or
 * from a datagram, and written before them. https://www.haproxy.org/download/2.8/doc/proxy-protocol.txt, sections 2.1 and 2.2.
 *
 * Strict where the text says must: one wrong byte and there is no header, told as soon as it is seen. Whether a header is to be
 * expected at all is never guessed from the bytes: the caller knows, or must not ask.
 */
import { Address } from '../core/address.ts';
import { proxyHeaderBytesMax } from '../core/limits.ts';
import { crc32c } from './crc32c.ts';

/** Types of what may follow the addresses of version 2 (section 2.2). Others are kept as they are. */
export const tlvType = {
  alpn: 0x01,
  authority: 0x02,
  crc32c: 0x03,
  noop: 0x04,
  uniqueId: 0x05,
  ssl: 0x20,
  netns: 0x30,
} as const;

/** A type, and a value of at most 65,535 bytes. */
export interface Tlv {
  readonly type: number;
  readonly value: Uint8Array;
}

export interface ProxyHeader {
  readonly version: 1 | 2;
  /** The proxy speaks for itself (LOCAL, a health check): the connection's own addresses are the true ones, and all else is empty. */
  readonly isLocal: boolean;
  /** How the client came to the proxy. */
  readonly transport: 'stream' | 'datagram' | 'unknown';
  /**
   * The client, and the address it asked for. Undefined: the header does not say (LOCAL, UNKNOWN, UNSPEC), or they are paths of
   * unix sockets: the connection's own addresses stand in.
   */
  readonly addresses: { readonly source: Address; readonly destination: Address } | undefined;
  /** AF_UNIX: the client's path, up to its first NUL; empty: it had none (unix(7), unnamed). Undefined: another family. */
  readonly sourcePath: string | undefined;
  /** In their order, without NOOP, and without the checksum, which was right. Values are copies. */
  readonly tlvs: readonly Tlv[];
  /** Bytes of all of it: what follows is the client's. */
  readonly length: number;
}

const signature = Uint8Array.of(0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a);
const word = Uint8Array.from('PROXY ', (letter) => letter.charCodeAt(0));
/** Signature, command, family, length. */
const fixedBytes = 16;
/** The longest line, its CRLF included (section 2.1). */
const lineBytesMax = 107;
const uniqueIdBytesMax = 128;
/** Paths of AF_UNIX have room for so many bytes each. */
const pathBytes = 108;
const addressBytes = [0, 12, 36, 2 * pathBytes] as const;
const transports = ['unknown', 'stream', 'datagram'] as const;

/**
 * @param bytes the first ones of a connection, or a whole datagram (for which 'more' means that it is no header)
 * @returns 'more': so far it is one. Undefined: it is none, or its checksum is wrong: the connection must be given up
 */
export function readProxyHeader(bytes: Uint8Array): ProxyHeader | 'more' | undefined {
  if (bytes.length === 0) return 'more';
  return bytes[0] === signature[0] ? readBinary(bytes) : readLine(bytes);
}

function beginsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  const length = Math.min(bytes.length, start.length);
  for (let i = 0; i < length; i++) if (bytes[i] !== start[i]) return false;
  return true;
}

function readLine(bytes: Uint8Array): ProxyHeader | 'more' | undefined {
  if (!beginsWith(bytes, word)) return undefined;
  const end = bytes.indexOf(0x0a);
  if (end < 0) return bytes.length < lineBytesMax ? 'more' : undefined;
  if (end >= lineBytesMax || bytes[end - 1] !== 0x0d) return undefined;
  const line = String.fromCharCode(...bytes.subarray(word.length, end - 1));
  const rest = { version: 1, isLocal: false, sourcePath: undefined, tlvs: [], length: end + 1 } as const;
  if (line === 'UNKNOWN' || line.startsWith('UNKNOWN '))
    return { ...rest, transport: 'unknown', addresses: undefined };
  const fields = line.split(' ');
  if (fields.length !== 5) return undefined;
  const isV6 = fields[0] === 'TCP6';
  if (!isV6 && fields[0] !== 'TCP4') return undefined;
  const source = addressOf(fields[1]!, fields[3]!, isV6);
  const destination = addressOf(fields[2]!, fields[4]!, isV6);
  if (source === undefined || destination === undefined) return undefined;
  return { ...rest, transport: 'stream', addresses: { source, destination } };
}

/** Ports have no zeros in front, and neither have the parts of an IPv4 address. */
function addressOf(ip: string, port: string, isV6: boolean): Address | undefined {
  if (!/^(?:0|[1-9]\d{0,4})$/.test(port) || Number(port) > 65_535) return undefined;
  // A mapped IPv4 address is the text of an IPv6 one and a client of IPv4.
  return ip.includes(':') === isV6 ? Address.parse(ip, Number(port)) : undefined;
}

function readBinary(bytes: Uint8Array): ProxyHeader | 'more' | undefined {
  if (!beginsWith(bytes, signature)) return undefined;
  if (bytes.length > 12 && bytes[12] !== 0x20 && bytes[12] !== 0x21) return undefined;
  if (bytes.length < fixedBytes) return 'more';
  const length = fixedBytes + (bytes[14]! << 8) + bytes[15]!;
  if (length > proxyHeaderBytesMax) return undefined;
  const isLocal = bytes[12] === 0x20;
  const family = bytes[13]! >>> 4;
  const transport = transports[bytes[13]! & 15];
  const addressEnd = fixedBytes + (addressBytes[family] ?? 0);
  // With LOCAL all but the length is void.
  if (!isLocal && (family > 3 || transport === undefined || addressEnd > length)) return undefined;
  if (bytes.length < length) return 'more';
  if (isLocal) return local(length);
  const header = bytes.subarray(0, length);
  const tlvs = readTlvs(header, addressEnd);
  // Without a family nobody says where the addresses end, if there are any.
  if (tlvs === undefined && family !== 0) return undefined;
  const kept = tlvs === undefined ? [] : checked(tlvs, header);
  if (kept === undefined) return undefined;
  return {
    version: 2,
    isLocal,
    transport: transport!,
    addresses: transport === 'unknown' ? undefined : decodeAddresses(header, family),
    sourcePath: family === 3 ? pathOf(header.subarray(fixedBytes, fixedBytes + pathBytes)) : undefined,
    // Not by slice(), which is a view if it is a Buffer.
    tlvs: kept.map(({ type, value }) => ({ type, value: new Uint8Array(value) })),
    length,
  };
}

function local(length: number): ProxyHeader {
  const nothing = { transport: 'unknown', addresses: undefined, sourcePath: undefined, tlvs: [] } as const;
  return { version: 2, isLocal: true, ...nothing, length };
}

function decodeAddresses(header: Uint8Array, family: number): ProxyHeader['addresses'] {
  const view = new DataView(header.buffer, header.byteOffset, header.length);
  const v6 = (at: number, portAt: number): Address => {
    const [w0, w1, w2, w3] = [0, 4, 8, 12].map((i) => view.getUint32(at + i));
    return new Address(w0!, w1!, w2!, w3!, view.getUint16(portAt));
  };
  if (family === 1) {
    const source = Address.v4(view.getUint32(16), view.getUint16(24));
    return { source, destination: Address.v4(view.getUint32(20), view.getUint16(26)) };
  }
  return family === 2 ? { source: v6(16, 48), destination: v6(32, 50) } : undefined;
}

/** In the abstract namespace the first byte is a NUL, which is written as `@`. */
function pathOf(bytes: Uint8Array): string {
  const isAbstract = bytes[0] === 0 && bytes[1] !== 0;
  const path = isAbstract ? bytes.subarray(1) : bytes;
  const end = path.indexOf(0);
  return `${isAbstract ? '@' : ''}${new TextDecoder().decode(end < 0 ? path : path.subarray(0, end))}`;
}

/** @returns undefined: a length leads beyond the end, or bytes are left. Values are views of `bytes` */
function readTlvs(bytes: Uint8Array, from: number): Tlv[] | undefined {
  const tlvs: Tlv[] = [];
  for (let at = from; at < bytes.length; ) {
    if (at + 3 > bytes.length) return undefined;
    const end = at + 3 + (bytes[at + 1]! << 8) + bytes[at + 2]!;
    if (end > bytes.length) return undefined;
    tlvs.push({ type: bytes[at]!, value: bytes.subarray(at + 3, end) });
    at = end;
  }
  return tlvs;
}

/** @returns those that say something; undefined: one of them is wrong */
function checked(tlvs: readonly Tlv[], header: Uint8Array): Tlv[] | undefined {
  const kept: Tlv[] = [];
  let hasChecksum = false;
  for (const tlv of tlvs) {
    const { type, value } = tlv;
    if (type === tlvType.crc32c) {
      if (hasChecksum || value.length !== 4 || !isRight(value, header)) return undefined;
      hasChecksum = true;
      continue;
    }
    if (type === tlvType.uniqueId && value.length > uniqueIdBytesMax) return undefined;
    if (type === tlvType.ssl && readSsl(value) === undefined) return undefined;
    if (type !== tlvType.noop) kept.push(tlv);
  }
  return kept;
}

function isRight(sum: Uint8Array, header: Uint8Array): boolean {
  const said = ((sum[0]! << 24) | (sum[1]! << 16) | (sum[2]! << 8) | sum[3]!) >>> 0;
  return said === crc32c(header, sum.byteOffset - header.byteOffset);
}

/** What a TLV of type `ssl` holds (section 2.2.6). */
export interface SslTlv {
  /** Bits: 1 the client came by TLS; 2 with a certificate; 4 in a session that had one. */
  readonly client: number;
  /** 0: its certificate was verified. */
  readonly verify: number;
  /** 0x21 version, 0x22 common name, 0x23 cipher, 0x24 and 0x25 algorithms of the certificate. */
  readonly tlvs: readonly Tlv[];
}

/** @returns undefined: it is cut, or a length in it leads beyond its end */
export function readSsl(value: Uint8Array): SslTlv | undefined {
  if (value.length < 5) return undefined;
  const tlvs = readTlvs(value, 5);
  if (tlvs === undefined) return undefined;
  const verify = ((value[1]! << 24) | (value[2]! << 16) | (value[3]! << 8) | value[4]!) >>> 0;
  return { client: value[0]!, verify, tlvs };
}

/**
 * The line of version 1, for TCP.
 * @param source undefined: no IP is known (a unix socket), and it says UNKNOWN, which not all servers take
 */
export function writeProxyLine(source: Address | undefined, destination: Address | undefined): Uint8Array {
  const fields =
    source === undefined || destination === undefined ? 'UNKNOWN' : tcpFields(source, destination);
  return Uint8Array.from(`PROXY ${fields}\r\n`, (letter) => letter.charCodeAt(0));
}

/** Both of one family, as the word before them says: an IPv4 address beside one of IPv6 goes in its mapped form. */
function tcpFields(source: Address, destination: Address): string {
  const isV4 = source.family === 4 && destination.family === 4;
  const ip = (address: Address): string => (isV4 || address.family === 6 ? address.ip : mapped(address));
  return `TCP${isV4 ? 4 : 6} ${ip(source)} ${ip(destination)} ${source.port} ${destination.port}`;
}

/** In hexadecimal groups: the text of the protocol knows no IPv4 within IPv6. */
function mapped({ w3 }: Address): string {
  return `::ffff:${(w3 >>> 16).toString(16)}:${(w3 & 0xffff).toString(16)}`;
}

export interface ProxyHeaderParts {
  /** The balancer speaks for itself; addresses and TLVs are left out. */
  readonly isLocal?: boolean;
  readonly transport: 'stream' | 'datagram';
  /** Either undefined: neither is told (UNSPEC). */
  readonly source: Address | undefined;
  readonly destination: Address | undefined;
  /** In this order. Those that would make the header longer than {@link proxyHeaderBytesMax} are left out. */
  readonly tlvs?: readonly Tlv[];
  readonly hasChecksum?: boolean;
}

/** The header of version 2. */
export function writeProxyHeader(parts: ProxyHeaderParts): Uint8Array {
  const { isLocal = false, transport, source, destination, hasChecksum = false } = parts;
  const isKnown = !isLocal && source !== undefined && destination !== undefined;
  const family = !isKnown ? 0 : source.family === 4 && destination.family === 4 ? 1 : 2;
  const addressEnd = fixedBytes + addressBytes[family];
  const room = proxyHeaderBytesMax - addressEnd - (hasChecksum ? 7 : 0);
  const tlvs = isLocal ? [] : fitting(parts.tlvs ?? [], room);
  if (hasChecksum) tlvs.push({ type: tlvType.crc32c, value: new Uint8Array(4) });
  const header = new Uint8Array(tlvs.reduce((sum, { value }) => sum + 3 + value.length, addressEnd));
  const view = new DataView(header.buffer);
  header.set(signature);
  header[12] = isLocal ? 0x20 : 0x21;
  header[13] = isKnown ? (family << 4) | (transport === 'stream' ? 1 : 2) : 0;
  view.setUint16(14, header.length - fixedBytes);
  if (isKnown) encodeAddresses(view, source, destination, family === 1);
  let at = addressEnd;
  for (const { type, value } of tlvs) {
    header[at] = type;
    view.setUint16(at + 1, value.length);
    header.set(value, at + 3);
    at += 3 + value.length;
  }
  if (hasChecksum) view.setUint32(at - 4, crc32c(header));
  return header;
}

function fitting(tlvs: readonly Tlv[], room: number): Tlv[] {
  let left = room;
  return tlvs.filter(({ value }) => {
    const fits = 3 + value.length <= left;
    if (fits) left -= 3 + value.length;
    return fits;
  });
}

function encodeAddresses(view: DataView, source: Address, destination: Address, isV4: boolean): void {
  const words = ({ w0, w1, w2, w3 }: Address): number[] => (isV4 ? [w3] : [w0, w1, w2, w3]);
  let at = fixedBytes;
  for (const each of [...words(source), ...words(destination)]) {
    view.setUint32(at, each);
    at += 4;
  }
  view.setUint16(at, source.port);
  view.setUint16(at + 2, destination.port);
}
