/**
 * CRC-32 as in IEEE 802.3, zlib and nginx (reflected polynomial 0xedb88320). Here because the ring must place
 * its points where nginx does, and core may not import node:zlib.
 */
import { crcTable } from '../crc-table.ts';

const table = crcTable(0xedb88320);

/** The register before the first byte. */
export const crc32Start = 0xffffffff;

/** The register after one more byte. */
export function crc32Byte(register: number, byte: number): number {
  return table[(register ^ byte) & 0xff]! ^ (register >>> 8);
}

/** The register after the four bytes of `word`, lowest first. */
export function crc32Word(register: number, word: number): number {
  let next = crc32Byte(register, word);
  next = crc32Byte(next, word >>> 8);
  next = crc32Byte(next, word >>> 16);
  return crc32Byte(next, word >>> 24);
}

/** The register after the UTF-8 bytes of `text`. Allocates only for texts outside ASCII. */
export function crc32Text(register: number, text: string): number {
  let next = register;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return crc32Bytes(register, new TextEncoder().encode(text));
    next = crc32Byte(next, code);
  }
  return next;
}

/** The checksum, unsigned, of what went into the register. */
export function crc32Finish(register: number): number {
  return ~register >>> 0;
}

/** CRC-32 of the UTF-8 bytes of `text`, unsigned. */
export function crc32(text: string): number {
  return crc32Finish(crc32Text(crc32Start, text));
}

function crc32Bytes(register: number, bytes: Uint8Array): number {
  let next = register;
  for (const byte of bytes) next = crc32Byte(next, byte);
  return next;
}
