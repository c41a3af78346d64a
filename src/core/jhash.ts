/**
 * The hash that the kernel's nftables computes for `jhash ... mod M seed S`, so that this program can say which bucket the kernel puts
 * a client in. It is Jenkins' lookup3 (B. Jenkins, May 2006, public domain) as Linux has it in include/linux/jhash.h, over the
 * registers of a rule as they lie in memory (net/netfilter/nft_hash.c), scaled down by include/linux/reciprocal_div.h.
 *
 * Registers are read as 32-bit words of the machine, which is little-endian wherever this runs: a word that is in network order
 * has to be turned (`turnWord`) first.
 */

/** JHASH_INITVAL of include/linux/jhash.h. */
const initialValue = 0xdeadbeef;

/**
 * jhash() over whole words.
 * @param words as the kernel reads them from memory: little-endian. Of each only the 32 bits count
 * @param count of words, at least 1; words behind them are not looked at
 * @returns 32 bits, unsigned
 */
export function jhash(words: ArrayLike<number>, count: number, seed: number): number {
  let a = (initialValue + count * 4 + seed) | 0;
  let b = a;
  let c = a;
  let at = 0;
  for (; count - at > 3; at += 3) {
    a = (a + words[at]!) | 0;
    b = (b + words[at + 1]!) | 0;
    c = (c + words[at + 2]!) | 0;
    // __jhash_mix
    a = ((a - c) | 0) ^ rotate(c, 4);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotate(a, 6);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotate(b, 8);
    b = (b + a) | 0;
    a = ((a - c) | 0) ^ rotate(c, 16);
    c = (c + b) | 0;
    b = ((b - a) | 0) ^ rotate(a, 19);
    a = (a + c) | 0;
    c = ((c - b) | 0) ^ rotate(b, 4);
    b = (b + a) | 0;
  }
  a = (a + words[at]!) | 0;
  if (count - at > 1) b = (b + words[at + 1]!) | 0;
  if (count - at > 2) c = (c + words[at + 2]!) | 0;
  // __jhash_final
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  c = ((c ^ b) - rotate(b, 24)) | 0;
  return c >>> 0;
}

/** reciprocal_scale(): a hash of 32 bits as a number from 0 to `modulus - 1`, by multiplication. Exact for every 32-bit modulus. */
export function reciprocalScale(hash: number, modulus: number): number {
  // In halves of 16 bits: the product has up to 64.
  const low = (hash & 0xffff) * modulus;
  return Math.floor(((hash >>> 16) * modulus + Math.floor(low / 65_536)) / 65_536);
}

/** The bytes of a word in the other order: between network order and what the kernel reads. Unsigned. */
export function turnWord(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | ((word >>> 24) & 0xff)) >>> 0;
}

function rotate(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}
