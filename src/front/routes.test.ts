import { expect, test } from 'vitest';
import type { Answer } from './answer.ts';
import { adminRoutes, type PageSource, type RenderedPages } from './routes.ts';

test('to explain, which may make a large policy first, is one of the pages that take turns', async () => {
  const made: Answer[] = [];
  const turns = {
    take: async (make: () => Answer | Promise<Answer>) => {
      made.push(await make());
      return made.at(-1);
    },
  };
  const known = { published: { snapshot: undefined } };
  const source = { outside: { state: async () => known, known }, turns } as unknown as PageSource;
  const explain = adminRoutes(source, {} as RenderedPages)['GET /explain']!;
  const answer = await explain({ params: {}, query: new URLSearchParams('listener=x&client=10.0.0.1') });
  expect(answer).toEqual({ status: 503, body: { error: 'not started yet' } });
  expect(made).toEqual([answer]);
});
