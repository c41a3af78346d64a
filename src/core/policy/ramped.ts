/**
 * Slow start around a hash policy: a backend that has just come up takes only a part of its keys, and leaves the others to who
 * comes next. The policy's table stays as it is (a table of other weights would move clients of everybody); the hash of the key
 * and the backend decides which keys are its already, so as the part grows more keys come and none goes.
 *
 * The part is measured by who has most of it: where all have just come up, nobody holds back for nobody.
 */
import type { Key } from '../key.ts';
import { finishHash, mixWord } from '../key-hash.ts';
import type { Candidate } from './candidates.ts';
import { hashText, textSeeds } from './hash-text.ts';
import { type Loads, noLoads, type Policy } from './policy.ts';

export class Ramped implements Policy {
  private readonly inner: Policy;
  private readonly positions: Uint16Array;
  /** By position. */
  private readonly seeds: Int32Array;
  private readonly deferred: Uint16Array;
  private loads = noLoads;
  private key: Key | undefined;
  private deferredCount = 0;
  private deferredGiven = 0;
  private isInnerDone = false;
  /** What the readiest has; 0: nobody has asked yet. */
  private most = 0;

  constructor(inner: Policy, candidates: readonly Candidate[]) {
    this.inner = inner;
    this.positions = Uint16Array.from(candidates, ({ position }) => position);
    this.seeds = new Int32Array(candidates.reduce((max, { position }) => Math.max(max, position + 1), 0));
    for (const { position, identity } of candidates) this.seeds[position] = hashText(identity, textSeeds[0]);
    this.deferred = new Uint16Array(candidates.length);
  }

  start(key: Key, loads: Loads): void {
    this.inner.start(key, loads);
    this.loads = loads;
    this.key = key;
    this.deferredCount = 0;
    this.deferredGiven = 0;
    this.isInnerDone = false;
    this.most = 0;
  }

  next(): number {
    while (!this.isInnerDone) {
      const position = this.inner.next();
      if (position < 0) this.isInnerDone = true;
      else if (this.isItsKey(position)) return position;
      else this.deferred[this.deferredCount++] = position;
    }
    return this.deferredGiven < this.deferredCount ? this.deferred[this.deferredGiven++]! : -1;
  }

  private isItsKey(position: number): boolean {
    const ready = this.loads.ready(position);
    // One that is down is its caller's matter.
    if (ready >= 1 || ready <= 0) return true;
    if (this.most === 0) this.most = this.readiest();
    const { hashLow, hashHigh } = this.key!;
    // The two halves the other way round than in rendezvous.ts, whose first choices would otherwise be those with a low draw.
    const mixed = mixWord(mixWord(this.seeds[position]!, hashHigh), hashLow);
    return finishHash(mixed) / 0x1_0000_0000 < ready / this.most;
  }

  private readiest(): number {
    let most = 0;
    for (const position of this.positions) most = Math.max(most, this.loads.ready(position));
    return most;
  }
}
