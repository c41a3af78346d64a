import { expect, test } from 'vitest';
import { everywhere, formatWord, type OperatorRow } from '../core/operator-word.ts';
import { KeptWords, type WordsStore } from './kept-words.ts';

const row = (on: string, backend: string, atMs: number): OperatorRow => ({
  on,
  pool: 'p',
  backend,
  topic: 'state',
  word: { atMs, value: 'drain' },
});

function bench() {
  const redis = new Map<string, string>();
  const state = { isAway: false, isHeard: true, mayWrite: true, told: [] as (readonly OperatorRow[])[] };
  const store: WordsStore = {
    async putWord(name, word) {
      if (state.isAway) throw new Error('away');
      redis.set(name, word);
      return true;
    },
    async words() {
      if (state.isAway) throw new Error('away');
      return [...redis];
    },
  };
  const words = new KeptWords({
    store,
    instance: 'a',
    mayWrite: () => state.mayWrite,
    tell: (rows) => {
      state.told.push(rows);
      return state.isHeard;
    },
    nowMs: () => 1_000,
  });
  return { redis, state, words };
}

test('what cannot be written is written with a later beat, the newest alone', async () => {
  const { redis, state, words } = bench();
  state.isAway = true;
  expect(await words.keep([row('a', 'x', 1)])).toBe('here-only');
  expect(await words.keep([row('a', 'x', 2)])).toBe('here-only');
  await expect(words.flush()).rejects.toThrow('away');
  await expect(words.read()).rejects.toThrow('away');
  expect(words.areRead).toBe(false);
  state.isAway = false;
  await words.flush();
  expect([...redis]).toEqual([['a/p/x/state', formatWord(row('a', 'x', 2).word)]]);
  redis.clear();
  await words.flush();
  expect(redis.size, 'it is written once').toBe(0);
  expect(await words.keep([row(everywhere, 'x', 3)])).toBe('shared');
});

test('an instance that shares nothing keeps them to itself until it does', async () => {
  const { redis, state, words } = bench();
  state.mayWrite = false;
  expect(await words.keep([row(everywhere, 'x', 3)])).toBe('here-only');
  words.keepLater([row('a', 'y', 3)]);
  await words.flush();
  expect(redis.size).toBe(0);
  state.mayWrite = true;
  await words.flush();
  expect(redis.size).toBe(2);
});

test('they are told once, when they are others, and again if that was not heard', async () => {
  const { redis, state, words } = bench();
  await words.read();
  expect(state.told, 'that there are none is told too').toEqual([[]]);
  redis.set('b/p/x/state', formatWord(row('b', 'x', 1).word));
  redis.set('a/p/x/state', 'what nobody of us writes');
  redis.set('a/p/x', formatWord(row('a', 'x', 1).word));
  redis.set('a/p/x/state/y', formatWord(row('a', 'x', 1).word));
  redis.set('a/p/x/colour', formatWord(row('a', 'x', 1).word));
  await words.read();
  expect(state.told).toHaveLength(1);
  redis.set('*/p/x/state', formatWord(row(everywhere, 'x', 7).word));
  state.isHeard = false;
  await words.read();
  state.isHeard = true;
  await words.read();
  await words.read();
  expect(state.told.slice(1)).toEqual([[row(everywhere, 'x', 7)], [row(everywhere, 'x', 7)]]);
});

test('what Redis loses right after it was written is told as missing', async () => {
  const { redis, state, words } = bench();
  await words.read();
  await words.keep([row('a', 'x', 1)]);
  redis.clear();
  await words.read();
  expect(state.told).toEqual([[], []]);
});
