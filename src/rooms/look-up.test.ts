import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { expect, test, vi } from 'vitest';
import { addressesOf } from './look-up.ts';

vi.mock('node:dns/promises');

test('a name that is being asked for is not asked for twice, and afresh once it is answered', async () => {
  const answers: ((addresses: LookupAddress[] | Error) => void)[] = [];
  vi.mocked(lookup).mockImplementation(
    (() =>
      new Promise((resolve, reject) =>
        answers.push((found) => (found instanceof Error ? reject(found) : resolve(found))),
      )) as unknown as typeof lookup,
  );
  const both = [addressesOf('db'), addressesOf('db')];
  const other = addressesOf('other');
  expect(answers.length).toBe(2);
  const found = [{ address: '127.0.0.1', family: 4 }];
  answers[0]!(found);
  answers[1]!([]);
  expect(await Promise.all(both)).toEqual([found, found]);
  expect(await other).toEqual([]);
  const failing = [addressesOf('db'), addressesOf('db')];
  expect(answers.length).toBe(3);
  answers[2]!(new Error('nobody answers'));
  for (const one of failing) await expect(one).rejects.toThrow('nobody answers');
  const later = addressesOf('db');
  answers[3]!(found);
  expect(await later).toEqual(found);
});
