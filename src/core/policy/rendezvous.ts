/**
 * Rendezvous hashing (highest random weight): every backend gets a score from the key, the highest has it. A
 * backend that leaves moves its own clients and nobody else's, and theirs spread over all. There is no table
 * to build; in return a lookup looks at every backend.
 *
 * Sources: Thaler & Ravishankar 1998; the weighting -w / ln(h) is the logarithmic method of Schindelhauer &
 * Schomaker, "Weighted distributed hash tables", SPAA 2005, which keeps the minimal movement when weights change.
 */
import type { Key } from '../key.ts';
import { finishHash, mixWord } from '../key-hash.ts';
import { type Candidate, inAgreedOrder, positionsOf } from './candidates.ts';
import { hashText, textSeeds } from './hash-text.ts';
import type { Policy } from './policy.ts';
import { Ranking } from './ranking.ts';

export class Rendezvous implements Policy {
  private readonly positions: Uint16Array;
  private readonly weights: Float64Array;
  private readonly seedsLow: Int32Array;
  private readonly seedsHigh: Int32Array;
  private readonly rest: Ranking;
  private first = -1;
  private isRanked = false;
  private hashLow = 0;
  private hashHigh = 0;

  constructor(candidates: readonly Candidate[]) {
    const agreed = inAgreedOrder(candidates);
    this.positions = positionsOf(agreed);
    this.weights = Float64Array.from(agreed, (candidate) => candidate.weight);
    this.seedsLow = Int32Array.from(agreed, ({ identity }) => hashText(identity, textSeeds[0]) | 0);
    this.seedsHigh = Int32Array.from(agreed, ({ identity }) => hashText(identity, textSeeds[1]) | 0);
    this.rest = new Ranking(agreed.length);
  }

  start(key: Key): void {
    this.hashLow = key.hashLow;
    this.hashHigh = key.hashHigh;
    this.first = -1;
    this.isRanked = false;
  }

  next(): number {
    if (this.first < 0) {
      this.first = this.highest();
      return this.first < 0 ? -1 : this.positions[this.first]!;
    }
    if (!this.isRanked) this.rankRest();
    const candidate = this.rest.take();
    return candidate < 0 ? -1 : this.positions[candidate]!;
  }

  /** The first of the candidates with the highest score; -1 if there are none. */
  private highest(): number {
    const { weights, seedsLow, seedsHigh, hashLow, hashHigh } = this;
    let best = -1;
    let bestScore = 0;
    for (let i = 0; i < weights.length; i++) {
      const fraction = fractionOf(seedsLow[i]!, seedsHigh[i]!, hashLow, hashHigh);
      // -ln(h) >= 1 - h, so a score is at most w / (1 - h): most candidates lose without a logarithm.
      if (weights[i]! <= bestScore * (1 - fraction)) continue;
      const score = -weights[i]! / Math.log(fraction);
      if (score > bestScore) {
        best = i;
        bestScore = score;
      }
    }
    return best;
  }

  private rankRest(): void {
    const { weights, seedsLow, seedsHigh, hashLow, hashHigh } = this;
    this.rest.clear();
    for (let i = 0; i < weights.length; i++) {
      if (i === this.first) continue;
      const fraction = fractionOf(seedsLow[i]!, seedsHigh[i]!, hashLow, hashHigh);
      this.rest.add(i, -weights[i]! / Math.log(fraction), 0);
    }
    this.rest.settle();
    this.isRanked = true;
  }
}

/** A number strictly between 0 and 1: MurmurHash3 of the key's 64 bits under the 64-bit seed of a candidate. */
function fractionOf(seedLow: number, seedHigh: number, hashLow: number, hashHigh: number): number {
  const mixed = mixWord(mixWord(seedLow, hashLow), hashHigh);
  return (finishHash(mixed ^ seedHigh) + 0.5) / 0x1_0000_0000;
}
