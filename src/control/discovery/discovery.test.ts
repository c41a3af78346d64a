/** What is kept of what sources say, when it is to be taken into use, and what is told; the clock is the test's. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { parsePlan } from '../../config/load.ts';
import { backendIdsMax, backendsPerPoolMax, foundNamesPerPoolMax } from '../../core/limits.ts';
import type { BackendPlan, Plan } from '../../core/plan.ts';
import { Ids } from '../ids.ts';
import { Discovery } from './discovery.ts';
import type { Looking, Source } from './source.ts';

function planOf(pool: string, listener = 'tcp://127.0.0.1:1'): Plan {
  const result = parsePlan(
    `listeners: [{ name: l, bind: '${listener}', pool: p }]\npools: { p: ${pool} }\n`,
    'f',
  );
  if (!('plan' in result)) throw new Error(JSON.stringify(result.problems));
  return result.plan;
}

const plan = planOf('{ discovery: { type: file, path: /list } }');
const backend = (name: string, more: Partial<BackendPlan> = {}): BackendPlan => ({
  name,
  address: { kind: 'inet', ip: '10.0.0.1', port: 1 },
  weight: 1,
  maxConnections: 0,
  ...more,
});

const watch = vi.fn();
const changed = vi.fn();
const stop = vi.fn();
/** The sources that were started: the test speaks for them. */
let started: Looking<never>[];
let discovery: Discovery;
let ids: Ids;

beforeEach(() => {
  ids = new Ids();
  vi.useFakeTimers();
  for (const one of [watch, changed, stop]) one.mockReset();
  started = [];
  discovery = new Discovery({
    means: { readList: () => ({ refused: '' }), ask: async () => ({ is: 'none', why: '', noName: false }) },
    watch,
    room: (plan) => ids.roomBeside(plan),
    changed,
    kindOf: () => ({
      meaning: '',
      options: {},
      place: () => '/list',
      start: (looking): Source => {
        started.push(looking as Looking<never>);
        return { stop };
      },
    }),
  });
});

afterEach(() => {
  discovery.stop();
  vi.useRealTimers();
});

const events = (): unknown[] => watch.mock.calls.map(([{ event }]) => event);
const namesOf = ({ plan }: { plan: Plan }): string[] => plan.pools[0]!.backends.map(({ name }) => name);

/** A plan is taken into use, with what has been found. */
function use(base: Plan): string[] {
  const applied = discovery.applied(base);
  discovery.settle(base, applied.lists);
  return namesOf(applied);
}

test('a start waits for the first word, and not for long', async () => {
  const done = vi.fn();
  const waiting = discovery.prepare(plan.pools, 3_000).then(done);
  await vi.advanceTimersByTimeAsync(2_999);
  expect(done).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(done).toHaveBeenCalled();
  await waiting;
  expect(use(plan)).toEqual([]);
});

test('a fault is a word as well', async () => {
  const waiting = discovery.prepare(plan.pools, 3_000);
  started[0]!.tell(undefined, 'is wrong');
  await waiting;
  expect(watch.mock.calls).toEqual([
    [{ event: 'discovery-failed', pool: 'p', place: '/list', message: 'is wrong', kept: 0 }],
  ]);
});

test('what comes together is one change, and there is one a second', async () => {
  void discovery.prepare(plan.pools, 0);
  use(plan);
  await vi.advanceTimersByTimeAsync(5_000);
  for (let i = 0; i < 50; i++) started[0]!.tell([backend(`b${i}`)]);
  await vi.advanceTimersByTimeAsync(100);
  expect(changed).toHaveBeenCalledTimes(1);
  expect(use(plan)).toEqual(['b49']);
  for (let i = 0; i < 10; i++) {
    started[0]!.tell([backend(`c${i}`)]);
    await vi.advanceTimersByTimeAsync(90);
  }
  expect(changed).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(100);
  expect(changed).toHaveBeenCalledTimes(2);
  started[0]!.tell([backend('c9')]);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(changed).toHaveBeenCalledTimes(2);
});

