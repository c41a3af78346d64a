import { expect, test } from 'vitest';
import { heavyPagesWaitingMax } from '../core/limits.ts';
import type { Answer } from './http.ts';
import { Turns } from './turns.ts';

test('one at a time, some wait, the rest are told to come again', async () => {
  const turns = new Turns();
  const begun: (() => void)[] = [];
  let atOnce = 0;
  let most = 0;
  const make = async (): Promise<Answer> => {
    most = Math.max(most, ++atOnce);
    await new Promise<void>((resolve) => begun.push(resolve));
    atOnce--;
    return { status: 200, body: 'list' };
  };
  const answers = Array.from({ length: heavyPagesWaitingMax + 5 }, () => turns.take(make));
  const refused = await Promise.all(answers.slice(heavyPagesWaitingMax));
  expect(refused.map(({ status }) => status)).toEqual(Array(5).fill(503));
  for (let i = 0; i < heavyPagesWaitingMax; i++) {
    while (begun.length === 0) await new Promise((resolve) => setImmediate(resolve));
    begun.shift()!();
  }
  const served = await Promise.all(answers.slice(0, heavyPagesWaitingMax));
  expect(served.map(({ status }) => status)).toEqual(Array(heavyPagesWaitingMax).fill(200));
  expect(most).toBe(1);
  const failing = turns.take(() => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  const after = turns.take(() => ({ status: 200, body: 'after a failure' }));
  expect((await after).status).toBe(200);
});

test('pages that are made without waiting leave the others a turn of the loop in between', async () => {
  const turns = new Turns();
  const order: string[] = [];
  const answers = ['a', 'b', 'c'].map((name) =>
    turns.take(() => {
      order.push(name);
      setImmediate(() => order.push('others'));
      return { status: 200, body: name };
    }),
  );
  await Promise.all(answers);
  expect(order).toEqual(['a', 'others', 'b', 'others', 'c']);
});
