/** What people read: each kind of number at its edges. */
import { describe, expect, test } from 'vitest';
import { ago, bits, bytes, count, duration, percent, plural, rate } from './words.ts';

describe('words', () => {
  test.each([
    [0, '0'],
    [9_999, '9,999'],
    [12_345, '12.3k'],
    [1_000_000, '1.00M'],
    [2_500_000_000, '2.50G'],
  ])('%d is counted %s', (value, text) => expect(count(value)).toBe(text));

  test.each([
    [0, '0'],
    [0.5, '0.5'],
    [3, '3'],
    [41.4, '41'],
  ])('%d a second is %s', (value, text) => expect(rate(value)).toBe(text));

  test.each([
    [0, '0 ms'],
    [0.42, '0.4 ms'],
    [1, '1 ms'],
    [999, '999 ms'],
    [12_000, '12 s'],
    [61_000, '1 min 1 s'],
    [3_600_000, '1 h'],
    [(3 * 24 + 4) * 3_600_000, '3 d 4 h'],
  ])('%d ms are %s', (value, text) => expect(duration(value)).toBe(text));

  test('sizes, parts and ages', () => {
    expect(bits(125)).toBe('1.00 kbit/s');
    expect(bytes(1_536)).toBe('1.50 KiB');
    expect([percent(0.335), percent(0.031), percent(1)]).toEqual(['34 %', '3.1 %', '100 %']);
    expect([ago(900), ago(3_000)]).toEqual(['now', '3 s ago']);
    expect([plural(1, 'flow'), plural(412, 'flow')]).toEqual(['1 flow', '412 flows']);
  });
});
