/**
 * QUIC as a relay sees it: connection ids and versions, which no version hides (RFC 8999), and the hello in a client's first
 * packets, whose keys everybody can compute who has seen them (RFC 9001 section 5.2; version 2: RFC 9369 section 3.3). What the
 * hello says is therefore no secret and no proof.
 *
 * The ciphers come from the caller: this folder has none. Packets that are not whole, or not sealed as they say, say nothing.
 */
import { clientHelloBytesMax } from '../core/limits.ts';
import { type ClientHello, readHandshake } from './client-hello.ts';

/** What a datagram shows by its first packet (RFC 8999 section 5). Ids are views of the datagram. */
export type QuicHeader =
  | {
      readonly form: 'long';
      /** 0: the server does not speak the client's (version negotiation). */
      readonly version: number;
      readonly destinationId: Uint8Array;
      readonly sourceId: Uint8Array;
      /** Where what depends on the version begins. */
      readonly end: number;
    }
  /** An id of the receiver's making follows the first byte. Only the receiver knows its length. */
  | { readonly form: 'short'; readonly end: 1 };

/** Ids of versions 1 and 2 (RFC 9000 section 17.2); by RFC 8999 there may be longer ones. */
export const connectionIdBytesMax = 20;
/** Of the id that a client chooses for its first datagrams (RFC 9000 section 7.2): a shorter one is its server's. */
export const clientIdBytesMin = 8;

const longForm = 0x80;

/** @returns undefined: it is no packet of QUIC. A short one can be anything whose first bit is 0. */
export function readQuicHeader(datagram: Uint8Array): QuicHeader | undefined {
  if (datagram.length === 0) return undefined;
  if ((datagram[0]! & longForm) === 0) return { form: 'short', end: 1 };
  const destinationEnd = 6 + (datagram[5] ?? 0);
  const sourceEnd = destinationEnd + 1 + (datagram[destinationEnd] ?? 0);
  if (sourceEnd > datagram.length) return undefined;
  return {
    form: 'long',
    version: uint32(datagram, 1),
    destinationId: datagram.subarray(6, destinationEnd),
    sourceId: datagram.subarray(destinationEnd + 1, sourceEnd),
    end: sourceEnd,
  };
}

/** @returns what may be the id after a short header, by the lengths it may have: in their order, as far as the datagram has so many bytes */
export function shortHeaderIds(datagram: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  return lengths.flatMap((length) => (datagram.length > length ? [datagram.subarray(1, 1 + length)] : []));
}

/**
 * The id that a server has chosen, by one of its answers: the source of a long header, also that of Retry (RFC 9000 section 7.2). Of
 * version negotiation it only says back what the client said.
 * @returns 'settled': it goes on with short headers, or does not speak QUIC. Undefined: it does not say one here
 */
export function readServerId(reply: Uint8Array): Uint8Array | 'settled' | undefined {
  const header = readQuicHeader(reply);
  if (header?.form !== 'long') return 'settled';
  return header.version === 0 || header.sourceId.length === 0 ? undefined : header.sourceId;
}

function uint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** What is needed to open a client's first packets. */
export interface QuicCiphers {
  hmacSha256(key: Uint8Array, data: Uint8Array): Uint8Array;
  /** One block of 16 bytes, without padding. */
  aes128Ecb(key: Uint8Array, block: Uint8Array): Uint8Array;
  /** @param sealed cipher text, and a tag of 16 bytes. @returns undefined: it was not sealed with this key, or was changed */
  openAes128Gcm(
    key: Uint8Array,
    nonce: Uint8Array,
    associated: Uint8Array,
    sealed: Uint8Array,
  ): Uint8Array | undefined;
}

interface Version {
  readonly salt: Uint8Array;
  /** What its keys are made with: see {@link labelOf}. */
  readonly labels: { readonly key: Uint8Array; readonly iv: Uint8Array; readonly hp: Uint8Array };
  /** Bits 4 and 5 of the first byte (RFC 9000 section 17.2, RFC 9369 section 3.2). */
  readonly initial: number;
  readonly retry: number;
  readonly zeroRtt: number;
}

