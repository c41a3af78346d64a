import { describe, expect, test } from 'vitest';
import type { Answer, EncodedAnswer, RouteRequest } from './answer.ts';
import { freshFor } from './shared-page.ts';

const asked = (query = ''): RouteRequest => ({ params: {}, query: new URLSearchParams(query) });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const textOf = (answer: Answer): string => Buffer.from((answer as EncodedAnswer).body).toString();

describe('a shared page', () => {
  let renders = 0;
  let atOnce = 0;
  let most = 0;
  const render = async ({ query }: RouteRequest): Promise<Answer> => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    const number = ++renders;
    await pause(10);
    atOnce -= 1;
    return { status: 200, body: `${number}${query}` };
  };

  test('is one buffer for all who ask at once and soon after, and another one later', async () => {
    renders = 0;
    const page = freshFor(50, render);
    const answers = await Promise.all([page(asked()), page(asked('a=1')), page(asked('b'))]);
    answers.push(await page(asked()));
    expect(new Set(answers.map(({ body }) => body)).size).toBe(1);
    expect(renders).toBe(1);
    while (textOf(await page(asked())) === '1') await pause(10);
    expect(renders).toBe(2);
  });

  test('is made anew for whoever asks after a change, even while it is being made', async () => {
    renders = 0;
    const page = freshFor(10_000, render);
    const before = page(asked());
    page.forget();
    const after = page(asked());
    expect([textOf(await before), textOf(await after)]).toEqual(['1', '2']);
    page.forget();
    expect(textOf(await page(asked()))).toBe('3');
    expect(textOf(await page(asked()))).toBe('3');
  });

  test('differs by what it reads, and is made for one after the other', async () => {
    renders = 0;
    most = 0;
    const page = freshFor(1_000, render, ({ query }) => query.get('of') ?? '');
    const queries = ['of=a', 'of=b', 'of=a&x', 'of=b&y', 'of=c'];
    const texts = await Promise.all(queries.map(async (query) => textOf(await page(asked(query)))));
    expect(texts).toEqual(['1of=a', '2of=b', '1of=a', '2of=b', '3of=c']);
    expect(most).toBe(1);
  });

  test('that failed or was refused is told to those who wait for it, and to nobody else', async () => {
    let calls = 0;
    const page = freshFor(10_000, async () => {
      calls += 1;
      await pause(1);
      if (calls === 1) throw new Error('of no use');
      return { status: calls === 2 ? 503 : 200, body: `${calls}` };
    });
    const failed = await Promise.allSettled([page(asked()), page(asked())]);
    expect(failed.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect((await page(asked())).status).toBe(503);
    expect(textOf(await page(asked()))).toBe('3');
    expect(textOf(await page(asked()))).toBe('3');
  });

  test('that takes long leaves most of the time to others', async () => {
    const page = freshFor(
      1,
      () => {
        const end = performance.now() + 20;
        while (performance.now() < end);
        return { status: 200, body: '' };
      },
      ({ query }) => query.toString(),
    );
    const startMs = performance.now();
    await Promise.all(['a', 'b', 'c'].map((query) => page(asked(query))));
    // Two rests between three renderings.
    expect(performance.now() - startMs).toBeGreaterThan(3 * 20 + 2 * 80 - 5);
  });
});
