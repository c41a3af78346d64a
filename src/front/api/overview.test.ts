import { expect, test } from 'vitest';
import type { FrontState } from '../state.ts';
import { Overview, type OverviewOptions } from './overview.ts';

/** An instance whose page takes so long to make; `asked`: by control, before the page is made of it. */
function bench(takesMs: number, asked: () => Promise<void> = async () => {}) {
  let made = 0;
  const state = {
    draining: false,
    ready: true,
    startedAt: new Date(0).toISOString(),
    digest: 'first',
    rooms: [],
    backends: [],
    discovery: [],
    accessLists: [],
    files: { failures: 0, unusable: [] },
    pendingRestart: [],
    cluster: undefined,
    published: { snapshot: undefined },
  };
  const flows = (): number => {
    made += 1;
    for (const endMs = performance.now() + takesMs; performance.now() < endMs; );
    return 0;
  };
  const overview = new Overview({
    outside: { state: async () => ({ ...state }) as unknown as FrontState },
    views: { counters: { flows }, pins: { stats: () => ({ live: 0, capacity: 0 }) } },
    rates: { all: () => ({}) },
    pins: { now: asked },
    version: '1',
  } as unknown as OverviewOptions);
  return { overview, state, made: () => made };
}

test('however many ask, a page that takes long leaves most of the time to others', async () => {
  const { overview, made } = bench(110);
  for (const endMs = performance.now() + 700; performance.now() < endMs; ) {
    await Promise.all([overview.statusText('read'), overview.statusText('write')]);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  expect(made()).toBeLessThanOrEqual(3);
});

test('who asks after a change gets a page that was begun after it', async () => {
  let goOn = (): void => {};
  const waiting = new Promise<void>((resolve) => (goOn = resolve));
  const waits = [waiting];
  const { overview, state } = bench(0, async () => waits.shift());
  const before = overview.status();
  await new Promise((resolve) => setImmediate(resolve));
  state.digest = 'second';
  overview.forget();
  const after = overview.status();
  goOn();
  expect((await before).instance.digest).toBe('first');
  expect((await after).instance.digest).toBe('second');
  expect((await overview.status()).instance.digest).toBe('second');
});
