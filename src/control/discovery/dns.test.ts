/** Names as backends, and when a name is asked for again; the answers and the clock are the test's. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { RecordAnswer, RecordQuestion, ServiceRecord } from '../../checks/records.ts';
import { namePattern } from '../../config/fields.ts';
import { parsePlan } from '../../config/load.ts';
import type { BackendPlan } from '../../core/plan.ts';
import { addressBackends, type PlacedService, serviceBackends, serviceName } from './dns-backends.ts';
import type { Source } from './source.ts';
import { sourceOf } from './sources.ts';

type Answers = Partial<Record<RecordQuestion['record'], RecordAnswer>>;

const ips = (...found: string[]): RecordAnswer => ({ is: 'found', ips: found, services: [], ttlMs: 60_000 });
const ttl = (ms: number | undefined, answer = ips('10.0.0.1')): RecordAnswer =>
  ({ ...answer, ttlMs: ms }) as RecordAnswer;
/** A record of a service; where its target is may be unknown. */
const service = (target: string, weight: number, more: Partial<ServiceRecord> = {}): PlacedService =>
  ({ target, port: 7, priority: 10, weight, ip: '10.0.0.1', ...more }) as PlacedService;
const services = (...found: ServiceRecord[]): RecordAnswer => ({
  is: 'found',
  ips: [],
  services: found,
  ttlMs: undefined,
});
const none: RecordAnswer = { is: 'none', noName: false, why: 'the name has no A record' };
const silence: RecordAnswer = { is: 'fault', why: 'no name server answers' };

let answers: Answers;
let source: Source | undefined;
const ask = vi.fn(async ({ record }: RecordQuestion): Promise<RecordAnswer> => answers[record] ?? none);
const tell = vi.fn<(backends: readonly BackendPlan[] | undefined, fault?: string) => void>();

beforeEach(() => {
  vi.useFakeTimers();
  ask.mockClear();
  tell.mockReset();
});

afterEach(() => {
  source?.stop();
  vi.useRealTimers();
});

/** As the file has it. */
async function start(options: string): Promise<void> {
  const text = `listeners: [{ name: l, bind: 'udp://127.0.0.1:1', pool: p }]\npools: { p: { discovery: { type: dns, name: n.test, ${options} } } }\n`;
  const result = parsePlan(text, 'f');
  if (!('plan' in result)) throw new Error(JSON.stringify(result.problems));
  const plan = result.plan.pools[0]!.discovery!;
  source = sourceOf('dns')!.start({
    options: plan.options,
    means: { ask, readList: () => ({ refused: '' }) },
    tell,
  });
  await vi.advanceTimersByTimeAsync(0);
}

/** What was told last: names, and the fault. */
function told(): unknown {
  const [backends, fault] = tell.mock.lastCall ?? [];
  return [backends?.map(({ name }) => name), fault];
}

/** After how many milliseconds it asks again. */
async function againAfter(): Promise<number> {
  const asked = ask.mock.calls.length;
  for (let ms = 500; ms <= 600_000; ms += 500) {
    await vi.advanceTimersByTimeAsync(500);
    if (ask.mock.calls.length > asked) return ms;
  }
  return Number.POSITIVE_INFINITY;
}

test('all addresses, whatever the order, under names that stay', async () => {
  answers = { A: ips('10.0.0.2', '10.0.0.1'), AAAA: ips('2001:db8::1') };
  await start('port: 5432');
  const names = ['10.0.0.1:5432', '10.0.0.2:5432', 'ip6:[2001:db8::1]:5432'];
  expect(told()).toEqual([names, undefined]);
  answers = { A: ips('10.0.0.1', '10.0.0.2'), AAAA: ips('2001:db8::1') };
  await vi.advanceTimersByTimeAsync(60_000);
  expect(tell).toHaveBeenCalledTimes(2);
  expect(told()).toEqual([names, undefined]);
  for (const name of names) expect(name).toMatch(namePattern);
  expect(addressBackends(['10.0.0.1', '10.0.0.1'], 1, 9)).toEqual([
    { name: '10.0.0.1:1', address: { kind: 'inet', ip: '10.0.0.1', port: 1 }, weight: 1, maxConnections: 9 },
  ]);
});

test.each([
  [undefined, 300_000],
  [0, 5_000],
  [20_000, 20_000],
  [86_400_000, 300_000],
])('a TTL of %s ms is kept within floor and cap', async (ms, due) => {
  answers = { A: ttl(ms) };
  await start('record: A, port: 1');
  expect(await againAfter()).toBe(due);
});

test('floor and cap may be others; the shortest TTL counts', async () => {
  answers = { A: ttl(9_000), AAAA: ttl(3_000, ips('::1')) };
  await start('port: 1, refresh: { min: 2s, max: 8s }');
  expect(await againAfter()).toBe(3_000);
});

