/**
 * Bounded load around a hash policy: a backend that holds its fair share times the bound is passed over, and
 * comes again after all that have room. One heavy network behind one address cannot sink one backend.
 *
 * Source: Mirrokni, Thorup & Zadimoghaddam, "Consistent Hashing with Bounded Loads", SODA 2018 (arXiv 1608.01350).
 * The share is of the weight in force: a backend that is down has none, so the others' shares grow by its part.
 */
import type { Key } from '../key.ts';
import type { Candidate } from './candidates.ts';
import { type Loads, noLoads, type Policy } from './policy.ts';

/** Keeps 1.1 * 10 = 11.000000000000002 from becoming 12. */
const roundingSlack = 1e-9;

export class Bounded implements Policy {
  private readonly inner: Policy;
  private readonly positions: Uint16Array;
  private readonly deferred: Uint16Array;
  private readonly bound: number;
  private loads = noLoads;
  private flowsPerWeight = 0;
  private deferredCount = 0;
  private deferredGiven = 0;
  private isInnerDone = false;

  /** `bound` is a factor of the average, 1 or more. Throws RangeError below 1: there would not be room for all. */
  constructor(inner: Policy, candidates: readonly Candidate[], bound: number) {
    if (!(bound >= 1)) throw new RangeError(`the bound ${bound} is below 1`);
    this.inner = inner;
    this.positions = Uint16Array.from(candidates, (candidate) => candidate.position);
    this.bound = bound;
    this.deferred = new Uint16Array(candidates.length);
  }

  start(key: Key, loads: Loads): void {
    this.inner.start(key, loads);
    this.loads = loads;
    let active = 0;
    let weight = 0;
    for (let i = 0; i < this.positions.length; i++) {
      const share = loads.weight(this.positions[i]!);
      weight += share;
      // What a lost backend still holds is not load the others could share.
      if (share > 0) active += loads.active(this.positions[i]!);
    }
    this.flowsPerWeight = weight === 0 ? 0 : (this.bound * (active + 1)) / weight;
    this.deferredCount = 0;
    this.deferredGiven = 0;
    this.isInnerDone = false;
  }

  next(): number {
    while (!this.isInnerDone) {
      const position = this.inner.next();
      if (position < 0) this.isInnerDone = true;
      else if (this.hasRoom(position)) return position;
      else this.deferred[this.deferredCount++] = position;
    }
    return this.deferredGiven < this.deferredCount ? this.deferred[this.deferredGiven++]! : -1;
  }

  private hasRoom(position: number): boolean {
    const flowsMax = Math.ceil(this.flowsPerWeight * this.loads.weight(position) - roundingSlack);
    return this.loads.active(position) + 1 <= flowsMax;
  }
}
