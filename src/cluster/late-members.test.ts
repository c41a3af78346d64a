import { expect, test } from 'vitest';
import { membersAnswerBytesMax, membersMax } from '../core/limits.ts';
import { LateMembers } from './late-members.ts';
import type { MemberRow } from './store.ts';

const row = (instance: string, member = '{}'): MemberRow => ({ instance, member, counts: '[]' });
const namesIn = (rows: readonly MemberRow[]): string[] => rows.map(({ instance }) => instance);

test('who is missing counts with its last words until so many answers in a row came without it', () => {
  const late = new LateMembers(3);
  const [me, a, b] = [row('me'), row('a', '{"flows":7}'), row('b')];
  expect(late.complete([me, a, b])).toEqual([me, a, b]);
  expect(late.complete([me, b])).toEqual([me, b, a]);
  expect(late.complete([me, b])).toEqual([me, b, a]);
  expect(late.complete([me, b])).toEqual([me, b]);
  expect(late.complete([me, b])).toEqual([me, b]);
});

test('who is heard of again begins anew', () => {
  const late = new LateMembers(2);
  for (let answer = 0; answer < 5; answer++) {
    expect(namesIn(late.complete([row('me'), row('a')]))).toEqual(['me', 'a']);
    expect(namesIn(late.complete([row('me')]))).toEqual(['me', 'a']);
  }
});

test('what is kept has the bounds of one answer, whatever Redis says', () => {
  const crowd = (name: string, count: number, text = '{}') =>
    Array.from({ length: count }, (_, i) => row(`${name}${i}`, text));
  const late = new LateMembers(5);
  late.complete(crowd('a', membersMax - 1));
  expect(late.complete(crowd('b', 10))).toHaveLength(membersMax);
  expect(late.complete(crowd('c', membersMax * 2))).toHaveLength(membersMax * 2);
  const large = 'x'.repeat(membersAnswerBytesMax / 4);
  late.complete(crowd('d', 3, large));
  expect(namesIn(late.complete([row('e', large), row('f', large)]))).toEqual(['e', 'f', 'd0']);
});