test('the last list stays through faults, which are told once each', async () => {
  void discovery.prepare(plan.pools, 0);
  started[0]!.tell([backend('a')]);
  expect(use(plan)).toEqual(['a']);
  for (let i = 0; i < 5; i++) started[0]!.tell(undefined, 'is wrong');
  expect(use(plan)).toEqual(['a']);
  expect(discovery.status()).toMatchObject([{ pool: 'p', found: 1, failures: 5, fault: 'is wrong' }]);
  started[0]!.tell(undefined, 'is wrong otherwise');
  expect(events()).toEqual(['discovery-failed']);
  await vi.advanceTimersByTimeAsync(60_000);
  started[0]!.tell(undefined, 'is wrong otherwise');
  expect(events()).toEqual(['discovery-failed', 'discovery-failed']);
  started[0]!.tell([backend('a')]);
  started[0]!.tell([backend('a')]);
  expect(events()).toEqual(['discovery-failed', 'discovery-failed', 'discovery-restored']);
  expect(discovery.status()[0]).toMatchObject({ fault: null, lastSuccessAt: new Date().toISOString() });
});

test('a reload that leaves it as it was goes on with the list and asks nobody', async () => {
  void discovery.prepare(plan.pools, 0);
  started[0]!.tell([backend('a')]);
  use(plan);
  const other = planOf('{ policy: round-robin, discovery: { type: file, path: /list } }');
  await discovery.prepare(other.pools, 3_000);
  expect(started).toHaveLength(1);
  expect(use(other)).toEqual(['a']);
});

test('one that looks elsewhere has the list of before until it knows better; a refused one leaves no trace', async () => {
  void discovery.prepare(plan.pools, 0);
  started[0]!.tell([backend('a')]);
  use(plan);
  const elsewhere = planOf('{ discovery: { type: file, path: /elsewhere } }');
  void discovery.prepare(elsewhere.pools, 0);
  expect(namesOf(discovery.applied(elsewhere))).toEqual(['a']);
  discovery.settle(plan);
  expect(stop).toHaveBeenCalledTimes(1);
  expect(discovery.status()).toHaveLength(1);
  void discovery.prepare(elsewhere.pools, 0);
  expect(use(elsewhere)).toEqual(['a']);
  expect(stop).toHaveBeenCalledTimes(2);
  started[2]!.tell([backend('b')]);
  expect(use(elsewhere)).toEqual(['b']);
  const without = planOf('{ backends: [{ name: x, address: "10.0.0.9:1" }] }');
  expect(use(without)).toEqual(['x']);
  expect(discovery.status()).toEqual([]);
});

test('what the file lists comes first, and keeps its names', () => {
  const both = planOf(
    '{ backends: [{ name: x, address: "10.0.0.9:1" }], discovery: { type: file, path: /list } }',
  );
  void discovery.prepare(both.pools, 0);
  started[0]!.tell([backend('x'), backend('y')]);
  const { plan: filled } = discovery.applied(both);
  expect(filled.pools[0]!.backends.map(({ name, address }) => [name, address])).toEqual([
    ['x', { kind: 'inet', ip: '10.0.0.9', port: 1 }],
    ['y', { kind: 'inet', ip: '10.0.0.1', port: 1 }],
  ]);
});

test.each([
  ['{ policy: maglev, table_size: 2', /table_size is 2/],
  ['{ policy: ring', /make a ring of 6144160 points/],
  ['{ identity: address', /have 10.0.0.1:1 twice/],
  ['{ policy: round-robin', /unix socket, which cannot serve the UDP listener l/],
])('a list that does not fit the pool (%s) is not taken: the one of before stays', async (pool, why) => {
  const base = planOf(`${pool}, discovery: { type: file, path: /list } }`, 'udp://127.0.0.1:1');
  void discovery.prepare(base.pools, 0);
  started[0]!.tell([backend('a')]);
  expect(use(base)).toEqual(['a']);
  const unix = backend('c', { address: { kind: 'unix', path: '/s' } });
  const wrong = [...Array.from({ length: 150 }, (_, i) => backend(`b${i}`, { weight: 256 })), unix];
  started[0]!.tell(wrong);
  expect(use(base)).toEqual(['a']);
  started[0]!.tell(wrong);
  expect(use(base)).toEqual(['a']);
  expect(watch.mock.calls).toEqual([
    [expect.objectContaining({ event: 'discovery-failed', kept: 1, message: expect.stringMatching(why) })],
  ]);
  started[0]!.tell([backend('b')]);
  expect(use(base)).toEqual(['b']);
  expect(events()).toEqual(['discovery-failed', 'discovery-restored']);
});

