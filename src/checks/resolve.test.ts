import { lookup } from 'node:dns/promises';
import { expect, test, vi } from 'vitest';
import { lookUp } from './resolve.ts';

vi.mock('node:dns/promises');

const addresses = (ip: string) => [
  { address: '2001:db8::1', family: 6 },
  { address: ip, family: 4 },
];

test('a name that is being asked for is not asked for twice, and afresh once it is answered', async () => {
  const asked = vi.mocked(lookup);
  const answers: ((ip: string | Error) => void)[] = [];
  asked.mockImplementation(
    (() =>
      new Promise((resolve, reject) =>
        answers.push((ip) => (ip instanceof Error ? reject(ip) : resolve(addresses(ip)))),
      )) as unknown as typeof lookup,
  );
  const at = () => lookUp('db');
  const both = [at(), at()];
  expect(answers.length).toBe(1);
  answers[0]!('127.0.0.1');
  expect(await Promise.all(both)).toEqual(['127.0.0.1', '127.0.0.1']);
  const later = at();
  answers[1]!(Object.assign(new Error('no such name'), { code: 'ENOTFOUND' }));
  expect(await later).toBeUndefined();
  const troubled = at();
  answers[2]!(Object.assign(new Error('nobody answers'), { code: 'EAI_AGAIN' }));
  expect(await troubled).toBe('unanswered');
});

test('of several addresses the lowest counts, whatever the order of the answer', async () => {
  const ips = ['10.0.0.20', '10.0.0.9', '192.0.2.1'];
  for (const order of [ips, ips.toReversed()]) {
    const answer = [{ address: '::1', family: 6 }, ...order.map((address) => ({ address, family: 4 }))];
    vi.mocked(lookup).mockResolvedValueOnce(answer as never);
    expect(await lookUp('db')).toBe('10.0.0.9');
  }
});
