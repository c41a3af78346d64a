/** Packets of QUIC as a client makes them: the ciphers of OpenSSL, and what RFC 9001 appendix A and RFC 9369 appendix A say of one. */
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';
import type { QuicCiphers } from '../../src/wire/quic.ts';

export const ciphers: QuicCiphers = {
  hmacSha256: (key, data) => createHmac('sha256', key).update(data).digest(),
  aes128Ecb: (key, block) => createCipheriv('aes-128-ecb', key, null).update(block),
  openAes128Gcm: (key, nonce, associated, sealed) => {
    const decipher = createDecipheriv('aes-128-gcm', key, nonce, { authTagLength: 16 });
    decipher.setAAD(associated).setAuthTag(sealed.subarray(-16));
    const plain = decipher.update(sealed.subarray(0, -16));
    try {
      return Buffer.concat([plain, decipher.final()]);
    } catch {
      return undefined;
    }
  },
};

export const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

/** Keys of the client's first packets for the destination id 8394c8f03e515708: appendix A.1 of each. */
export const keysOfVersion = {
  1: {
    number: '00000001',
    first: 0xc0,
    key: hex('1f369613dd76d5467730efcbe3b1a22d'),
    iv: hex('fa044b2f42a3fd3b46fb255c'),
    hp: hex('9f50449e04a0e810283a1e9933adedd2'),
  },
  2: {
    number: '6b3343cf',
    first: 0xd0,
    key: hex('8b1a0bc121284290a29e0971b5cd045d'),
    iv: hex('91f73e2351d8fa91660e909f'),
    hp: hex('45b95e15235d6f45a6b19cbcb0294ba9'),
  },
} as const;

export const exampleId = hex('8394c8f03e515708');

/** The CRYPTO frame of appendix A.2: a hello to example.com with ALPN `alpn`. */
export const exampleFrame = hex(`
  060040f1010000ed0303ebf8fa56f12939b9584a3896472ec40bb863cfd3e86804fe3a47f06a2b69484c000004130113
  02010000c000000010000e00000b6578616d706c652e636f6dff01000100000a00080006001d00170018001000070005
  04616c706e000500050100000000003300260024001d00209370b2c9caa47fbabaf4559fedba753de171fa71f50f1ce1
  5d43e994ec74d748002b0003020304000d0010000e0403050306030203080408050806002d00020101001c0002400100
  3900320408ffffffffffffffff05048000ffff07048000ffff0801100104800075300901100f088394c8f03e51570806
  048000ffff`);

export interface Initial {
  readonly version?: 1 | 2;
  readonly packetNumber?: number;
  /** Bytes of the packet number. */
  readonly numberBytes?: 1 | 2 | 3 | 4;
  readonly token?: Uint8Array;
  readonly sourceId?: Uint8Array;
  /** Frames; padded with zeros so that the packet has so many bytes. */
  readonly payload: Uint8Array;
  readonly bytes?: number;
  /** Of another type than a first packet, and without a token: what is changed of bits 4 and 5. */
  readonly typeBits?: number;
}

const varInt = (value: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(0x4000 | value);
  return bytes;
};

/** A sealed packet to {@link exampleId} (RFC 9001 sections 5.3 and 5.4), as a client makes it. */
export function seal(initial: Initial): Buffer {
  const { version = 1, packetNumber = 2, numberBytes = 4, typeBits = 0, payload } = initial;
  const { token = Buffer.alloc(0), sourceId = Buffer.alloc(0), bytes = 1_200 } = initial;
  const { number, first, key, iv, hp } = keysOfVersion[version];
  const start = Buffer.concat([
    Buffer.of((first ^ typeBits) | (numberBytes - 1)),
    hex(number),
    Buffer.of(exampleId.length),
    exampleId,
    Buffer.of(sourceId.length),
    sourceId,
    ...(typeBits === 0 ? [token.length === 0 ? Buffer.alloc(1) : varInt(token.length), token] : []),
  ]);
  const plainBytes = Math.max(payload.length, bytes - start.length - 2 - numberBytes - 16);
  const packetNumberBytes = Buffer.alloc(numberBytes);
  packetNumberBytes.writeUIntBE(packetNumber, 0, numberBytes);
  const header = Buffer.concat([start, varInt(numberBytes + plainBytes + 16), packetNumberBytes]);
  const nonce = Buffer.from(iv);
  for (let i = 0; i < numberBytes; i++) nonce[12 - numberBytes + i]! ^= packetNumberBytes[i]!;
  const cipher = createCipheriv('aes-128-gcm', key, nonce).setAAD(header);
  const plain = Buffer.concat([payload, Buffer.alloc(plainBytes - payload.length)]);
  const packet = Buffer.concat([header, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  const numberAt = header.length - numberBytes;
  const mask = ciphers.aes128Ecb(hp, packet.subarray(numberAt + 4, numberAt + 20));
  packet[0]! ^= mask[0]! & 0x0f;
  for (let i = 0; i < numberBytes; i++) packet[numberAt + i]! ^= mask[1 + i]!;
  return packet;
}

/** A CRYPTO frame with a part of a handshake. */
export function cryptoFrame(offset: number, part: Uint8Array): Buffer {
  return Buffer.concat([hex('06'), varInt(offset), varInt(part.length), part]);
}
