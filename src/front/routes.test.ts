import { afterEach, expect, test, vi } from 'vitest';
import type { PoolView, Snapshot } from '../core/snapshot.ts';
import type { Answer, RouteRequest } from './answer.ts';
import { Outside } from './outside.ts';
import { KeptPolicies } from './policies.ts';
import { adminRoutes, type PageSource, type RenderedPages, renderedPages } from './routes.ts';
import type { SentState } from './state.ts';
import { Telling } from './told-backends.ts';
import { Turns } from './turns.ts';

afterEach(() => {
  vi.useRealTimers();
});

/** Listener `front` of a pool of this policy; no client is an address, so that no explanation is made. */
function bench(policy: string) {
  const plan = { policy, bound: undefined, tableSize: 251, identity: 'name' };
  const pool = { id: 1, version: 1, plan, backends: [] } as unknown as PoolView;
  const snapshot = {
    listeners: [{ plan: { name: 'front' }, poolId: 1 }],
    pools: [pool],
  } as unknown as Snapshot;
  const known = { published: { snapshot } };
  const turns = new Turns();
  const policies = new KeptPolicies();
  const outside = { state: async () => known, known };
  const source = { outside, turns, policies, views: {}, nowMs: () => 0 } as unknown as PageSource;
  const explain = adminRoutes(source, {} as RenderedPages)['GET /explain']!;
  const ask = async (): Promise<Answer> =>
    (await explain({ params: {}, query: new URLSearchParams('listener=front&client=x') })) as Answer;
  return { ask, pool, policies, turns, take: vi.spyOn(turns, 'take') };
}

const reached = {
  status: 400,
  body: { error: 'client: x is not an IP address, nor a key such as server-name=play.example' },
};

test('to explain, a policy is made in a turn, once for all who ask, and is at hand from then on', async () => {
  const { ask, pool, policies, take } = bench('ring');
  const answers = await Promise.all(Array.from({ length: 100 }, ask));
  expect(answers).toEqual(Array(100).fill(reached));
  expect(take).toHaveBeenCalledTimes(1);
  expect(policies.isAtHand(pool)).toBe(true);
  expect(await ask()).toEqual(reached);
  expect(take).toHaveBeenCalledTimes(1);
});

test('a policy that is made in no time needs no turn, whoever else is waiting for one', async () => {
  const { ask, turns, take } = bench('round-robin');
  void turns.take(() => new Promise<Answer>(() => {}));
  expect(await ask()).toEqual(reached);
  expect(take).toHaveBeenCalledTimes(1);
});

test('where nobody knows dry_run nothing is carried out for it', async () => {
  const orders: unknown[] = [];
  const outside = { order: async (order: unknown) => void orders.push(order) };
  const forget = { forget: () => {} };
  const source = { outside, overview: forget } as unknown as PageSource;
  const routes = adminRoutes(source, { metrics: forget, status: forget } as unknown as RenderedPages);
  const older = Object.keys(routes).filter((one) => !one.startsWith('GET ') && !one.includes(' /v1/'));
  expect(older.length).toBeGreaterThanOrEqual(9);
  const query = new URLSearchParams('dry_run&all=1&to=1');
  for (const one of older) expect(await routes[one]!({ params: {}, query })).toMatchObject({ status: 400 });
  expect(orders).toEqual([]);
});

test('who would wait too long for the policy is told to come again', async () => {
  const { ask, turns, policies, pool } = bench('maglev');
  for (let i = 0; i < 100; i++) void turns.take(() => new Promise<Answer>(() => {}));
  expect(await ask()).toMatchObject({ status: 503 });
  expect(policies.isAtHand(pool)).toBe(false);
});

test('a page says since when nothing on it is older: since control was asked for what it shows', async () => {
  vi.useFakeTimers({ now: 1_000 });
  const state = { backends: new Telling().next([], 0) } as unknown as SentState;
  const outside = new Outside((message) => {
    if (message.type === 'ask') setTimeout(() => outside.hear({ type: 'state', id: message.id, state }), 1);
    return true;
  });
  const metrics = { contentType: 'text/plain', metrics: async () => 'a page' };
  const pages = renderedPages({ outside, metrics } as unknown as PageSource);
  const ask = async (): Promise<number> => {
    const answer = pages.metrics({ params: {}, query: new URLSearchParams() } satisfies RouteRequest);
    await vi.advanceTimersByTimeAsync(10);
    return Date.parse((await answer).headers?.['pinion-as-of'] ?? '');
  };
  expect(await ask()).toBe(1_000);
  pages.metrics.forget();
  expect(await ask(), 'another page of the same state').toBe(1_000);
  await vi.advanceTimersByTimeAsync(980);
  expect(await ask()).toBe(2_000);
});
