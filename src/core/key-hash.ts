/** The pieces of MurmurHash3 (A. Appleby, public domain) that keys and the identities of backends are hashed with. */

/** One 4-byte block of MurmurHash3_x86_32. */
export function mixWord(h: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = (k << 15) | (k >>> 17);
  k = Math.imul(k, 0x1b873593);
  let mixed = h ^ k;
  mixed = (mixed << 13) | (mixed >>> 19);
  return (Math.imul(mixed, 5) + 0xe6546b64) | 0;
}

/** The finaliser fmix32 of MurmurHash3: a bijection of 32 bits with full avalanche. Unsigned. */
export function finishHash(h: number): number {
  let mixed = h;
  mixed ^= mixed >>> 16;
  mixed = Math.imul(mixed, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  mixed ^= mixed >>> 16;
  return mixed >>> 0;
}
