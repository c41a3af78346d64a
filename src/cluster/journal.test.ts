import { expect, test } from 'vitest';
import { type Change, Journal } from './journal.ts';

function change(text: string, expectation: string, backend: string, more: Partial<Change> = {}): Change {
  return {
    text,
    expect: expectation,
    backend,
    attempted: undefined,
    ttlMs: 100,
    expiresAtMs: 1_000,
    reason: 'policy',
    isSweep: false,
    waiters: undefined,
    ...more,
  };
}

test('two changes of a pin become one: what the first saw, what the last wants', () => {
  const journal = new Journal(10);
  journal.note(change('k', 'a', 'b'));
  journal.note(change('k', 'b', 'c'));
  expect(journal.take(9, 0)).toMatchObject([{ expect: 'a', backend: 'c' }]);
});

test('a claim begins anew, whatever was to be told of the pin that has expired', () => {
  for (const [saw, wanted, claims] of [
    ['a', 'a', ''],
    ['a', 'b', ''],
    ['a', '', 'a'],
    ['*', 'a', '*'],
  ] as const) {
    const journal = new Journal(10);
    journal.note(change('k', saw, wanted));
    journal.note(change('k', '', 'c'));
    expect(journal.take(9, 0)).toMatchObject([{ expect: claims, backend: 'c' }]);
  }
});

test("a pin that was made and removed before anybody was told is nobody's business", () => {
  const journal = new Journal(10);
  const heard: unknown[] = [];
  journal.note(change('k', '', 'b', { waiters: [(stands) => heard.push(stands)] }));
  journal.note(change('k', 'b', ''));
  expect(journal.size).toBe(0);
  expect(heard).toEqual([undefined]);
});

test('one that may have been told is', () => {
  const journal = new Journal(10);
  journal.putBack(change('k', '', 'b'), true);
  journal.note(change('k', 'b', ''));
  expect(journal.take(9, 0)).toMatchObject([{ expect: '', backend: '', attempted: 'b' }]);
});

test('a step that comes back goes before what was noted since', () => {
  const journal = new Journal(10);
  journal.note(change('k', 'b', 'c'));
  journal.putBack(change('k', 'a', 'b'), true);
  expect(journal.take(9, 0)).toMatchObject([{ expect: 'a', backend: 'c', attempted: 'b' }]);
});

test("an operator's word stays one, whatever follows", () => {
  const journal = new Journal(10);
  journal.note(change('k', '*', 'b'));
  journal.note(change('k', 'x', 'b'));
  expect(journal.take(9, 0)).toMatchObject([{ expect: '*', backend: 'b' }]);
});

test('is bounded: the oldest goes and is counted', () => {
  const journal = new Journal(3);
  for (const text of ['1', '2', '3', '4', '5']) journal.note(change(text, '', 'b'));
  expect(journal.take(9, 0).map(({ text }) => text)).toEqual(['3', '4', '5']);
  expect(journal.dropped).toBe(2);
});

test('who is waited for goes first, what has expired does not go', () => {
  const journal = new Journal(10);
  journal.note(change('1', '', 'b'));
  journal.note(change('2', '', 'b', { expiresAtMs: 5 }));
  journal.note(change('3', '', 'b', { waiters: [() => {}] }));
  expect(journal.take(9, 5).map(({ text }) => text)).toEqual(['3', '1']);
});

test('in doubt a move becomes the question whether the pin is free, what is by hand and the rest stays', () => {
  const journal = new Journal(10);
  journal.note(change('move', 'a', 'b'));
  journal.note(change('remove', 'a', ''));
  journal.note(change('refresh', 'a', 'a'));
  journal.note(change('claim', '', 'a'));
  journal.note(change('operator', '*', 'a'));
  journal.note(change('bulk', 'a', 'b', { reason: 'operator' }));
  journal.doubt();
  expect(journal.take(9, 0).map((one) => [one.text, one.expect])).toEqual([
    ['move', ''],
    ['remove', 'a'],
    ['refresh', 'a'],
    ['claim', ''],
    ['operator', '*'],
    ['bulk', 'a'],
  ]);
});
