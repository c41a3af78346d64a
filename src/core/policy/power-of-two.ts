/**
 * Power of two choices: two backends drawn at random in proportion to their weights, the less loaded first.
 * Close to least connections in balance (Mitzenmacher, "The power of two choices in randomized load balancing",
 * IEEE TPDS 2001), at a cost that does not grow with the pool, and without the herd that runs to one idle
 * backend when several instances see the same counts.
 *
 * After the two come all others in the order of the pool, from the first drawn on.
 */
import type { Key } from '../key.ts';
import { type Candidate, positionsOf } from './candidates.ts';
import { Marks } from './marks.ts';
import { type Loads, noLoads, type Policy } from './policy.ts';

/** Draws refused because the live weight is below the configured one, until the sweep chooses. */
const drawsMax = 16;

export class PowerOfTwo implements Policy {
  private readonly positions: Uint16Array;
  /** Configured weights summed up to and including each candidate: its part of the line a draw falls on. */
  private readonly sums: Float64Array;
  private readonly random: () => number;
  private readonly came: Marks;
  private loads = noLoads;
  private first = -1;
  private second = -1;
  private stage: 'first' | 'second' | 'sweep' = 'first';
  private sweepStart = 0;
  private swept = 0;

  /** `random` gives numbers from 0 (included) to 1 (excluded). */
  constructor(candidates: readonly Candidate[], random: () => number) {
    this.positions = positionsOf(candidates);
    this.sums = new Float64Array(candidates.length);
    let sum = 0;
    for (const [i, { weight }] of candidates.entries()) {
      sum += weight;
      this.sums[i] = sum;
    }
    this.random = random;
    this.came = new Marks(candidates.length);
  }

  start(_key: Key, loads: Loads): void {
    this.loads = loads;
    this.came.clear();
    this.stage = 'first';
    this.swept = 0;
  }

  next(): number {
    if (this.stage === 'first') {
      this.drawTwo();
      this.stage = 'second';
      if (this.first >= 0) return this.give(this.first);
    }
    if (this.stage === 'second') {
      this.stage = 'sweep';
      if (this.second >= 0) return this.give(this.second);
    }
    return this.sweep();
  }

  private drawTwo(): void {
    const drawn = this.draw(-1);
    const other = drawn < 0 ? -1 : this.draw(drawn);
    const isOtherLess = other >= 0 && this.load(other) < this.load(drawn);
    this.first = isOtherLess ? other : drawn;
    this.second = isOtherLess ? drawn : other;
    this.sweepStart = drawn < 0 ? Math.floor(this.random() * this.positions.length) : drawn;
  }

  /** One weighted draw that is not `excluded`; -1 if nothing is left or live weights refuse too many draws. */
  private draw(excluded: number): number {
    const { sums } = this;
    const count = sums.length;
    if (count === (excluded < 0 ? 0 : 1)) return -1;
    const total = sums[count - 1]!;
    const gapStart = excluded < 0 ? total : this.sumBefore(excluded);
    const gap = excluded < 0 ? 0 : sums[excluded]! - gapStart;
    for (let draws = 0; draws < drawsMax; draws++) {
      // The excluded part is cut out of the line, so the others keep their proportions.
      const place = this.random() * (total - gap);
      const drawn = firstAbove(sums, place < gapStart ? place : place + gap);
      const live = this.loads.weight(this.positions[drawn]!);
      const configured = sums[drawn]! - this.sumBefore(drawn);
      if (live >= configured || this.random() * configured < live) return drawn;
    }
    return -1;
  }

  /** The rest in order, twice: first those with a live weight, then those without. */
  private sweep(): number {
    const count = this.positions.length;
    while (this.swept < 2 * count) {
      const isLast = this.swept >= count;
      const candidate = (this.sweepStart + this.swept++) % count;
      if (this.came.has(candidate)) continue;
      if (isLast || this.loads.weight(this.positions[candidate]!) > 0) return this.give(candidate);
    }
    return -1;
  }

  private give(candidate: number): number {
    this.came.add(candidate);
    return this.positions[candidate]!;
  }

  private sumBefore(candidate: number): number {
    return candidate === 0 ? 0 : this.sums[candidate - 1]!;
  }

  private load(candidate: number): number {
    const position = this.positions[candidate]!;
    return this.loads.active(position) / this.loads.weight(position);
  }
}

/** The index of the first of the ascending `sums` that is above `place`. */
function firstAbove(sums: Float64Array, place: number): number {
  let low = 0;
  let high = sums.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sums[middle]! > place) high = middle;
    else low = middle + 1;
  }
  return low;
}
