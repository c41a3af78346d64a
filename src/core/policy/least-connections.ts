/**
 * Least connections: the backend with the fewest open flows for its weight. Equals take turns in proportion to
 * their weights, so an idle pool of short flows is still shared.
 *
 * Turns are start-time fair queueing (Goyal, Vin & Cheng, SIGCOMM 1996): a backend's turn is due later by
 * 1/weight each time it is taken, and never earlier than the turn now running, so one that was busy or down for
 * long does not take all turns when it is back. A backend the caller rejects gets its turn back.
 */
import type { Key } from '../key.ts';
import { type Candidate, positionsOf } from './candidates.ts';
import { type Loads, noLoads, type Policy } from './policy.ts';
import { Ranking } from './ranking.ts';

export class LeastConnections implements Policy {
  private readonly positions: Uint16Array;
  /** When a candidate's next turn is due, in virtual time. */
  private readonly dues: Float64Array;
  private readonly rest: Ranking;
  private loads = noLoads;
  private now = 0;
  private taken = -1;
  private takenDue = 0;
  private nowBefore = 0;
  private isRanked = false;

  constructor(candidates: readonly Candidate[]) {
    this.positions = positionsOf(candidates);
    this.dues = new Float64Array(candidates.length);
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
      candidate = this.findLeast();
    } else {
      this.dues[this.taken] = this.takenDue;
      this.now = this.nowBefore;
      if (!this.isRanked) this.rankRest();
      candidate = this.rest.take();
    }
    if (candidate < 0) return -1;
    this.takeTurn(candidate);
    return this.positions[candidate]!;
  }

  private findLeast(): number {
    let best = -1;
    let bestLoad = Number.POSITIVE_INFINITY;
    let bestDue = Number.POSITIVE_INFINITY;
    for (let i = 0; i < this.dues.length; i++) {
      const load = this.load(i);
      if (load > bestLoad) continue;
      const due = this.due(i);
      if (load === bestLoad && due >= bestDue) continue;
      best = i;
      bestLoad = load;
      bestDue = due;
    }
    return best;
  }

  private rankRest(): void {
    this.rest.clear();
    for (let i = 0; i < this.dues.length; i++) {
      if (i !== this.taken) this.rest.add(i, -this.load(i), -this.due(i));
    }
    this.rest.settle();
    this.isRanked = true;
  }

  private takeTurn(candidate: number): void {
    this.taken = candidate;
    this.takenDue = this.dues[candidate]!;
    this.nowBefore = this.now;
    const weight = this.loads.weight(this.positions[candidate]!);
    if (weight <= 0) return;
    const due = this.due(candidate);
    this.now = due;
    this.dues[candidate] = due + 1 / weight;
  }

  private due(candidate: number): number {
    return Math.max(this.dues[candidate]!, this.now);
  }

  /** Flows for each unit of live weight; infinite, hence last, at live weight 0. */
  private load(candidate: number): number {
    const position = this.positions[candidate]!;
    const weight = this.loads.weight(position);
    return weight > 0 ? this.loads.active(position) / weight : Number.POSITIVE_INFINITY;
  }
}
