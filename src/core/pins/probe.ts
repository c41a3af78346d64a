/**
 * Where a pin may be: what is looked for (pool, kind, words, port word) and the two buckets it may be in. A
 * scratch object, aimed anew for each operation; its numbers are kept as signed 32-bit words, as in the table.
 *
 * Two choices per key keep buckets evenly filled (Azar, Broder, Karlin, Upfal, "Balanced Allocations", 1994);
 * both are in one group, so one lock and one sequence number cover a key wherever it is.
 */
import type { Key } from '../key.ts';
import { finishHash } from '../key-hash.ts';
import { bucketsPerGroup, slotsPerBucket } from './layout.ts';

export class PinProbe {
  readonly #groups: number;
  w0 = 0;
  w1 = 0;
  w2 = 0;
  w3 = 0;
  scope = 0;
  kind = 0;
  group = 0;
  bucketA = 0;
  bucketB = 0;
  /** The tag, 1 to 255, in all four bytes. */
  pattern = 0;

  constructor(groups: number) {
    this.#groups = groups;
  }

  aim(poolId: number, key: Key): this {
    this.w0 = key.w0;
    this.w1 = key.w1;
    this.w2 = key.w2;
    this.w3 = key.w3;
    this.scope = (poolId << 16) | key.port;
    this.kind = key.kindNumber;
    // The key's hashes are of its words alone. 0x9e3779b1 is the prime next to 2^32 / golden ratio.
    const salt = Math.imul((poolId << 4) | this.kind, 0x9e3779b1);
    const high = finishHash(key.hashHigh ^ salt);
    const low = finishHash(key.hashLow ^ salt);
    this.group = Math.floor((high * this.#groups) / 2 ** 32);
    const first = low & (bucketsPerGroup - 1);
    const step = 1 + (((low >>> 6) & 0x3ffff) % (bucketsPerGroup - 1));
    const base = this.group * bucketsPerGroup;
    this.bucketA = base + first;
    this.bucketB = base + ((first + step) & (bucketsPerGroup - 1));
    this.pattern = Math.imul(((low >>> 24) % 255) + 1, 0x01010101);
    return this;
  }

  /** Whether a slot is in one of the two buckets. */
  mayBeIn(slot: number): boolean {
    const bucket = Math.floor(slot / slotsPerBucket);
    return bucket === this.bucketA || bucket === this.bucketB;
  }
}
