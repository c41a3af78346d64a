import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isPrime, nearestPrime } from './prime.ts';
import { didYouMean, editDistance, nearest } from './suggest.ts';

const keys = ['name', 'bind', 'pool', 'affinity', 'timeouts', 'limits', 'max_connections', 'tcp', 'on_down'];

describe('nearest', () => {
  it.each([
    ['afinity', 'affinity'],
    ['affintiy', 'affinity'],
    ['timeout', 'timeouts'],
    ['maxConnections', 'max_connections'],
    ['on-down', 'on_down'],
    ['maxc', 'max_connections'],
    ['nmae', 'name'],
    ['tpc', 'tcp'],
  ])('%s is near %s', (word, key) => expect(nearest(word, keys)).toBe(key));

  it.each(['colour', 'x', 'host', 'backends', ''])('nothing is near %j', (word) => {
    expect(nearest(word, keys)).toBeUndefined();
    expect(didYouMean(word, keys)).toBe('');
  });

  it('prefers the nearer one, and the first of two equally near', () => {
    expect(nearest('pg3', ['pg1', 'pg2'])).toBe('pg1');
    expect(nearest('limit', ['limbs', 'limits'])).toBe('limits');
  });
});

describe('editDistance', () => {
  it('counts a swap of neighbours once', () => expect(editDistance('ab', 'ba')).toBe(1));
  it('is symmetric, and 0 only for equal words', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        expect(editDistance(a, b)).toBe(editDistance(b, a));
        expect(editDistance(a, b) === 0).toBe(a === b);
        expect(editDistance(a, b)).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});

describe('primes', () => {
  it('are recognised', () => {
    expect([0, 1, 2, 3, 4, 5, 9, 25, 251, 65_537, 5_000_011, 2.5].filter(isPrime)).toEqual([
      2, 3, 5, 251, 65_537, 5_000_011,
    ]);
  });
  it.each([
    [65_536, 65_537],
    [100, 101],
    [4, 3],
    [0, 2],
    [-5, 2],
  ])('the one nearest to %i is %i', (n, prime) => expect(nearestPrime(n)).toBe(prime));
});
