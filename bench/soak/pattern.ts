/**
 * Payload that says where it belongs: every stream and datagram begins at its own place of one random block, so a
 * byte that is lost, doubled, out of order or another flow's does not compare equal. Comparing costs a memcmp,
 * where a digest would cost more than the relay under test.
 */
import { randomBytes } from 'node:crypto';

/** Not a multiple of any buffer on the way (64 KiB, 256 KiB, a pipe's 1 MiB): a lost block shifts the pattern. */
const periodBytes = 1_048_583;
const window = 128 * 1024;
const once = randomBytes(periodBytes);
const block = Buffer.concat([once, once.subarray(0, window)]);
/** Seeds are this far apart. */
const strideBytes = 4_099;

/** At most 128 KiB of the stream `seed`, from `offset` on. Shared memory: not to be written to. */
export function pattern(seed: number, offset: number, length: number): Buffer {
  const start = (seed * strideBytes + offset) % periodBytes;
  return block.subarray(start, start + Math.min(length, window));
}

/** Whether `bytes` are what the stream `seed` has at `offset`. */
export function isPattern(seed: number, offset: number, bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += window) {
    const part = bytes.subarray(at, at + window);
    if (!part.equals(pattern(seed, offset + at, part.length))) return false;
  }
  return true;
}
