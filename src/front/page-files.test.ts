/** The page's files: what they may do in a browser, and that nothing else is given away by their path. */
import { expect, test } from 'vitest';
import type { Answer } from './answer.ts';
import { pageRoutes } from './page-files.ts';

const routes = pageRoutes();

async function give(pattern: string, file = ''): Promise<Answer> {
  return await routes[pattern]!({ params: { file }, query: new URLSearchParams() });
}

test('the page loads from its own origin and runs nothing that stands in it', async () => {
  const { status, body, contentType, headers = {} } = await give('GET /');
  expect([status, contentType]).toEqual([200, 'text/html; charset=utf-8']);
  const policy = headers['content-security-policy'];
  expect(policy).toContain("default-src 'none'");
  expect(policy).not.toMatch(/unsafe|https?:|\*/);
  const text = Buffer.from(body as Uint8Array).toString();
  expect(text).not.toMatch(/<style|style=|<script(?! type="module" src="page\/)| on\w+=|https?:/);
});

test.each(['../page-files.ts', 'words.ts', 'tsconfig.json', 'words.test.js', '.', ''])(
  '%s is no file of the page',
  async (name) => {
    expect((await give('GET /page/:file', name)).status).toBe(404);
  },
);
