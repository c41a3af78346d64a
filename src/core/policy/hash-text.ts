/**
 * The hash of a backend's identity. All instances of a pair, of whatever version, must agree on it: a change
 * here moves clients, and frozen vectors in the tests of the hash policies say so.
 */
import { finishHash, mixWord } from '../key-hash.ts';

/** Two seeds for two independent hashes of one text: the first hex digits of the fractions of sqrt 2 and sqrt 3. */
export const textSeeds = [0x6a09e667, 0xbb67ae85] as const;

/** MurmurHash3_x86_32 (A. Appleby, public domain) over the UTF-8 bytes of `text`. Unsigned 32 bits. */
export function hashText(text: string, seed: number): number {
  const bytes = new TextEncoder().encode(text);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const blocksEnd = bytes.length & ~3;
  let h = seed | 0;
  for (let i = 0; i < blocksEnd; i += 4) h = mixWord(h, view.getUint32(i, true));
  let tail = 0;
  for (let i = bytes.length - 1; i >= blocksEnd; i--) tail = (tail << 8) | bytes[i]!;
  // An empty tail adds nothing: 0 scrambles to 0.
  tail = Math.imul(tail, 0xcc9e2d51);
  tail = (tail << 15) | (tail >>> 17);
  h ^= Math.imul(tail, 0x1b873593);
  return finishHash(h ^ bytes.length);
}