const clientLabel = labelOf('client in', 32);

const versions: ReadonlyMap<number, Version> = new Map([
  [
    0x0000_0001,
    {
      salt: bytesOf('38762cf7f55934b34d179ae6a4c80cadccbb7f0a'),
      labels: { key: labelOf('quic key', 16), iv: labelOf('quic iv', 12), hp: labelOf('quic hp', 16) },
      initial: 0x00,
      zeroRtt: 0x10,
      retry: 0x30,
    },
  ],
  [
    0x6b33_43cf,
    {
      salt: bytesOf('0dede3def700a6db819381be6e269dcbf9bd2ed9'),
      labels: { key: labelOf('quicv2 key', 16), iv: labelOf('quicv2 iv', 12), hp: labelOf('quicv2 hp', 16) },
      initial: 0x10,
      zeroRtt: 0x20,
      retry: 0x00,
    },
  ],
]);

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );
}

/** A datagram with a client's first packet has at least so many: RFC 9000 section 14.1. Servers drop shorter ones. */
const initialDatagramBytesMin = 1_200;
/** Clients have one in a datagram. Each costs ciphers of its own, and a source can be forged. */
const initialsPerDatagramMax = 4;
const sampleBytes = 16;
const tagBytes = 16;
const typeBits = 0x30;

interface Keys {
  readonly destinationId: Uint8Array;
  readonly version: Version;
  readonly key: Uint8Array;
  readonly iv: Uint8Array;
  readonly hp: Uint8Array;
}

/** A packet with a long header whose type has a length. */
interface Packet {
  readonly isInitial: boolean;
  /** Where its number begins, and where it ends. */
  readonly numberAt: number;
  readonly end: number;
}

/** Reads the hello of one client from its first datagrams, in whatever order its parts come. */
export class QuicHelloReader {
  private readonly ciphers: QuicCiphers;
  private keys: Keys | undefined = undefined;
  private readonly stream = new CryptoStream();
  /** 0-RTT has come, which overtook the hello that it belongs to. */
  private hasEarlyData = false;

  constructor(ciphers: QuicCiphers) {
    this.ciphers = ciphers;
  }

  /**
   * @param datagram the next one of the client
   * @returns 'more': the hello goes on in another one. Undefined: it has none that can be read (another version, a client that
   * goes on with an old connection, another protocol)
   */
  read(datagram: Uint8Array): ClientHello | 'more' | undefined {
    const first = readQuicHeader(datagram);
    if (first?.form === 'long' && this.isOfOurs(first.destinationId)) {
      const { destinationId, version } = first;
      const isTaken =
        datagram.length >= initialDatagramBytesMin && this.readPackets(datagram, destinationId, version);
      if (isTaken === undefined) return undefined;
      if (isTaken) return readHandshake(this.stream.beginning);
      if (isEarlyData(datagram, first.end, version)) this.hasEarlyData = true;
    }
    // One that is none of QUIC's among others is somebody else's, or a part of the connection that comes early.
    return this.stream.isEmpty && !this.hasEarlyData ? undefined : 'more';
  }

  /** Until its server has answered, a client keeps to one id. Another one is another connection's. */
  private isOfOurs(destinationId: Uint8Array): boolean {
    return this.stream.isEmpty || this.keys === undefined || areEqual(this.keys.destinationId, destinationId);
  }

  /** @returns whether one of them was a first packet; undefined: one of them was broken in itself */
  private readPackets(
    datagram: Uint8Array,
    destinationId: Uint8Array,
    versionNumber: number,
  ): boolean | undefined {
    const version = versions.get(versionNumber);
    if (version === undefined) return false;
    let isTaken = false;
    let initials = 0;
    // Several may be in one datagram, all with one id (RFC 9000 section 12.2). Each says where it ends.
    for (let at = 0; at < datagram.length; ) {
      const rest = datagram.subarray(at);
      const header = readQuicHeader(rest);
      if (header?.form !== 'long' || !areEqual(header.destinationId, destinationId)) break;
      const packet = header.version === versionNumber ? readPacket(rest, header.end, version) : undefined;
      if (packet === undefined) break;
      if (packet.isInitial) {
        if (++initials > initialsPerDatagramMax) break;
        const payload = this.open(rest.subarray(0, packet.end), packet.numberAt, destinationId, version);
        if (payload !== undefined && !readFrames(payload, this.stream)) return undefined;
        if (payload !== undefined) isTaken = true;
      }
      at += packet.end;
    }
    return isTaken;
  }

