/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82f63b78) of RFC 3720 section 12.1 and RFC 4960 appendix B, by which a PROXY
 * header says that it came whole. A table of 1 KiB; headers are short.
 */
import { crcTable } from '../core/crc-table.ts';

const table = crcTable(0x82f63b78);

/** The checksum of `bytes`, unsigned. Bytes from `blankAt` to four further count as zeros, as a checksum's own place does. */
export function crc32c(bytes: Uint8Array, blankAt = -4): number {
  let register = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) {
    const byte = i >= blankAt && i < blankAt + 4 ? 0 : bytes[i]!;
    register = table[(register ^ byte) & 0xff]! ^ (register >>> 8);
  }
  return ~register >>> 0;
}
