/**
 * Maglev hashing: a table of prime size in which every backend owns its share of the entries; a lookup is one
 * read. It shares more evenly than the ring and looks up faster than rendezvous; in return a backend that
 * leaves moves a few clients of the others too.
 *
 * Source: Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, section 3.4.
 * Weights follow its remark that a backend's turns may be made rarer; how is said at `fillTable`.
 */
import type { Key } from '../key.ts';
import { finishHash } from '../key-hash.ts';
import { type Candidate, inAgreedOrder, positionsOf } from './candidates.ts';
import { hashText, textSeeds } from './hash-text.ts';
import { Marks } from './marks.ts';
import type { Policy } from './policy.ts';

/**
 * Further looks into the table per candidate, until the rest is swept in order. After 4n draws with equal
 * weights about e^-4 of the candidates (2 %) have not come; the sweep costs them their even spread, nothing else.
 */
const probesPerCandidate = 4;

const emptyEntry = 0xffff;
/** 2^32 divided by the golden ratio: keeps the chain of hashes away from the fixed point 0 of `finishHash`. */
const chainStep = 0x9e3779b9;

export class Maglev implements Policy {
  private readonly table: Uint16Array;
  private readonly positions: Uint16Array;
  private readonly came: Marks;
  private cameCount = 0;
  private probes = 0;
  private swept = 0;
  private hash = 0;
  private hashHigh = 0;

  /** Throws RangeError if `tableSize` is not a prime: a permutation would then miss entries. */
  constructor(candidates: readonly Candidate[], tableSize: number) {
    if (!isPrime(tableSize)) throw new RangeError(`the maglev table size ${tableSize} is not a prime`);
    const agreed = inAgreedOrder(candidates);
    this.positions = positionsOf(agreed);
    this.table = fillTable(agreed, tableSize);
    this.came = new Marks(agreed.length);
  }

  start(key: Key): void {
    this.came.clear();
    this.cameCount = 0;
    this.probes = 0;
    this.swept = 0;
    this.hash = key.hashLow;
    this.hashHigh = key.hashHigh;
  }

  next(): number {
    const count = this.positions.length;
    if (this.cameCount === count) return -1;
    while (this.probes < count * probesPerCandidate) {
      const candidate = this.table[this.hash % this.table.length]!;
      this.probes++;
      this.hash = finishHash((this.hash ^ this.hashHigh) + chainStep);
      if (this.came.add(candidate)) return this.give(candidate);
    }
    const sweepStart = this.hashHigh % count;
    for (;;) {
      const candidate = (sweepStart + this.swept++) % count;
      if (this.came.add(candidate)) return this.give(candidate);
    }
  }

  private give(candidate: number): number {
    this.cameCount++;
    return this.positions[candidate]!;
  }
}

/**
 * The paper's population loop with weights: in every round a candidate earns its weight and takes an entry when
 * it has earned the largest weight of the pool. It starts with what lets everyone take one in the first round,
 * so after R rounds a candidate of weight w has ceil(R * w / largest) entries, and none has none if they fit.
 */
function fillTable(candidates: readonly Candidate[], size: number): Uint16Array {
  const table = new Uint16Array(size).fill(emptyEntry);
  const largest = candidates.reduce((max, candidate) => Math.max(max, candidate.weight), 0);
  const weights = Float64Array.from(candidates, (candidate) => candidate.weight);
  const credits = Float64Array.from(candidates, (candidate) => largest - candidate.weight);
  const entries = Uint32Array.from(candidates, ({ identity }) => hashText(identity, textSeeds[0]) % size);
  const skips = Uint32Array.from(
    candidates,
    ({ identity }) => (hashText(identity, textSeeds[1]) % (size - 1)) + 1,
  );
  for (let left = candidates.length === 0 ? 0 : size; left > 0; ) {
    for (let i = 0; i < weights.length && left > 0; i++) {
      credits[i]! += weights[i]!;
      if (credits[i]! < largest) continue;
      credits[i]! -= largest;
      let entry = entries[i]!;
      while (table[entry] !== emptyEntry) entry = (entry + skips[i]!) % size;
      table[entry] = i;
      entries[i] = entry;
      left--;
    }
  }
  return table;
}

/** True for primes from 3, the sizes a table may have (2 leaves no skip to choose). */
function isPrime(number: number): boolean {
  if (!Number.isInteger(number) || number < 3 || number % 2 === 0) return false;
  for (let divisor = 3; divisor * divisor <= number; divisor += 2) {
    if (number % divisor === 0) return false;
  }
  return true;
}