  /** RFC 9001 sections 5.3 and 5.4. @returns undefined: it was not sealed for this id */
  private open(
    packet: Uint8Array,
    numberAt: number,
    destinationId: Uint8Array,
    version: Version,
  ): Uint8Array | undefined {
    const sampleAt = numberAt + 4;
    if (sampleAt + sampleBytes > packet.length) return undefined;
    if (
      this.keys === undefined ||
      this.keys.version !== version ||
      !areEqual(this.keys.destinationId, destinationId)
    )
      this.keys = deriveKeys(this.ciphers, destinationId, version);
    const { key, iv, hp } = this.keys;
    const mask = this.ciphers.aes128Ecb(hp, packet.subarray(sampleAt, sampleAt + sampleBytes));
    const first = packet[0]! ^ (mask[0]! & 0x0f);
    const numberEnd = numberAt + (first & 3) + 1;
    if (packet.length - numberEnd < tagBytes) return undefined;
    const header = new Uint8Array(packet.subarray(0, numberEnd));
    header[0] = first;
    const nonce = new Uint8Array(iv);
    // The first numbers of a connection are small: none of their bits is left out.
    for (let i = numberAt; i < numberEnd; i++) {
      header[i]! ^= mask[1 + i - numberAt]!;
      nonce[nonce.length - numberEnd + i]! ^= header[i]!;
    }
    return this.ciphers.openAes128Gcm(key, nonce, header, packet.subarray(numberEnd));
  }
}

function areEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** @param at where what depends on the version begins. @returns undefined: it is not whole, or of a type without a length */
function readPacket(bytes: Uint8Array, at: number, version: Version): Packet | undefined {
  if (bytes[5]! > connectionIdBytesMax || bytes[6 + bytes[5]!]! > connectionIdBytesMax) return undefined;
  const type = bytes[0]! & typeBits;
  if (type === version.retry) return undefined;
  const isInitial = type === version.initial;
  let lengthAt = at;
  if (isInitial) {
    const token = readVarInt(bytes, at);
    if (token === undefined) return undefined;
    lengthAt = token.end + token.value;
  }
  const length = readVarInt(bytes, lengthAt);
  if (length === undefined || length.end + length.value > bytes.length) return undefined;
  return { isInitial, numberAt: length.end, end: length.end + length.value };
}

/** Whether a datagram begins with a whole packet of 0-RTT, which a client sends behind its hello (RFC 9000 section 17.2.3). */
function isEarlyData(datagram: Uint8Array, end: number, versionNumber: number): boolean {
  const version = versions.get(versionNumber);
  if (version === undefined || (datagram[0]! & typeBits) !== version.zeroRtt) return false;
  return readPacket(datagram, end, version) !== undefined;
}

/** RFC 9000 section 16. @returns undefined: it is cut, or so large that nothing can have it */
function readVarInt(
  bytes: Uint8Array,
  at: number,
): { readonly value: number; readonly end: number } | undefined {
  if (at >= bytes.length) return undefined;
  const size = 1 << (bytes[at]! >>> 6);
  if (at + size > bytes.length) return undefined;
  let value = bytes[at]! & 0x3f;
  for (let i = 1; i < size; i++) value = value * 256 + bytes[at + i]!;
  return value > 0xffff_ffff ? undefined : { value, end: at + size };
}

