import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jhash, reciprocalScale, turnWord } from './jhash.ts';

test('reciprocal scale is the upper half of the product, exactly', () => {
  const word = fc.integer({ min: 0, max: 0xffffffff });
  fc.assert(
    fc.property(word, word, (hash, modulus) => {
      expect(reciprocalScale(hash, modulus)).toBe(Number((BigInt(hash) * BigInt(modulus)) >> 32n));
    }),
  );
  expect(reciprocalScale(0xffffffff, 0xffffffff)).toBe(0xfffffffe);
});

test('words are turned, and turned back', () => {
  expect(turnWord(0x01020384)).toBe(0x84030201);
  expect(turnWord(turnWord(-2))).toBe(0xfffffffe);
});

test('every bit of every word and of the seed counts, and no word behind the last', () => {
  for (const count of [1, 2, 3, 4, 5, 6, 7]) {
    const words = Uint32Array.from({ length: count + 1 }, (_, i) => i * 0x01234567);
    const hash = jhash(words, count, 7);
    const others = new Set([hash, jhash(words, count, 8)]);
    for (let bit = 0; bit < count * 32; bit++) {
      const changed = words.slice();
      changed[bit >>> 5]! ^= 1 << (bit & 31);
      others.add(jhash(changed, count, 7));
    }
    expect(others.size).toBe(count * 32 + 2);
    words[count] = 1;
    expect(jhash(words, count, 7)).toBe(hash);
  }
});
