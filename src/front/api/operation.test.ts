import { expect, test } from 'vitest';
import { z } from 'zod';
import type { Answer } from '../answer.ts';
import { flag, handleOf, limitOf, name, operation } from './operation.ts';

const handle = handleOf(
  operation({
    method: 'POST',
    path: '/v1/do/:what',
    tag: 'x',
    summary: '',
    query: z.object({ pool: name, to: z.string(), dry_run: flag, limit: limitOf(100, 7) }),
    answer: z.any(),
    handle: ({ query, params }) => ({ status: 200, body: { ...query, ...params } }),
  }),
);

async function ask(query: string): Promise<Answer> {
  return (await handle({ params: { what: 'x' }, query: new URLSearchParams(query) })) as Answer;
}

test.each([
  ['to=b', { to: 'b', dry_run: false, limit: 7, what: 'x' }],
  ['to=b&dry_run', { to: 'b', dry_run: true, limit: 7, what: 'x' }],
  ['to=b&dry_run=true&pool=p&limit=100', { to: 'b', dry_run: true, limit: 100, pool: 'p', what: 'x' }],
  ['to=b&dry_run=false', { to: 'b', dry_run: false, limit: 7, what: 'x' }],
])('%s', async (query, body) => {
  expect(await ask(query)).toEqual({ status: 200, body });
});

test.each([
  ['', /^to: /],
  ['to=b&dryrun=true', /^POST \/v1\/do\/:what has no parameter dryrun; there are: pool, to, dry_run, limit$/],
  ['to=b&to=c', /^to: give it once$/],
  ['to=b&dry_run=no', /^dry_run: /],
  ['to=b&limit=0', /^limit: a whole number from 1 to 100$/],
  ['to=b&limit=1e2', /^limit: a whole number from 1 to 100$/],
  ['to=b&pool=', /^pool: /],
  [`to=b&pool=${'p'.repeat(256)}`, /^pool: /],
  ['to=b&__proto__=x', /no parameter __proto__/],
  ['to=b&constructor=x', /no parameter constructor/],
])('%s is refused', async (query, error) => {
  expect(await ask(query)).toEqual({ status: 400, body: { error: expect.stringMatching(error) } });
});
