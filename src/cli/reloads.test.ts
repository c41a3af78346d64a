import { expect, test } from 'vitest';
import type { Answer } from '../front/http.ts';
import { Reloads } from './reloads.ts';

/** Runs that end when the test says so. */
function runs() {
  const ends: ((answer: Answer | Promise<Answer>) => void)[] = [];
  const run = () => new Promise<Answer>((resolve) => ends.push(resolve));
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return { ends, run, turn };
}

const answer = (body: string): Answer => ({ status: 200, body });

test('who comes after the file was read gets one more run, together with all that come until it reads', async () => {
  const { ends, run, turn } = runs();
  const reloads = new Reloads(run);
  const first = [reloads.ask(), reloads.ask()];
  await turn();
  expect(ends.length, 'who comes at once shares a run').toBe(1);
  const second = [reloads.ask(), reloads.ask()];
  await turn();
  const third = reloads.ask();
  expect(ends.length, 'one at a time').toBe(1);
  ends[0]!(answer('first'));
  expect(await Promise.all(first)).toEqual([answer('first'), answer('first')]);
  await turn();
  expect(ends.length).toBe(2);
  const fourth = reloads.ask();
  ends[1]!(answer('second'));
  expect(await Promise.all([...second, third])).toEqual(Array(3).fill(answer('second')));
  await turn();
  ends[2]!(answer('fourth'));
  expect(await fourth).toEqual(answer('fourth'));
  expect(ends.length).toBe(3);
});

test('a run that throws is its own affair, and the first waits for what it was told to', async () => {
  const { ends, run, turn } = runs();
  let fail = (_: Error): void => {};
  const reloads = new Reloads(run);
  reloads.waitFor(new Promise((_, reject) => (fail = reject)));
  const first = reloads.ask();
  await turn();
  expect(ends.length).toBe(0);
  fail(new Error('did not start'));
  await turn();
  const second = reloads.ask();
  ends[0]!(Promise.reject(new Error('a defect')));
  await expect(first).rejects.toThrow('a defect');
  await turn();
  ends[1]!(answer('second'));
  expect(await second).toEqual(answer('second'));
});