test.each([
  ['{ health: { type: tcp }', 0, /have c at 10\.0\.0\.9:same, which has no port of its own/],
  ['{ health: { type: none }', -1, /have c at 10\.0\.0\.9:-1: port 1 and -1 make 0, which is no port/],
])('one on the port that the client came to is judged as in the file (%s)', async (pool, portShift, why) => {
  const base = planOf(`${pool}, discovery: { type: file, path: /list } }`, 'udp://127.0.0.1:1');
  void discovery.prepare(base.pools, 0);
  started[0]!.tell([backend('a')]);
  expect(use(base)).toEqual(['a']);
  started[0]!.tell([backend('c', { address: { kind: 'inet', ip: '10.0.0.9', port: 0, portShift } })]);
  expect(use(base)).toEqual(['a']);
  expect(watch.mock.calls).toEqual([
    [expect.objectContaining({ event: 'discovery-failed', message: expect.stringMatching(why) })],
  ]);
});

test('a reload to a pool that what was found does not fit is refused', () => {
  void discovery.prepare(plan.pools, 0);
  started[0]!.tell([backend('a'), backend('b')]);
  use(plan);
  const narrow = planOf('{ identity: address, discovery: { type: file, path: /list } }');
  void discovery.prepare(narrow.pools, 0);
  expect(() => discovery.applied(narrow)).toThrow(
    /^pools.p.discovery: the backends that are found have 10.0.0.1:1 twice/,
  );
});

test('a pool that finds other names again and again takes none from the others', () => {
  const base = { ...plan, pools: [plan.pools[0]!, { ...plan.pools[0]!, name: 'q' }] };
  void discovery.prepare(base.pools, 0);
  const [hog, other] = started as [Looking<never>, Looking<never>];
  other.tell([backend('x')]);
  let kept: readonly BackendPlan[] = [];
  for (let found = 0; found < backendIdsMax; found += backendsPerPoolMax) {
    hog.tell(Array.from({ length: backendsPerPoolMax }, (_, i) => backend(`b${found + i}`)));
    const applied = discovery.applied(base);
    for (const { name, backends } of applied.plan.pools)
      for (const one of backends) ids.backend(name, one.name);
    discovery.settle(base, applied.lists);
    if (found + backendsPerPoolMax <= foundNamesPerPoolMax) kept = applied.plan.pools[0]!.backends;
    expect(applied.plan.pools[0]!.backends).toEqual(kept);
  }
  expect(events()).toEqual(['discovery-failed']);
  expect(discovery.status()).toMatchObject([
    {
      pool: 'p',
      fault: expect.stringMatching(/^the backends that are found have 4096 new names, and .* restart/),
    },
    { pool: 'q', fault: null },
  ]);
  other.tell([backend('x'), backend('y')]);
  const applied = discovery.applied(base);
  expect(applied.plan.pools[1]!.backends.map(({ name }) => name)).toEqual(['x', 'y']);
  expect(applied.plan.pools[0]!.backends).toEqual(kept);
  hog.tell(kept.slice(0, 3));
  expect(discovery.applied(base).plan.pools[0]!.backends, 'known names need no room').toEqual(
    kept.slice(0, 3),
  );
});

test('what control cannot take is told, and again only when it is another list', () => {
  void discovery.prepare(plan.pools, 0);
  started[0]!.tell([backend('a')]);
  discovery.refused('too many names');
  started[0]!.tell([backend('a')]);
  discovery.refused('too many names');
  expect(events()).toEqual(['discovery-failed']);
  expect(discovery.status()[0]).toMatchObject({ fault: 'too many names' });
  expect(use(plan)).toEqual(['a']);
  expect(events()).toEqual(['discovery-failed', 'discovery-restored']);
});
