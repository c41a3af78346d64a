import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { shareOut, tiersOf } from './tiers.ts';

const at = (priority: number, zone?: string, isBackup = false) => ({ priority, zone, isBackup });

describe('the order of tiers', () => {
  const backends = [at(2), at(1, 'b'), at(1, 'a'), at(7, 'a'), at(1, 'a', true), at(1)];

  test('is by priority, whatever gaps there are, and backups are last', () => {
    expect(tiersOf(backends, undefined)).toEqual([1, 0, 0, 2, 3, 0]);
  });

  test('is nearest first inside a priority where the instance has a zone', () => {
    expect(tiersOf(backends, 'a')).toEqual([2, 1, 0, 3, 4, 1]);
    expect(tiersOf(backends, 'b')).toEqual([2, 0, 1, 3, 4, 1]);
  });

  test('a zone does not come before a priority, and a backup of the own zone not before anybody else', () => {
    expect(tiersOf([at(1, 'far'), at(2, 'here'), at(1, 'here', true)], 'here')).toEqual([0, 1, 2]);
  });
});

/** Shares of tiers that all weigh 100, of which so much is ready. */
function sharesOf(ready: readonly number[], spillBelow = 0.7): number[] {
  const shares = new Float64Array(ready.length);
  const whole = new Float64Array(ready.length).fill(100);
  shareOut(Float64Array.from(ready), whole, spillBelow, shares, 0, ready.length);
  return [...shares].map((share) => Math.round(share * 1000) / 1000);
}

describe('shares', () => {
  test.each([
    [
      [100, 100],
      [1, 0],
    ],
    [
      [70, 100],
      [1, 0],
    ],
    [
      [35, 100],
      [0.5, 0.5],
    ],
    [
      [35, 35],
      [0.5, 0.5],
    ],
    [
      [14, 35, 100],
      [0.2, 0.5, 0.3],
    ],
    [
      [0, 100],
      [0, 1],
    ],
    // Nobody carries all: in proportion to what is there.
    [
      [7, 14],
      [0.333, 0.667],
    ],
    [
      [7, 0],
      [1, 0],
    ],
    [
      [0, 0],
      [0, 0],
    ],
  ])('of %j ready are %j', (ready, shares) => expect(sharesOf(ready)).toEqual(shares));

  test('spill_below: 0 keeps all clients as long as anybody is there, 100% lets go with the first that is lost', () => {
    expect(sharesOf([1, 100], 0)).toEqual([1, 0]);
    expect(sharesOf([0, 100], 0)).toEqual([0, 1]);
    expect(sharesOf([99, 100], 1)).toEqual([0.99, 0.01]);
  });

  test('are 1 in all where anybody is ready, and none goes where nobody is', () => {
    const ready = fc.array(fc.oneof(fc.constant(0), fc.double({ min: 0, max: 100, noNaN: true })), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(ready, fc.double({ min: 0, max: 1, noNaN: true }), (each, spillBelow) => {
        const shares = new Float64Array(each.length);
        const whole = new Float64Array(each.length).fill(100);
        const sum = shareOut(Float64Array.from(each), whole, spillBelow, shares, 0, each.length);
        // Beside numbers near the smallest there are, fractions of them come to nothing.
        const isAny = each.some((amount) => amount > 1e-9);
        const isNone = each.every((amount) => amount === 0);
        if (isAny) expect(shares.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
        if (isNone) expect(sum).toBe(0);
        for (const [i, share] of shares.entries()) if (each[i] === 0) expect(share).toBe(0);
      }),
    );
  });
});
