import { expect, test } from 'vitest';
import { everywhere, formatWord, type OperatorRow } from '../../core/operator-word.ts';
import { KeptWords, type WordsStore } from './kept-words.ts';

const row = (on: string, backend: string, atMs: number): OperatorRow => ({
  on,
  pool: 'p',
  backend,
  word: { state: 'drain', weight: undefined, movesPinned: false, atMs },
});

function bench() {
  const redis = new Map<string, string>();
  const state = { isAway: false, isHeard: true, told: [] as (readonly OperatorRow[])[] };
  const store: WordsStore = {
    async putWord(name, _atMs, word) {
      if (state.isAway) throw new Error('away');
      redis.set(name, word);
    },
    async words() {
      if (state.isAway) throw new Error('away');
      return [...redis];
    },
  };
  const words = new KeptWords(store, 'a', (rows) => {
    state.told.push(rows);
    return state.isHeard;
  });
  return { redis, state, words };
}

test('what cannot be written is written with a later beat, the newest alone', async () => {
  const { redis, state, words } = bench();
  state.isAway = true;
  expect(await words.keep(row('a', 'x', 1))).toBe('here-only');
  expect(await words.keep(row('a', 'x', 2))).toBe('here-only');
  await expect(words.beat()).rejects.toThrow('away');
  expect(words.areRead).toBe(false);
  state.isAway = false;
  await words.beat();
  expect([...redis]).toEqual([['a/p/x', formatWord(row('a', 'x', 2).word)]]);
  redis.clear();
  await words.beat();
  expect(redis.size, 'it is written once').toBe(0);
  expect(await words.keep(row(everywhere, 'x', 3))).toBe('shared');
});

test('they are told once, when they are others, and again if that was not heard', async () => {
  const { redis, state, words } = bench();
  await words.beat();
  expect(state.told, 'that there are none is told too').toEqual([[]]);
  redis.set('b/p/x', formatWord(row('b', 'x', 1).word));
  redis.set('a/p/x', 'what nobody of us writes');
  redis.set('a/p', formatWord(row('a', 'x', 1).word));
  redis.set('a/p/x/y', formatWord(row('a', 'x', 1).word));
  await words.beat();
  expect(state.told).toHaveLength(1);
  redis.set('*/p/x', formatWord(row(everywhere, 'x', 7).word));
  state.isHeard = false;
  await words.beat();
  state.isHeard = true;
  await words.beat();
  await words.beat();
  expect(state.told.slice(1)).toEqual([[row(everywhere, 'x', 7)], [row(everywhere, 'x', 7)]]);
});
