import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Ranking } from './ranking.ts';

describe('Ranking', () => {
  it('gives highest score, then highest tie, then lowest index first', () => {
    const entry = fc.tuple(fc.integer({ min: -2, max: 2 }), fc.integer({ min: 0, max: 2 }));
    const ranking = new Ranking(40);
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 40 }), (entries) => {
        ranking.clear();
        for (const [i, [score, tie]] of entries.entries()) ranking.add(i, score, tie);
        ranking.settle();
        const sorted = [...entries.keys()].sort(
          (a, b) => entries[b]![0] - entries[a]![0] || entries[b]![1] - entries[a]![1] || a - b,
        );
        expect(entries.map(() => ranking.take())).toEqual(sorted);
        expect(ranking.take()).toBe(-1);
      }),
    );
  });

  it('orders infinite scores last among themselves by index', () => {
    const ranking = new Ranking(3);
    for (const i of [2, 1, 0]) ranking.add(i, i === 1 ? 0 : Number.NEGATIVE_INFINITY, 0);
    ranking.settle();
    expect([ranking.take(), ranking.take(), ranking.take()]).toEqual([1, 0, 2]);
  });
});
