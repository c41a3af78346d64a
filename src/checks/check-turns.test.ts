import { expect, test } from 'vitest';
import { CheckTurns } from './check-turns.ts';

/** Takes a turn for each name, and says who has had one so far. */
function players(turns: CheckTurns, names: string): () => Promise<string> {
  let had = '';
  for (const name of names) {
    void turns.take().then(() => {
      had += name;
    });
  }
  return async () => {
    await Promise.resolve();
    return had;
  };
}

test('without a limit nobody waits; with one those that came first go first', async () => {
  const free = players(new CheckTurns(), 'abc');
  expect(await free()).toBe('abc');
  const turns = new CheckTurns();
  turns.limit(2);
  const had = players(turns, 'abcde');
  expect(await had()).toBe('ab');
  turns.give();
  expect(await had()).toBe('abc');
  turns.limit(3);
  expect(await had()).toBe('abcd');
  turns.limit(0); // one must always get on
  for (let i = 0; i < 2; i++) turns.give();
  expect(await had()).toBe('abcd');
  turns.give();
  expect(await had()).toBe('abcde');
});

test('a turn that is free is had at once, and nobody passes those who wait', async () => {
  const turns = new CheckTurns();
  turns.limit(1);
  expect([turns.takeNow(), turns.takeNow()]).toEqual([true, false]);
  const had = players(turns, 'ab');
  turns.give();
  expect(turns.takeNow()).toBe(false);
  expect(await had()).toBe('a');
  turns.give();
  turns.give();
  expect(await had()).toBe('ab');
  expect(turns.takeNow()).toBe(true);
});
