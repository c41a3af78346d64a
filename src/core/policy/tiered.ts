/**
 * A policy for each tier of a pool, the nearest first. A client's own tier is drawn by its hash from the shares that
 * core/tiers.ts gives; after all of that tier come the others in their order, so nobody is turned away while anyone can serve.
 *
 * The hash decides and not chance: equal keys get equal tiers on every instance that sees the same backends up, and as the
 * share of a tier shrinks or grows only the clients at its edge change. Tiers have policies of their own rather than a part of one
 * that is made for all, so a tier that comes or goes moves nobody inside another.
 */
import type { Key } from '../key.ts';
import { finishHash, mixWord } from '../key-hash.ts';
import { shareOut } from '../tiers.ts';
import type { Candidate } from './candidates.ts';
import { type Loads, noLoads, type Policy } from './policy.ts';

export interface Tier {
  /** Of the pool's tiers; those without a candidate are left out. */
  readonly number: number;
  readonly policy: Policy;
  readonly candidates: readonly Candidate[];
  readonly isBackup: boolean;
}

export interface TierShare {
  readonly tier: number;
  /** 0 to 1. */
  readonly share: number;
  /** 0 to 1, by weight. */
  readonly ready: number;
}

/** "tier" in ASCII: the draw must not go with the choice inside a tier, which is from the same hash. */
const drawSeed = 0x74696572;

export class Tiered implements Policy {
  private readonly numbers: readonly number[];
  private readonly policies: readonly Policy[];
  /** For each candidate of all tiers, tier by tier: its place in the pool, and its weight. */
  private readonly positions: Uint16Array;
  private readonly weights: Float64Array;
  /** Where the candidates of each tier end. */
  private readonly ends: Uint16Array;
  private readonly whole: Float64Array;
  private readonly ready: Float64Array;
  private readonly shares: Float64Array;
  private readonly firstBackup: number;
  private readonly spillBelow: number;
  private key: Key | undefined;
  private loads = noLoads;
  private drawn = 0;
  private current = 0;
  /** The next tier to come after the current one. */
  private upcoming = 0;

  /** `tiers` in their order, backups last, each with a candidate at least. */
  constructor(tiers: readonly Tier[], spillBelow: number) {
    this.numbers = tiers.map(({ number }) => number);
    this.policies = tiers.map(({ policy }) => policy);
    const all = tiers.flatMap(({ candidates }) => candidates);
    this.positions = Uint16Array.from(all, ({ position }) => position);
    this.weights = Float64Array.from(all, ({ weight }) => weight);
    let end = 0;
    this.ends = Uint16Array.from(tiers, ({ candidates }) => (end += candidates.length));
    this.whole = Float64Array.from(tiers, ({ candidates }) =>
      candidates.reduce((sum, { weight }) => sum + weight, 0),
    );
    this.ready = new Float64Array(tiers.length);
    this.shares = new Float64Array(tiers.length);
    const firstBackup = tiers.findIndex(({ isBackup }) => isBackup);
    this.firstBackup = firstBackup < 0 ? tiers.length : firstBackup;
    this.spillBelow = spillBelow;
  }

  start(key: Key, loads: Loads): void {
    this.key = key;
    this.loads = loads;
    this.drawn = this.draw(key, loads);
    this.current = this.drawn;
    this.upcoming = 0;
    this.policies[this.drawn]!.start(key, loads);
  }

  next(): number {
    for (;;) {
      const position = this.policies[this.current]!.next();
      if (position >= 0) return position;
      if (this.upcoming === this.drawn) this.upcoming++;
      if (this.upcoming >= this.policies.length) return -1;
      this.current = this.upcoming++;
      this.policies[this.current]!.start(this.key!, this.loads);
    }
  }

  /** What part of the new clients each tier has now, and how much of its weight is ready. For people: it allocates. */
  sharesNow(loads: Loads): TierShare[] {
    this.share(loads);
    return this.numbers.map((number, i) => ({
      tier: number,
      share: this.shares[i]!,
      ready: this.ready[i]! / this.whole[i]!,
    }));
  }

  private draw(key: Key, loads: Loads): number {
    this.share(loads);
    const mixed = mixWord(mixWord(drawSeed, key.hashLow), key.hashHigh);
    const place = finishHash(mixed) / 0x1_0000_0000;
    let last = 0;
    let sum = 0;
    for (let tier = 0; tier < this.shares.length; tier++) {
      const share = this.shares[tier]!;
      if (share === 0) continue;
      last = tier;
      sum += share;
      if (place < sum) return tier;
    }
    // Sums of fractions may end a hair below 1.
    return last;
  }

  private share(loads: Loads): void {
    const { ready, shares, positions, weights, ends } = this;
    const { firstBackup, whole, spillBelow } = this;
    let most = 0;
    for (let tier = 0, i = 0; tier < ends.length; tier++) {
      let sum = 0;
      for (; i < ends[tier]!; i++) {
        const part = loads.ready(positions[i]!);
        sum += weights[i]! * part;
        if (tier < firstBackup && part > most) most = part;
      }
      ready[tier] = sum;
    }
    // All that are up have just come up: nobody is to go to a tier further off for that.
    if (most > 0 && most < 1) for (let tier = 0; tier < firstBackup; tier++) ready[tier]! /= most;
    shares.fill(0);
    if (shareOut(ready, whole, spillBelow, shares, 0, firstBackup) > 0) return;
    shareOut(ready, whole, spillBelow, shares, firstBackup, shares.length);
  }
}
