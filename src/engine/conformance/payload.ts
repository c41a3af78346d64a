/**
 * Bytes for the stories: pseudo-random, so that a lost, doubled or swapped piece changes the digest, and the
 * same on every run.
 */
import { createHash, type Hash } from 'node:crypto';

const block = fillBlock(1 << 20);

/** `length` bytes; the same for the same arguments. */
export function payload(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    // An odd stride: pieces that are equal in length differ in content.
    const start = (seed * 7919 + at * 3) % (block.length / 2);
    at += block.copy(bytes, at, start, Math.min(start + length - at, block.length));
  }
  return bytes;
}

export function newDigest(): Hash {
  return createHash('sha256');
}

export function digestOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function fillBlock(length: number): Buffer {
  const words = new Uint32Array(length / 4);
  // xorshift32 (Marsaglia 2003).
  let x = 2463534242;
  for (let i = 0; i < words.length; i++) {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    words[i] = x;
  }
  return Buffer.from(words.buffer);
}
