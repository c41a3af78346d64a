import { lookup } from 'node:dns/promises';
import { expect, test, vi } from 'vitest';
import { resolveAddress } from './resolve.ts';

vi.mock('node:dns/promises');

test('a name that is being asked for is not asked for twice, and afresh once it is answered', async () => {
  const asked = vi.mocked(lookup);
  const answers: ((ip: string | Error) => void)[] = [];
  asked.mockImplementation(
    (() =>
      new Promise((resolve, reject) =>
        answers.push((ip) => (ip instanceof Error ? reject(ip) : resolve({ address: ip, family: 4 }))),
      )) as unknown as typeof lookup,
  );
  const at = (port: number) => resolveAddress({ kind: 'name', host: 'db.example', port });
  const both = [at(1), at(2)];
  expect(answers.length).toBe(1);
  answers[0]!('127.0.0.1');
  expect(await Promise.all(both)).toEqual([
    { kind: 'inet', ip: '127.0.0.1', port: 1 },
    { kind: 'inet', ip: '127.0.0.1', port: 2 },
  ]);
  const later = at(3);
  answers[1]!(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
  expect(await later).toBeUndefined();
  const troubled = at(4);
  answers[2]!(Object.assign(new Error('nobody answers'), { code: 'EAI_AGAIN' }));
  expect(await troubled).toBe('unanswered');
  expect(await Promise.all([resolveAddress({ kind: 'unix', path: '/s' })])).toEqual([
    { kind: 'unix', path: '/s' },
  ]);
});
