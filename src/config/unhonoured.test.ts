import { expect, test } from 'vitest';
import type { ListenerPlan } from '../core/plan.ts';
import { parsePlan } from './load.ts';
import { unhonoured } from './unhonoured.ts';

function listenerOf(listener: string, pool = ''): ListenerPlan {
  const text = `
listeners: [{ name: front, bind: "tcp://10.0.0.1:80", pool: p${listener} }]
pools: { p: { backends: [{ name: a, address: "10.0.1.1:80" }]${pool} } }
`;
  const result = parsePlan(text, 'test.yaml');
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.plan.listeners[0]!;
}

test('what an engine goes without is named by its key', () => {
  const plain = listenerOf('');
  expect(unhonoured(plain, 'portable')).toEqual([]);
  const much = listenerOf(
    ', bind_device: lo, tcp: { user_timeout: 5s, fast_open: 0 }',
    ', mark: 1, source: 10.0.0.1',
  );
  expect(unhonoured(much, 'portable')).toEqual(['bind_device', 'tcp.user_timeout', 'mark of its pool']);
  expect(unhonoured(much, 'epoll')).toEqual([]);
  expect(unhonoured(listenerOf('', ', transparent: true'), 'portable')).toEqual(['transparent of its pool']);
  expect(unhonoured(listenerOf('', ', transparent: false'), 'portable')).toEqual([]);
});
