import { expect, test } from 'vitest';
import type { Answer } from '../answer.ts';
import { Turns } from '../turns.ts';
import { type ApiParts, apiOperations } from './api.ts';
import { handleOf } from './operation.ts';

/** A preview of `DELETE /v1/flows` where so many of these are open. */
async function preview(query: string, listed: number, open: number): Promise<Answer> {
  const flow = { listener: 'front', pool: 'pg', backend: 'pg1', client: '192.0.2.7:4711', durationMs: 1 };
  const names = (name: string) => [{ plan: { name } }];
  const snapshot = { listeners: names('front'), pools: names('pg') };
  const parts = {
    older: {},
    turns: new Turns(),
    views: { counters: { flows: () => open } },
    outside: {
      order: async () => ({ status: 200, body: { connections: Array(listed).fill(flow) } }),
      state: async () => ({ published: { snapshot }, backends: [{ pool: 'pg', backend: 'pg1' }] }),
    },
  } as unknown as ApiParts;
  const ends = apiOperations(parts).find(({ method, path }) => method === 'DELETE' && path === '/v1/flows')!;
  return (await handleOf(ends)({ params: {}, query: new URLSearchParams(query) })) as Answer;
}

test('a preview of ends says how many, and that there are more than it looked at', async () => {
  expect(await preview('all&dry_run', 3, 3)).toEqual({ status: 200, body: { dryRun: true, connections: 3 } });
  expect(await preview('pool=pg&dry_run', 10_000, 30_000)).toEqual({
    status: 200,
    body: { dryRun: true, connections: 10_000, isPartial: true },
  });
});

test.each([
  ['dry_run', 400, /say which/],
  ['pool=pq&dry_run', 404, /no pool pq/],
  ['client=nobody&dry_run', 400, /neither an address nor a network/],
])('what would be refused is refused: %s', async (query, status, error) => {
  expect(await preview(query, 3, 3)).toEqual({ status, body: { error: expect.stringMatching(error) } });
});