test('while nobody answers it asks at the floor first, then less and less often', async () => {
  answers = { A: silence };
  await start('record: A, port: 1');
  const waits = [];
  for (let i = 0; i < 5; i++) waits.push(await againAfter());
  expect(waits).toEqual([5_000, 10_000, 20_000, 30_000, 30_000]);
  expect(told()).toEqual([undefined, 'A: no name server answers']);
  answers = { A: ttl(7_000) };
  await againAfter();
  expect(told()).toEqual([['10.0.0.1:1'], undefined]);
  expect(await againAfter()).toBe(7_000);
});

test('no such name, and no record, is a fault that says so', async () => {
  answers = {};
  await start('port: 1');
  expect(told()).toEqual([undefined, 'the name has no A record']);
});

test('a kind that nobody answers for keeps what it had; one that is gone is gone', async () => {
  answers = { A: ips('10.0.0.1'), AAAA: ips('2001:db8::1') };
  await start('port: 1');
  answers = { A: ips('10.0.0.2'), AAAA: silence };
  await againAfter();
  expect(told()).toEqual([['10.0.0.2:1', 'ip6:[2001:db8::1]:1'], 'AAAA: no name server answers']);
  answers = { A: ips('10.0.0.2') };
  await againAfter();
  expect(told()).toEqual([['10.0.0.2:1'], undefined]);
  // That there is no such name cannot be true while it has an address.
  answers = { A: { is: 'none', why: 'there is no such name (NXDOMAIN)', noName: true }, AAAA: ips('::1') };
  await againAfter();
  expect(told()).toEqual([['10.0.0.2:1', 'ip6:[::1]:1'], 'A: there is no such name (NXDOMAIN)']);
  answers = { A: none, AAAA: silence };
  await againAfter();
  expect(told()).toEqual([undefined, 'AAAA: no name server answers, the name has no A record']);
});

test('servers of a service keep their names when they move, and their place while nobody says where they are', async () => {
  answers = { SRV: services(service('b.test', 1, { ip: '10.0.0.2' }), service('a.test', 1)) };
  await start('record: SRV');
  expect(told()).toEqual([['a.test:7', 'b.test:7'], undefined]);
  answers = {
    SRV: services(
      service('a.test', 1, { ip: '10.0.0.9' }),
      service('b.test', 1, { ip: undefined }),
      service('c.test', 1, { ip: undefined }),
    ),
  };
  await againAfter();
  expect(told()).toEqual([['a.test:7', 'b.test:7'], 'nobody says where its target b.test is, and 1 more']);
  expect(tell.mock.lastCall![0]!.map(({ address }) => (address as { ip: string }).ip)).toEqual([
    '10.0.0.9',
    '10.0.0.2',
  ]);
  answers = { SRV: services(service('a.test', 1)) };
  await againAfter();
  expect(told()).toEqual([['a.test:7'], undefined]);
  expect(await againAfter()).toBe(30_000);
});

test('a source that was stopped tells nothing any more', async () => {
  let answer: (answer: RecordAnswer) => void = () => {};
  ask.mockImplementationOnce(() => new Promise((resolve) => (answer = resolve)));
  await start('record: A, port: 1');
  source?.stop();
  answer(ips('10.0.0.1'));
  await vi.advanceTimersByTimeAsync(600_000);
  expect(tell).not.toHaveBeenCalled();
  expect(ask).toHaveBeenCalledTimes(1);
});

test.each([
  ['all equal', [0, 0, 0], [1, 1, 1]],
  ['all equal and large', [1_000, 1_000], [1, 1]],
  ['in our range', [1, 5, 256], [1, 5, 256]],
  ['0 among others: a very small chance', [0, 5, 10], [1, 50, 100]],
  ['out of our range', [65_535, 655, 1], [100, 1, 1]],
])('weights: %s', (_, weights, ours) => {
  const found = serviceBackends(
    weights.map((weight, i) => service(`s${i}`, weight)),
    0,
  );
  expect(found.map(({ weight }) => weight)).toEqual(ours);
});

test('priorities are tiers in their order, with weights of their own', () => {
  const found = serviceBackends(
    [
      service('c', 60_000, { priority: 65_535 }),
      service('a', 3, { priority: 0 }),
      service('b', 20, { priority: 7 }),
      service('b2', 10, { priority: 7 }),
      service('a', 1, { priority: 7 }),
    ],
    0,
  );
  expect(found.map(({ name, priority, weight }) => [name, priority, weight])).toEqual([
    ['a:7', undefined, 1],
    ['b2:7', 2, 10],
    ['b:7', 2, 20],
    ['c:7', 3, 1],
  ]);
});

test('a target that is no name for us, or too long, gets one that is, and another target another', () => {
  const long = `${'pod-0123456789'.repeat(5)}.svc.cluster.local`;
  const names = [long, `${long}x`, '-a', '_a', '\\003\n', 'a b'].map((target) => serviceName(target, 65_535));
  for (const name of names) expect(name).toMatch(namePattern);
  expect(new Set(names).size).toBe(names.length);
  expect(serviceName('a.example.org', 53)).toBe('a.example.org:53');
});
