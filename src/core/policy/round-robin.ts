/**
 * Smooth weighted round robin, as nginx has it: weights 5, 1, 1 give a a b a c a a, not five in a row. Every
 * round each backend gains its weight, the highest is taken and pays what all gained.
 *
 * A caller that rejects what came (down, full) must not disturb the rest: the rejected backend gives back this
 * round's gain and payment, and the next pays instead. So the others keep their proportions, and a backend that
 * was down for an hour does not catch up when it is back. The position is this thread's own; two workers do not
 * take turns with each other.
 */
import type { Key } from '../key.ts';
import { type Candidate, positionsOf } from './candidates.ts';
import { type Loads, noLoads, type Policy } from './policy.ts';
import { Ranking } from './ranking.ts';

export class RoundRobin implements Policy {
  private readonly positions: Uint16Array;
  private readonly credits: Float64Array;
  /** Live weights as of this `start`; what a rejection has to give back. */
  private readonly weights: Float64Array;
  private readonly rest: Ranking;
  private loads = noLoads;
  private total = 0;
  private taken = -1;
  private isRanked = false;

  constructor(candidates: readonly Candidate[]) {
    this.positions = positionsOf(candidates);
    this.credits = new Float64Array(candidates.length);
    this.weights = new Float64Array(candidates.length);
    this.rest = new Ranking(candidates.length);
  }

  start(_key: Key, loads: Loads): void {
    this.loads = loads;
    this.taken = -1;
    this.isRanked = false;
  }

  next(): number {
    let candidate: number;
    if (this.taken < 0) {
      candidate = this.gainAndFindHighest();
    } else {
      this.giveBack(this.taken);
      if (!this.isRanked) this.rankRest();
      candidate = this.rest.take();
    }
    if (candidate < 0) return -1;
    if (this.weights[candidate]! > 0) this.credits[candidate]! -= this.total;
    this.taken = candidate;
    return this.positions[candidate]!;
  }

  private gainAndFindHighest(): number {
    const { weights, credits } = this;
    let best = -1;
    let bestCredit = Number.NEGATIVE_INFINITY;
    this.total = 0;
    for (let i = 0; i < credits.length; i++) {
      const weight = this.loads.weight(this.positions[i]!);
      weights[i] = weight;
      credits[i]! += weight;
      this.total += weight;
      if (weight > 0 && credits[i]! > bestCredit) {
        best = i;
        bestCredit = credits[i]!;
      }
    }
    return best < 0 && credits.length > 0 ? 0 : best;
  }

  private giveBack(candidate: number): void {
    const weight = this.weights[candidate]!;
    if (weight === 0) return;
    this.credits[candidate]! += this.total - weight;
    this.total -= weight;
    this.weights[candidate] = 0;
  }

  private rankRest(): void {
    this.rest.clear();
    for (let i = 0; i < this.credits.length; i++) {
      if (i === this.taken) continue;
      // A live weight of 0 comes after all others.
      this.rest.add(i, this.weights[i]! > 0 ? this.credits[i]! : Number.NEGATIVE_INFINITY, 0);
    }
    this.rest.settle();
    this.isRanked = true;
  }
}
