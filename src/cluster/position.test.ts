import { expect, test } from 'vitest';
import { beginning, comparePositions, isPosition, toPosition } from './position.ts';

test('positions are in the order Redis gives them out, whatever their size', () => {
  const order = [
    beginning,
    '5-0',
    '5-9',
    '5-10',
    '1700000000000-0',
    '1700000000000-123456789012345',
    '1700000000001-0',
    '9999999999999999-0',
    '18446744073709551614-18446744073709551615',
    '18446744073709551615-0',
  ];
  for (const [i, a] of order.entries()) {
    for (const [j, b] of order.entries())
      expect(Math.sign(comparePositions(a, b)), `${a} and ${b}`).toBe(Math.sign(i - j));
  }
});

test('what is none is seen, and stands for the beginning', () => {
  for (const text of [
    '',
    '5',
    '5-',
    '-5',
    '5-0-1',
    'x-y',
    '5-0 ',
    '05-0',
    '5-18446744073709551616',
    '99999999999999999999-0',
  ]) {
    expect(isPosition(text)).toBe(false);
    expect(toPosition(text)).toBe(beginning);
  }
});