/** RFC 9001 section 5.2, the client's half. */
function deriveKeys(ciphers: QuicCiphers, destinationId: Uint8Array, version: Version): Keys {
  const { salt, labels } = version;
  const secret = expand(ciphers, ciphers.hmacSha256(salt, destinationId), clientLabel);
  return {
    destinationId: new Uint8Array(destinationId),
    version,
    key: expand(ciphers, secret, labels.key),
    iv: expand(ciphers, secret, labels.iv),
    hp: expand(ciphers, secret, labels.hp),
  };
}

/** What HKDF-Expand-Label of RFC 8446 section 7.1 hashes, without context, for so many bytes: one round of RFC 5869. */
function labelOf(label: string, bytes: number): Uint8Array {
  const text = `tls13 ${label}`;
  return Uint8Array.from(`\0${String.fromCharCode(bytes, text.length)}${text}\0\x01`, (letter) =>
    letter.charCodeAt(0),
  );
}

function expand(ciphers: QuicCiphers, secret: Uint8Array, label: Uint8Array): Uint8Array {
  return ciphers.hmacSha256(secret, label).subarray(0, label[1]);
}

const frame = { padding: 0x00, ping: 0x01, ack: 0x02, ackEcn: 0x03, crypto: 0x06, close: 0x1c } as const;

/** The frames a first packet may have (RFC 9000 section 12.4, table 3). @returns false: there are others, or it is cut */
function readFrames(payload: Uint8Array, stream: CryptoStream): boolean {
  for (let at = 0; at < payload.length; ) {
    const type = payload[at]!;
    at++;
    if (type === frame.padding || type === frame.ping) continue;
    // Who closes has nothing more to say.
    if (type === frame.close) return true;
    const end = type === frame.crypto ? readCrypto(payload, at, stream) : skipAck(payload, at, type);
    if (end === undefined) return false;
    at = end;
  }
  return true;
}

function readCrypto(payload: Uint8Array, at: number, stream: CryptoStream): number | undefined {
  const offset = readVarInt(payload, at);
  const length = offset && readVarInt(payload, offset.end);
  if (offset === undefined || length === undefined) return undefined;
  const end = length.end + length.value;
  if (end > payload.length || !stream.add(offset.value, payload.subarray(length.end, end))) return undefined;
  return end;
}

/** RFC 9000 section 19.3. */
function skipAck(payload: Uint8Array, from: number, type: number): number | undefined {
  if (type !== frame.ack && type !== frame.ackEcn) return undefined;
  let at = from;
  // Largest, delay, count of ranges, first range; two for each range; three counts of ECN.
  let left = 4;
  for (let i = 0; i < left; i++) {
    const number = readVarInt(payload, at);
    if (number === undefined) return undefined;
    at = number.end;
    if (i === 2) left += 2 * number.value + (type === frame.ackEcn ? 3 : 0);
  }
  return at;
}

/** The bytes of the handshake as far as they have come: each is taken once, and may not be said otherwise later. */
class CryptoStream {
  private bytes = new Uint8Array(0);
  private isHere = new Uint8Array(0);
  /** All before this one are here. */
  private end = 0;

  get isEmpty(): boolean {
    return this.bytes.length === 0;
  }

  get beginning(): Uint8Array {
    return this.bytes.subarray(0, this.end);
  }

  /** @returns false: it is beyond what a hello may have, or contradicts what came before */
  add(offset: number, part: Uint8Array): boolean {
    const partEnd = offset + part.length;
    if (partEnd > clientHelloBytesMax) return false;
    if (partEnd > this.bytes.length) {
      this.bytes = grown(this.bytes, partEnd);
      this.isHere = grown(this.isHere, partEnd);
    }
    for (let i = 0; i < part.length; i++) {
      const at = offset + i;
      if (this.isHere[at] === 1 && this.bytes[at] !== part[i]) return false;
      this.bytes[at] = part[i]!;
      this.isHere[at] = 1;
    }
    while (this.isHere[this.end] === 1) this.end++;
    return true;
  }
}

/** Twice as long, or as long as need be: what comes in many parts is not copied with each. */
function grown(bytes: Uint8Array, needed: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.min(clientHelloBytesMax, Math.max(needed, 2 * bytes.length, 2_048)));
  larger.set(bytes);
  return larger;
}
