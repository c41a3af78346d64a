/** Backends given by name, and a resolver that is in trouble or late. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { CheckTurns } from '../checks/check-turns.ts';
import { HealthChecker } from '../checks/checker.ts';
import type { Checks } from '../checks/client.ts';
import { type CheckResult, dialect, failed, passed } from '../checks/dialect.ts';
import type { Target } from '../checks/resolve.ts';
import { BackendStates } from '../core/backend-states.ts';
import type { BackendAddress, Bind, PoolPlan } from '../core/plan.ts';
import { poolPlan } from '../engine/conformance/listener.ts';
import { Backends } from './backends.ts';
import { Ids } from './ids.ts';
import { OperatorWords } from './operator-words.ts';

const first = { kind: 'inet', ip: '127.0.0.1', port: 1 } satisfies Bind;
const second = { kind: 'inet', ip: '127.0.0.2', port: 1 } satisfies Bind;
const byName: BackendAddress = { kind: 'name', host: 'db.example', port: 1 };

function poolOf(address: BackendAddress): PoolPlan[] {
  return [{ ...poolPlan({}), backends: [{ name: 'a', address, weight: 1, maxConnections: 0 }] }];
}

/** What a check finds at an address. */
const ask = vi.fn<(at: Bind) => Promise<CheckResult>>();
const refused = failed('refused', 'ECONNREFUSED');
const played = dialect({ meaning: 'the test says so', options: {}, ask: ({ target }) => ask(target) });
/** The checks room without its thread. */
const resolveAddress = vi.fn<Checks['resolve']>();
const checks: Checks = {
  resolve: resolveAddress,
  check: (plan, target, wasUp, delayMs, onVerdict, onChecked = () => {}) => {
    const turns = new CheckTurns();
    const checker = new HealthChecker({ plan, dialect: played, target, wasUp, turns, onVerdict, onChecked });
    checker.start(delayMs);
    return checker;
  },
};
/** Of a backend without an address: no TCP flow is open by it, and what is open by the last one is another matter. */
const nowhere = { target: undefined, upstream: undefined };
const unreachable = { protocol: 'udp', cause: 'unreachable', why: 'its port was unreachable' } as const;
const dialFailed = { protocol: 'tcp', cause: 'dial', why: 'connections could not be made' } as const;
const passiveFor = (ejectMs: number): PoolPlan['passive'] => ({
  ...poolPlan({}).passive,
  failures: 3,
  ejectMs,
  ejectMsMax: ejectMs * 5,
});
const endFlows = vi.fn();
const keepFlows = vi.fn();
const watch = vi.fn();
const onMoved = vi.fn();
const countFormer = vi.fn(async () => undefined);
let backends: Backends;
let states: BackendStates;
let datagrams: Record<number, { sent: number; replies: number }> = {};
/** Clients that send and are not answered. */
let senders = 3;
let flows: Record<number, number> = {};

beforeEach(() => {
  vi.useFakeTimers();
  // Checks begin at a time of their own within the first moments.
  vi.spyOn(Math, 'random').mockReturnValue(0.5);
  datagrams = {};
  senders = 3;
  flows = {};
  endFlows.mockReset();
  keepFlows.mockReset();
  watch.mockReset();
  onMoved.mockReset();
  vi.mocked(resolveAddress).mockReset();
  ask.mockReset();
  states = new BackendStates();
  backends = new Backends({
    ids: new Ids(),
    words: new OperatorWords('', false),
    states,
    watch,
    checks,
    endFlows,
    keepFlows,
    onMoved,
    countFormer,
    datagrams: (id) => datagrams[id] ?? { sent: 0, replies: 0 },
    sendersTo: async () => senders,
    flowsOf: (id) => flows[id] ?? 1,
    checkTook: () => undefined,
    nowMs: () => Date.now(),
  });
});

afterEach(() => {
  backends.stop();
  vi.mocked(Math.random).mockRestore();
  vi.useRealTimers();
});

const use = async (pools: PoolPlan[]): Promise<void> => backends.change(pools, await backends.add(pools));
/** A resolver that answers when the test says so. */
function lateAnswer(): (found: Target) => void {
  let answer: (found: Target) => void = () => {};
  const late = new Promise<Target>((resolve) => (answer = resolve));
  vi.mocked(resolveAddress).mockImplementation((address) =>
    address.kind === 'name' ? late : Promise.resolve(address),
  );
  return answer;
}

const target = (pools: PoolPlan[]): Bind | undefined => backends.views(pools[0]!)[0]!.target;

test('a reload while the resolver is in trouble keeps the last address, and the flows', async () => {
  const pools = poolOf(byName);
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(pools);
  vi.mocked(resolveAddress).mockResolvedValue(undefined);
  await use(poolOf(byName));
  expect(target(pools)).toEqual(first);
  expect(backends.status()).toMatchObject([{ up: true }]);
  expect(endFlows).not.toHaveBeenCalled();
});

test('another name that does not resolve does not inherit the address', async () => {
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(poolOf(byName));
  vi.mocked(resolveAddress).mockResolvedValue(undefined);
  const pools = poolOf({ ...byName, host: 'other.example' });
  await use(pools);
  expect(target(pools)).toBeUndefined();
});

test('what is found beside a name asks for nothing that is known, nor puts its turn off', async () => {
  const [pool] = poolOf(byName);
  const found = (name: string) => ({ ...pool!.backends[0]!, name, address: second });
  vi.mocked(resolveAddress).mockImplementation(async (address) =>
    address.kind === 'name' ? first : address,
  );
  const asked = (): number =>
    vi.mocked(resolveAddress).mock.calls.filter(([address]) => address.kind === 'name').length;
  await use([pool!]);
  for (let i = 0; i < 29; i++) {
    const pools = [{ ...pool!, backends: [...pool!.backends, found(`f${i}`)] }];
    backends.change(pools, await backends.add(pools, true), true);
    backends.settle(pools);
    await vi.advanceTimersByTimeAsync(1_000);
  }
  expect(asked()).toBe(1);
  expect(backends.status().map(({ backend, at }) => [backend, at])).toEqual([
    ['a', '127.0.0.1:1'],
    ['f28', '127.0.0.2:1'],
  ]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(asked()).toBe(2);
});

test('a list that was being taken into use puts no backend back where it was', async () => {
  const [pool] = poolOf(byName);
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use([pool!]);
  const targets = await backends.add([pool!], true);
  vi.mocked(resolveAddress).mockResolvedValue(second);
  await vi.advanceTimersByTimeAsync(31_000);
  expect(backends.status()).toMatchObject([{ at: '127.0.0.2:1' }]);
  backends.change([pool!], targets, true);
  expect(backends.status()).toMatchObject([{ at: '127.0.0.2:1' }]);
});

test('a found name whose answer is late keeps the others waiting for a second', async () => {
  const [pool] = poolOf(byName);
  lateAnswer();
  const adding = vi.fn();
  void backends.add([pool!], true).then(adding);
  await vi.advanceTimersByTimeAsync(999);
  expect(adding).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(adding).toHaveBeenCalled();
});

test('a slow start is for who has been down, not for the start nor for a reload', async () => {
  const [pool] = poolOf(first);
  const health = { ...pool!.health, type: 'tcp' as const, rise: 1, fall: 1 };
  const other = { ...pool!.backends[0]!, name: 'b', address: second };
  const pools = [{ ...pool!, health, slowStartMs: 10_000, backends: [pool!.backends[0]!, other] }];
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  ask.mockResolvedValue(passed);
  const slow = (): (number | null)[] => backends.status().map(({ slowStart }) => slowStart);
  await use(pools);
  await vi.advanceTimersByTimeAsync(1_100);
  expect(backends.status()).toMatchObject([{ up: true }, { up: true }]);
  expect(slow()).toEqual([null, null]);
  await use(pools);
  expect(slow()).toEqual([null, null]);

  ask.mockImplementation(async (bind) => (bind === second ? refused : passed));
  await vi.advanceTimersByTimeAsync(1_100);
  expect(backends.status()).toMatchObject([{ up: true }, { up: false, slowStart: null }]);
  ask.mockResolvedValue(passed);
  await vi.advanceTimersByTimeAsync(1_100);
  expect(slow()).toEqual([null, expect.toSatisfy((share) => share >= 0.1 && share < 0.3)]);
  await use(pools);
  expect(slow()[1], 'a reload leaves it alone').toBeLessThan(0.3);

  const third = { ...other, name: 'c', address: { ...second, port: 3 } };
  await use([{ ...pools[0]!, backends: [...pools[0]!.backends, third] }]);
  await vi.advanceTimersByTimeAsync(1_100);
  expect(slow()[2], 'one that is added is as cold as one that was down').toBeLessThan(0.3);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(slow()).toEqual([null, null, null]);
});

test('a slow start is over when its backend goes down, or goes with its pool: nothing of it is left behind', async () => {
  const [pool] = poolOf(first);
  const health = { ...pool!.health, type: 'tcp' as const, rise: 1, fall: 1 };
  const other = { ...pool!.backends[0]!, name: 'b', address: second, weight: 10 };
  const pools = [{ ...pool!, health, slowStartMs: 600_000, backends: [pool!.backends[0]!, other] }];
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  const find = async (...results: CheckResult[]): Promise<void> => {
    for (const result of results) {
      ask.mockImplementation(async (bind) => (bind === second ? result : passed));
      await vi.advanceTimersByTimeAsync(1_100);
    }
  };
  await use(pools);
  await find(passed, refused, passed);
  const { id } = backends.views(pools[0]!)[1]!;
  expect(backends.status()[1]!.slowStart, 'it has begun').toBeLessThan(0.3);
  expect(states.weight(id)).toBeLessThan(3);

  // Where all are down clients are sent to those that are down, each by its whole weight.
  await find(refused);
  expect(backends.status()[1]).toMatchObject({ up: false, slowStart: null });
  expect(states.weight(id)).toBe(10);

  await find(passed);
  expect(backends.status()[1]!.slowStart).toBeLessThan(0.3);
  await use([]);
  backends.settle([]);
  // Who comes with its pool begins whole.
  await use(pools);
  await find(passed);
  expect(backends.status()[1]).toMatchObject({ up: true, slowStart: null });
  expect(states.weight(id)).toBe(10);
});

test('an answer that comes after a reload gave another address is not used', async () => {
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(poolOf(byName));
  let answer: (bind: Bind) => void = () => {};
  vi.mocked(resolveAddress).mockReturnValueOnce(new Promise((resolve) => (answer = resolve)));
  await vi.advanceTimersByTimeAsync(30_000);
  vi.mocked(resolveAddress).mockResolvedValue(second);
  const pools = poolOf(second);
  await use(pools);
  answer({ ...first, ip: '127.0.0.9' });
  await vi.advanceTimersByTimeAsync(1);
  expect(target(pools)).toEqual(second);
});

test('a name that is late is waited for no longer, and used as soon as it resolves', async () => {
  const [pool] = poolOf(byName);
  const health = { ...pool!.health, type: 'tcp' as const };
  const other = { ...pool!.backends[0]!, name: 'b', address: second };
  const pools = [{ ...pool!, health, backends: [pool!.backends[0]!, other] }];
  ask.mockImplementation(async (bind) => (bind === second ? passed : refused));
  const answer = lateAnswer();
  const used = use(pools);
  await vi.advanceTimersByTimeAsync(7_000);
  await used;
  await vi.advanceTimersByTimeAsync(10);
  expect(backends.status()).toMatchObject([{ up: false, reason: 'unresolved' }, { up: true }]);
  expect(watch).toHaveBeenCalledExactlyOnceWith({
    event: 'backend-down',
    pool: 'pool',
    backend: 'a',
    reason: 'unresolved',
    why: expect.stringMatching(/: no name server has answered yet$/),
  });
  expect(onMoved).not.toHaveBeenCalled();
  answer(first);
  await vi.advanceTimersByTimeAsync(0);
  expect(target(pools)).toEqual(first);
  expect(backends.status()).toMatchObject([{ up: false, reason: 'unchecked' }, { up: true }]);
  expect(onMoved).toHaveBeenCalledOnce();
  await vi.advanceTimersByTimeAsync(500);
  expect(backends.status(), 'nobody had looked at it: one check tells').toMatchObject([
    { up: false, reason: 'refused' },
    {},
  ]);
});

test('a reload keeps the last address of a name that is late, and has the new one as soon as it comes', async () => {
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(poolOf(byName));
  const answer = lateAnswer();
  const pools = poolOf(byName);
  const used = use(pools);
  await vi.advanceTimersByTimeAsync(7_000);
  await used;
  expect(target(pools)).toEqual(first);
  answer(second);
  await vi.advanceTimersByTimeAsync(0);
  expect(target(pools)).toEqual(second);
  expect(endFlows).not.toHaveBeenCalled();
});

test('a backend that moves to a name nobody answers for serves where it was until there is an answer', async () => {
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(poolOf(first));
  for (const found of [second, undefined]) {
    const answer = lateAnswer();
    const pools = poolOf({ ...byName, host: `${found?.ip ?? 'no'}.example` });
    const used = use(pools);
    await vi.advanceTimersByTimeAsync(7_000);
    await used;
    expect(backends.status()).toMatchObject([{ up: true }]);
    expect(target(pools)).toEqual(first);
    expect(endFlows).not.toHaveBeenCalled();
    // The resolver gives up; it is asked again later.
    answer('unanswered');
    await vi.advanceTimersByTimeAsync(0);
    expect(target(pools)).toEqual(first);
    vi.mocked(resolveAddress).mockResolvedValue(found);
    await vi.advanceTimersByTimeAsync(30_001);
    expect(target(pools)).toEqual(found);
    expect(backends.status()).toMatchObject([{ up: found !== undefined }]);
    if (found === undefined) continue;
    // And it keeps that address when the resolver is in trouble later.
    vi.mocked(resolveAddress).mockResolvedValue(undefined);
    await vi.advanceTimersByTimeAsync(30_000);
    expect(target(pools)).toEqual(second);
    vi.mocked(resolveAddress).mockResolvedValue(first);
    await use(poolOf(first));
  }
  expect(told().at(-1)).toBe('pool-down');
  expect(onMoved).toHaveBeenCalledTimes(2);
});

test('an ejected backend keeps its TCP flows until its check says that it is gone', async () => {
  const [pool] = poolOf(first);
  const passive = passiveFor(60_000);
  const other = { ...pool!.backends[0]!, name: 'b' };
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  await use([{ ...pool!, passive, backends: [pool!.backends[0]!, other] }]);
  backends.suspect(1, dialFailed);
  expect(backends.status()).toMatchObject([{ up: false, ejected: true }, { up: true }]);
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'backend-down', {
    protocol: 'udp',
    connectedBeforeMs: Date.now(),
  });
  // A reload points it to a name that does not resolve.
  vi.mocked(resolveAddress).mockResolvedValueOnce(undefined);
  await use([{ ...pool!, passive, backends: [{ ...pool!.backends[0]!, address: byName }, other] }]);
  expect(endFlows).toHaveBeenCalledTimes(2);
  expect(endFlows).toHaveBeenLastCalledWith(1, 'backend-down', {
    connectedBeforeMs: Date.now(),
    way: nowhere,
  });
});

test('an ejection is not carried over to another address, given or resolved', async () => {
  const [pool] = poolOf(first);
  const passive = passiveFor(600_000);
  const other = { ...pool!.backends[0]!, name: 'b' };
  const withFirstAt = (address: BackendAddress): PoolPlan[] => [
    { ...pool!, passive, backends: [{ ...pool!.backends[0]!, address }, other] },
  ];
  vi.mocked(resolveAddress).mockImplementation(async (address) =>
    address.kind === 'name' ? first : (address as Bind),
  );
  await use(withFirstAt(first));
  backends.suspect(1, unreachable);
  await use(withFirstAt(first));
  expect(backends.status()[0]).toMatchObject({ up: false, ejected: true });
  await use(withFirstAt(second));
  expect(backends.status()[0]).toMatchObject({ up: true, ejected: false });
  expect(watch).toHaveBeenLastCalledWith(
    expect.objectContaining({ event: 'backend-up', why: 'it is at another address' }),
  );

  await use(withFirstAt(byName));
  backends.suspect(1, unreachable);
  expect(backends.status()[0]).toMatchObject({ up: false, ejected: true });
  vi.mocked(resolveAddress).mockResolvedValue(second);
  await vi.advanceTimersByTimeAsync(31_000);
  expect(backends.status()[0]).toMatchObject({ up: true, ejected: false });
});

test('the last backend that takes newcomers is not ejected, also while another one drains', async () => {
  const [pool] = poolOf(first);
  const passive = passiveFor(60_000);
  const others = ['b', 'c'].map((name) => ({ ...pool!.backends[0]!, name, weight: name === 'c' ? 0 : 1 }));
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use([{ ...pool!, passive, backends: [pool!.backends[0]!, ...others] }]);
  backends.operate('pool', 'a', { state: 'drain' });
  backends.suspect(2, unreachable);
  expect(backends.status()).toMatchObject([{ up: true }, { up: true, ejected: false }, { up: true }]);
  expect(endFlows).not.toHaveBeenCalled();
  backends.suspect(1, unreachable);
  expect(backends.status(), 'one that drains may be').toMatchObject([{ ejected: true }, { up: true }, {}]);
});

test.each([
  ['drains', async () => void backends.operate('pool', 'b', { state: 'drain' })],
  ['is removed', async (one: PoolPlan[]) => use(one).then(() => backends.settle(one))],
  ['has weight 0', async (_: PoolPlan[], light: PoolPlan[]) => use(light)],
])('an ejected backend is back at once when the other one %s', async (_, act) => {
  const [pool] = poolOf(first);
  const passive = passiveFor(60_000);
  const a = pool!.backends[0]!;
  const poolWith = (...others: (typeof a)[]): PoolPlan[] => [{ ...pool!, passive, backends: [a, ...others] }];
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(poolWith({ ...a, name: 'b' }));
  backends.suspect(1, unreachable);
  expect(backends.status()).toMatchObject([{ up: false, ejected: true }, { up: true }]);
  await act(poolWith(), poolWith({ ...a, name: 'b', weight: 0 }));
  expect(backends.status()[0]).toMatchObject({ up: true, ejected: false });
  expect(watch).toHaveBeenCalledWith({
    event: 'backend-up',
    pool: 'pool',
    backend: 'a',
    why: 'nobody else in its pool takes new clients',
  });
});

test('a backend that the workers do not know yet does not let another one be ejected', async () => {
  const [pool] = poolOf(first);
  const passive = passiveFor(60_000);
  vi.mocked(resolveAddress).mockResolvedValue(first);
  const alone = [{ ...pool!, passive }];
  await use(alone);
  const both = [{ ...pool!, passive, backends: [pool!.backends[0]!, { ...pool!.backends[0]!, name: 'b' }] }];
  const targets = await backends.add(both);
  backends.suspect(1, unreachable);
  expect(backends.status()).toMatchObject([{ up: true, ejected: false }, { up: true }]);
  backends.change(both, targets);
  backends.suspect(1, unreachable);
  expect(backends.status()).toMatchObject([{ up: false, ejected: true }, { up: true }]);
});

test('a grace period ends the flows from before it, and a reload may end or cancel it', async () => {
  const [pool] = poolOf(byName);
  const on = (action: 'close' | 'keep', graceMs = 0): PoolPlan[] => [
    { ...pool!, onDown: { action, graceMs } },
  ];
  const elsewhere = (pools: PoolPlan[], port: number): PoolPlan[] =>
    pools.map((one) => ({ ...one, backends: [{ ...one.backends[0]!, address: { ...byName, port } }] }));
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(on('close', 5_000));
  vi.mocked(resolveAddress).mockResolvedValue(undefined);
  const wentDownAtMs = Date.now();
  await use(elsewhere(on('close', 5_000), 2));
  await vi.advanceTimersByTimeAsync(4_999);
  expect(endFlows).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'backend-down', {
    connectedBeforeMs: wentDownAtMs,
    way: nowhere,
  });

  endFlows.mockReset();
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(elsewhere(on('close', 5_000), 3));
  vi.mocked(resolveAddress).mockResolvedValue(undefined);
  const reload = async (pools: PoolPlan[]): Promise<void> => {
    await use(elsewhere(pools, 4));
    backends.settle(elsewhere(pools, 4));
  };
  await reload(on('close', 5_000));
  const downAgainAtMs = Date.now();
  await vi.advanceTimersByTimeAsync(3_000);
  await reload(on('keep'));
  await vi.advanceTimersByTimeAsync(10_000);
  expect(endFlows).not.toHaveBeenCalled();
  // What is left of the grace counts from when it went down, and so does who is meant.
  await reload(on('close', 15_000));
  await vi.advanceTimersByTimeAsync(1_999);
  expect(endFlows).not.toHaveBeenCalled();
  await reload(on('close', 15_000));
  await vi.advanceTimersByTimeAsync(1);
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'backend-down', {
    connectedBeforeMs: downAgainAtMs,
    way: nowhere,
  });
});

test('a name that moves while its backend is down: the new address comes up', async () => {
  const [pool] = poolOf(byName);
  const health = { ...pool!.health, type: 'tcp' as const, intervalMs: 100, timeoutMs: 100 };
  const checked = ask;
  checked.mockImplementation(async (bind) => (bind === second ? passed : refused));
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use([{ ...pool!, health }]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(backends.status()).toMatchObject([{ up: false }]);
  vi.mocked(resolveAddress).mockResolvedValue(second);
  await vi.advanceTimersByTimeAsync(31_000);
  expect(backends.status()).toMatchObject([{ up: true }]);
});

test('until nothing can refuse the pools any more only what is new in them is there', async () => {
  const [pool] = poolOf(byName);
  const health = { ...pool!.health, type: 'tcp' as const, intervalMs: 100, timeoutMs: 100 };
  ask.mockResolvedValue(refused);
  vi.mocked(resolveAddress).mockResolvedValue(first);
  const one = pool!.backends[0]!;
  const up = { ...pool!, name: 'up' };
  const old = [up, { ...pool!, name: 'down', health }];
  await use(old);
  await vi.advanceTimersByTimeAsync(1_000);
  const before = backends.status();
  expect(before).toMatchObject([{ up: true }, { up: false }]);
  watch.mockReset();
  endFlows.mockReset();

  vi.mocked(resolveAddress).mockResolvedValue(undefined);
  const elsewhere = { ...one, address: { ...byName, host: 'other.example' }, weight: 2 };
  const fresh = { ...one, name: 'b', address: { ...byName, host: 'new.example' } };
  const next = [
    { ...up, backends: [elsewhere, fresh] },
    { ...pool!, name: 'down' },
  ];
  const targets = await backends.add(next);
  expect(backends.status()).toEqual([...before, expect.objectContaining({ backend: 'b' })]);
  backends.settle(old);
  expect(backends.status()).toEqual(before);
  expect(endFlows, 'of what is gone again').toHaveBeenCalledExactlyOnceWith(3, 'backend-removed');
  expect(told()).toEqual(['backend-down']);

  await backends.add(next);
  backends.change(next, targets);
  expect(backends.status()).toMatchObject([
    { up: false, weight: 2 },
    { pool: 'down', up: true },
    { backend: 'b' },
  ]);
});

test('what brings a backend up at a reload is told as it is', async () => {
  const [pool] = poolOf(first);
  const health = { ...pool!.health, type: 'tcp' as const, intervalMs: 100, timeoutMs: 100 };
  ask.mockResolvedValue(refused);
  vi.mocked(resolveAddress).mockImplementation(async (address) =>
    address.kind === 'name' ? undefined : address,
  );
  const why = () => watch.mock.calls.flatMap(([{ event, why }]) => (event === 'backend-up' ? [why] : []));
  await use([{ ...pool!, health }]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(backends.status()).toMatchObject([{ up: false }]);
  await use(poolOf(first));
  expect(why()).toEqual(['its pool has no check any more']);
  await use(poolOf(byName));
  expect(backends.status()).toMatchObject([{ up: false }]);
  await use(poolOf(first));
  expect(why().slice(1)).toEqual(['its address is given']);
  await use(poolOf(byName));
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(poolOf(byName));
  expect(why().slice(2)).toEqual(['its name resolves']);
});

test('what the pools leave out stays until that is settled', async () => {
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(poolOf(byName));
  backends.operate('pool', 'a', { state: 'drain' });
  const emptied = poolOf(byName).map((pool) => ({ ...pool, backends: [] }));
  await use(emptied);
  expect(backends.status()).toMatchObject([{ up: true, draining: true }]);
  expect(endFlows).not.toHaveBeenCalled();
  backends.settle(emptied);
  expect(backends.status()).toEqual([]);
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'backend-removed');
});

/** What has been told of pools, and whether their backends are up. */
const told = (): string[] =>
  watch.mock.calls.map(([event]) => event.event).filter((event) => /^pool-|-up$|-down$/.test(event));

test('a pool is down when every backend is known to be down, and up with the first that is', async () => {
  const [pool] = poolOf(byName);
  const health = { ...pool!.health, type: 'tcp' as const, intervalMs: 100, timeoutMs: 100 };
  const others = [first, second].map((address, i) => ({ ...pool!.backends[0]!, name: `b${i}`, address }));
  const pools = [{ ...pool!, health, backends: [pool!.backends[0]!, ...others] }];
  let isServing = false;
  const serve = ask;
  serve.mockImplementation(async () => (isServing ? passed : refused));
  const resolve = vi.mocked(resolveAddress);
  resolve.mockImplementation(async (address) => (address.kind === 'name' ? undefined : address));
  await use(pools);
  backends.settle(pools);
  expect(told(), 'two have not been looked at yet').toEqual(['backend-down']);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told()).toEqual(['backend-down', 'backend-down', 'backend-down', 'pool-down']);
  watch.mockReset();
  isServing = true;
  await vi.advanceTimersByTimeAsync(1_000);
  expect(told()).toEqual(['backend-up', 'pool-up', 'backend-up']);
});

test('a reload that takes away the last backend that is up, or the pool, or brings one, is told as it is', async () => {
  const pools = poolOf(byName);
  const [one] = pools[0]!.backends;
  const both = [{ ...pools[0]!, backends: [one!, { ...one!, name: 'b', address: first }] }];
  vi.mocked(resolveAddress).mockImplementation(async (address) =>
    address.kind === 'name' ? undefined : address,
  );
  const reload = async (next: PoolPlan[]): Promise<string[]> => {
    watch.mockReset();
    await use(next);
    backends.settle(next);
    return told();
  };
  expect(await reload(both)).toEqual(['backend-down']);
  expect(await reload(pools)).toEqual(['pool-down']);
  expect(await reload(pools)).toEqual([]);
  expect(await reload(both)).toEqual(['pool-up']);
  expect(await reload(pools)).toEqual(['pool-down']);
  expect(await reload([])).toEqual([]);
  expect(await reload(pools)).toEqual(['backend-down', 'pool-down']);
});

test('TCP flows on the old address are ended when the pool says so, once the workers know the new one', async () => {
  const closing = (address: BackendAddress): PoolPlan[] =>
    poolOf(address).map((pool) => ({ ...pool, onAddressChange: { action: 'close', graceMs: 0 } }));
  vi.mocked(resolveAddress).mockResolvedValue(first);
  await use(closing(byName));
  vi.mocked(resolveAddress).mockResolvedValue(second);
  onMoved.mockImplementation(() => expect(endFlows).not.toHaveBeenCalled());
  await vi.advanceTimersByTimeAsync(30_001);
  expect(onMoved).toHaveBeenCalledOnce();
  const way = { target: first, upstream: undefined };
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'address-changed', { way, protocol: 'tcp' });
  expect(backends.status()).toMatchObject([
    { up: true, at: '127.0.0.2:1', former: [{ address: '127.0.0.1:1', up: true, flows: 1 }] },
  ]);
});

test('a reload that changes how connections leave leaves the open ones on a former way', async () => {
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  const upstream = { sources: [], transparent: false, mark: 7 };
  const marked = poolOf(first).map((pool) => ({ ...pool, upstream }));
  await use(marked);
  await use(marked);
  expect(backends.status()).toMatchObject([{ former: [] }]);
  await use(poolOf(first));
  backends.settle(poolOf(first));
  expect(backends.status()).toMatchObject([{ at: '127.0.0.1:1', former: [{ address: '127.0.0.1:1' }] }]);
  expect(endFlows).not.toHaveBeenCalled();
});

test('a backend that goes down at its new address costs nobody at the old one', async () => {
  const health = {
    ...poolOf(first)[0]!.health,
    type: 'tcp' as const,
    intervalMs: 100,
    timeoutMs: 100,
    fall: 1,
  };
  const checked = (address: Bind): PoolPlan[] => poolOf(address).map((pool) => ({ ...pool, health }));
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  ask.mockImplementation(async (bind) => (bind.kind === 'inet' && bind.ip === second.ip ? refused : passed));
  await use(checked(first));
  await vi.advanceTimersByTimeAsync(10);
  await use(checked(second));
  backends.settle(checked(second));
  await vi.advanceTimersByTimeAsync(1_000);
  expect(backends.status()).toMatchObject([{ up: false, former: [{ up: true }] }]);
  expect(endFlows.mock.calls.map(([, code, { way }]) => [code, way.target])).toEqual([
    ['backend-down', second],
  ]);
  // The old server dies as well.
  ask.mockResolvedValue(refused);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(endFlows).toHaveBeenLastCalledWith(1, 'backend-down', {
    way: { target: first, upstream: undefined },
    protocol: 'tcp',
  });
  expect(watch).toHaveBeenCalledWith(
    expect.objectContaining({ event: 'address-down', address: '127.0.0.1:1' }),
  );
});

test('with close_over flows end over a time, and a backend that is up again keeps the rest', async () => {
  const health = { ...poolOf(first)[0]!.health, type: 'tcp' as const, fall: 1, rise: 1 };
  const paced = (address: Bind): PoolPlan[] =>
    poolOf(address).map((pool) => ({ ...pool, health, closeOverMs: 60_000 }));
  const here = { target: first, upstream: undefined };
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  ask.mockResolvedValue(passed);
  await use(paced(first));
  await vi.advanceTimersByTimeAsync(2_000);
  expect(backends.status()).toMatchObject([{ up: true }]);
  expect(keepFlows).not.toHaveBeenCalled();
  const goDown = async (): Promise<void> => {
    ask.mockResolvedValue(refused);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(endFlows).toHaveBeenLastCalledWith(
      1,
      'backend-down',
      expect.objectContaining({ way: here, overMs: 60_000 }),
    );
  };
  const comeUp = async (): Promise<void> => {
    ask.mockResolvedValue(passed);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(backends.status()).toMatchObject([{ up: true }]);
  };
  await goDown();
  await comeUp();
  expect(keepFlows).toHaveBeenCalledExactlyOnceWith(1, here, ['backend-down']);

  // What is up elsewhere says nothing about those that are still here: their former way has the word.
  await goDown();
  await use(paced(second));
  backends.settle(paced(second));
  keepFlows.mockReset();
  ask.mockImplementation(async (bind) => (bind === second ? passed : refused));
  await vi.advanceTimersByTimeAsync(2_000);
  expect(backends.status()).toMatchObject([{ up: true, at: '127.0.0.2:1', former: [{ up: false }] }]);
  expect(keepFlows).not.toHaveBeenCalled();

  backends.settle(paced(second).map((pool) => ({ ...pool, backends: [], closeOverMs: 5_000 })));
  expect(endFlows).toHaveBeenLastCalledWith(1, 'backend-removed', { overMs: 5_000 });
});

test.each(['down', 'up'] as const)('start: %s is what it is until its first check', async (start) => {
  const [pool] = poolOf(first);
  const pools = [
    { ...pool!, health: { ...pool!.health, type: 'tcp' as const, start, fall: 3, timeoutMs: 500 } },
  ];
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  let answer: (result: CheckResult) => void = () => {};
  ask.mockImplementation(() => new Promise((resolve) => (answer = resolve)));
  await use(pools);
  await vi.advanceTimersByTimeAsync(100);
  expect(backends.status()).toMatchObject([
    start === 'up' ? { up: true, reason: null } : { up: false, reason: 'unchecked' },
  ]);
  answer(refused);
  await vi.advanceTimersByTimeAsync(100);
  expect(backends.status(), 'the first decides alone').toMatchObject([{ up: false, reason: 'refused' }]);
});

test('one whose checks fail now and then does not flap; one that flaps is told and counted each time, and starts slowly each time', async () => {
  const [pool] = poolOf(first);
  const health = {
    ...pool!.health,
    ...{ type: 'tcp' as const, rise: 2, fall: 3, intervalMs: 1_000, fastIntervalMs: 1_000 },
  };
  const other = { ...pool!.backends[0]!, name: 'b', address: second };
  const pools = [{ ...pool!, health, slowStartMs: 60_000, backends: [pool!.backends[0]!, other] }];
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  ask.mockResolvedValue(passed);
  await use(pools);
  await vi.advanceTimersByTimeAsync(2_500);
  watch.mockReset();
  /** What the checks of b find, one a second. */
  const find = async (story: string): Promise<void> => {
    for (const word of story) {
      ask.mockImplementation(async (bind) => (bind === second && word === '-' ? refused : passed));
      await vi.advanceTimersByTimeAsync(1_000);
    }
  };
  await find('--+-+--+--++');
  expect(told()).toEqual([]);
  expect(backends.status()).toMatchObject([{ flaps: 0 }, { up: true, flaps: 0, slowStart: null }]);

  for (let flap = 1; flap <= 5; flap++) {
    await find('---');
    expect(backends.status()[1]).toMatchObject({
      up: false,
      reason: 'refused',
      flaps: flap,
      check: { streak: 3 },
    });
    await find('+-++');
    expect(backends.status()[1]).toMatchObject({ up: true, flaps: flap });
    expect(backends.status()[1]!.slowStart, 'from the beginning').toBeLessThan(0.2);
  }
  expect(told()).toEqual(Array.from({ length: 5 }, () => ['backend-down', 'backend-up']).flat());
  expect(
    backends
      .status()[1]!
      .flips.slice(-10)
      .map(({ isUp }) => isUp),
  ).toEqual(Array.from({ length: 10 }, (_, i) => i % 2 === 1));
  expect(backends.status()[0]).toMatchObject({ up: true, flaps: 0 });
});

test('the first checks of a thousand backends are spread over a second, also after a reload of all of them', async () => {
  // Numbers that look drawn, the same each time (Park and Miller).
  let seed = 1;
  vi.mocked(Math.random).mockImplementation(() => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed / 2_147_483_647;
  });
  const tenths = new Array<number>(10).fill(0);
  const check = vi.spyOn(checks, 'check').mockImplementation((_, __, ___, delayMs) => {
    tenths[Math.floor(delayMs / 100)]! += 1;
    return { suspect: () => {}, stop: () => {} };
  });
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  const [pool] = poolOf(first);
  for (const type of ['tcp', 'http']) {
    const health = { ...pool!.health, type, intervalMs: 2_000 };
    const names = Array.from({ length: 1_000 }, (_, i) => ({ ...pool!.backends[0]!, name: `b${i}` }));
    tenths.fill(0);
    await use([{ ...pool!, health, backends: names }]);
    for (const count of tenths) expect(Math.abs(count - 100), tenths.join(' ')).toBeLessThan(40);
  }
  check.mockRestore();
});

test('a backend that is removed and is back, and up, before its flows have been ended over their time keeps the rest', async () => {
  const health = { ...poolOf(first)[0]!.health, type: 'tcp' as const, fall: 1, rise: 1 };
  const paced = poolOf(first).map((pool) => ({ ...pool, health, closeOverMs: 5_000 }));
  const without = paced.map((pool) => ({ ...pool, backends: [] }));
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  ask.mockResolvedValue(passed);
  await use(paced);
  await vi.advanceTimersByTimeAsync(2_000);
  backends.settle(without);
  expect(endFlows).toHaveBeenLastCalledWith(1, 'backend-removed', { overMs: 5_000 });
  ask.mockResolvedValue(refused);
  await use(paced);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(keepFlows, 'it is back and not up').not.toHaveBeenCalled();
  ask.mockResolvedValue(passed);
  await vi.advanceTimersByTimeAsync(2_000);
  const here = { target: first, upstream: undefined };
  expect(keepFlows).toHaveBeenCalledWith(1, here, ['backend-removed']);

  keepFlows.mockReset();
  backends.settle(without);
  await vi.advanceTimersByTimeAsync(300_000);
  await use(paced);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(backends.status()).toMatchObject([{ up: true }]);
  expect(keepFlows, 'there is nobody to keep any more').not.toHaveBeenCalled();
});

describe('a backend that fails real clients', () => {
  const broke = { protocol: 'tcp', cause: 'broke', why: '3 connections broke' } as const;
  const checked = (type: string, names: string[], passive = passiveFor(10_000)): PoolPlan[] =>
    poolOf(first).map((pool) => ({
      ...pool,
      passive,
      health: { ...pool.health, type, fall: 1, rise: 1 },
      backends: names.map((name) => ({ ...pool.backends[0]!, name, address: name === 'a' ? first : second })),
    }));
  const begin = async (pools: PoolPlan[]): Promise<void> => {
    vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
    ask.mockResolvedValue(passed);
    await use(pools);
    await vi.advanceTimersByTimeAsync(1_500);
    ask.mockClear();
  };

  test('is left out although its plain check passes, longer each time, and says until when', async () => {
    await begin(checked('tcp', ['a', 'b']));
    backends.suspect(1, broke);
    expect(backends.status()[0]).toMatchObject({
      up: false,
      reason: 'passive',
      why: '3 connections broke; left out for 10s',
      ejection: { why: '3 connections broke', times: 1, leftMs: 10_000 },
      ejections: 1,
    });
    await vi.advanceTimersByTimeAsync(9_000);
    expect(ask, 'its check goes on, and passes').toHaveBeenCalled();
    expect(backends.status()[0]).toMatchObject({ up: false, ejection: { leftMs: 1_000 } });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(backends.status()[0]).toMatchObject({ up: true, ejected: false, ejection: null });
    backends.suspect(1, broke);
    expect(backends.status()[0]).toMatchObject({
      why: '3 connections broke; left out for 20s, time 2 in a row',
    });
    await vi.advanceTimersByTimeAsync(20_000);
    expect(backends.status()[0]).toMatchObject({ up: true, ejections: 2 });
  });

  test('is checked at once, and no more, where the check meets the same', async () => {
    await begin(checked('tcp', ['a', 'b']));
    backends.suspect(1, dialFailed);
    await vi.advanceTimersByTimeAsync(10);
    expect(ask).toHaveBeenCalledOnce();
    expect(backends.status()[0]).toMatchObject({ up: true });
  });

  test('comes back early only by a check that failed and meets the same', async () => {
    const fall = async (): Promise<void> => {
      ask.mockImplementation(async (bind) => (bind === first ? refused : passed));
      await vi.advanceTimersByTimeAsync(1_500);
      expect(backends.status()[0]).toMatchObject({ up: false, reason: 'refused', ejected: true });
      ask.mockResolvedValue(passed);
      await vi.advanceTimersByTimeAsync(1_500);
    };
    await begin(checked('a2s', ['a', 'b'], passiveFor(60_000)));
    backends.suspect(1, unreachable);
    await fall();
    expect(backends.status()[0]).toMatchObject({ up: true, ejected: false });
    backends.suspect(1, broke);
    await fall();
    expect(backends.status()[0]).toMatchObject({ up: false, reason: 'passive' });
  });

  test('is one of so many at most', async () => {
    await begin(checked('none', ['a', 'b', 'c', 'd', 'e']));
    for (let id = 1; id <= 5; id++) backends.suspect(id, broke);
    expect(backends.status().map(({ ejected }) => ejected)).toEqual([true, true, false, false, false]);
    expect(backends.status()[2]).toMatchObject({
      spared: { for: 'share', why: '3 connections broke' },
      ejectionsSpared: { last: 0, share: 1 },
    });
    await vi.advanceTimersByTimeAsync(10_000);
    backends.suspect(3, broke);
    expect(backends.status()[2]).toMatchObject({ ejected: true });
  });

  test('is not left out for others that are full, and is back when they are', async () => {
    const pools = checked('none', ['a', 'b']);
    const backendsOf = pools[0]!.backends.map((backend) => ({ ...backend, maxConnections: 10 }));
    await begin([{ ...pools[0]!, backends: backendsOf }]);
    flows = { 2: 10 };
    backends.suspect(1, broke);
    expect(backends.status()).toMatchObject([{ ejected: false, spared: { for: 'last' } }, { spared: null }]);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(backends.status()).toMatchObject([{ spared: null, ejectionsSpared: { last: 1 } }, {}]);
    flows = { 2: 9 };
    backends.suspect(1, broke);
    expect(backends.status()).toMatchObject([{ ejected: true }, {}]);
    flows = { 2: 10 };
    await vi.advanceTimersByTimeAsync(1_000);
    expect(backends.status()).toMatchObject([{ ejected: false, up: true }, {}]);
  });

  test('is silent when nothing comes back from it, unless nothing ever has', async () => {
    const noReply = { datagrams: 10, withinMs: 5_000, clients: 3 };
    await begin(checked('none', ['a', 'b', 'c'], { ...passiveFor(60_000), noReply }));
    const send = async (counts: Record<number, { sent: number; replies: number }>): Promise<void> => {
      datagrams = counts;
      await vi.advanceTimersByTimeAsync(1_000);
    };
    const downs = (): boolean[] => backends.status().map(({ up }) => !up);
    // As with syslog.
    for (let i = 1; i <= 20; i++) await send({ 1: { sent: i * 10, replies: 0 } });
    expect(downs()).toEqual([false, false, false]);
    const others = { 2: { sent: 5, replies: 5 } };
    await send({ 1: { sent: 300, replies: 1 }, ...others });
    for (let i = 1; i <= 7; i++) await send({ 1: { sent: 300 + i, replies: 1 }, ...others });
    expect(downs(), 'few datagrams').toEqual([false, false, false]);
    await send({ 1: { sent: 320, replies: 2 }, ...others });
    for (let i = 1; i <= 7; i++) await send({ 1: { sent: 400 + i, replies: 2 }, ...others });
    expect(downs(), 'some seconds').toEqual([false, false, false]);
    senders = 2;
    await send({ 1: { sent: 409, replies: 2 }, ...others });
    expect(downs(), 'few clients').toEqual([false, false, false]);
    senders = 3;
    await send({ 1: { sent: 410, replies: 2 }, ...others });
    expect(backends.status()).toMatchObject([
      { up: false, reason: 'passive', why: 'no reply to 90 datagrams within 5s; left out for 1m' },
      { up: true },
      { up: true },
    ]);
  });
});

test('who has had no new clients for an operator starts slowly, and who had them does not', async () => {
  const [pool] = poolOf(first);
  const backend = pool!.backends[0]!;
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  await use([{ ...pool!, slowStartMs: 10_000, backends: [backend, { ...backend, name: 'b' }] }]);
  const slow = (): number | null => backends.status()[0]!.slowStart;
  const say = (order: Parameters<Backends['operate']>[2]): void => void backends.operate('pool', 'a', order);
  say({ weight: 7 });
  expect(slow()).toBeNull();
  for (const [out, back] of [
    [{ state: 'drain' }, { state: 'ready' }],
    [{ weight: 0 }, { weight: 'configured' }],
    [{ state: 'maintenance' }, { state: 'ready' }],
  ] as const) {
    say(out);
    say(back);
    expect(slow(), JSON.stringify(out)).toBeCloseTo(0.1, 3);
    await vi.advanceTimersByTimeAsync(11_000);
    expect(slow()).toBeNull();
  }
});

test('an order that leaves nobody for new clients is told apart from one that does not', async () => {
  const backend = poolOf(first)[0]!.backends[0]!;
  const pools = poolOf(first).map((pool) => ({
    ...pool,
    backends: [backend, { ...backend, name: 'b' }, { ...backend, name: 'c', weight: 0 }],
  }));
  vi.mocked(resolveAddress).mockImplementation(async (address) => address as Bind);
  await use(pools);
  const leaves = (name: string, order: Parameters<Backends['operate']>[2]): boolean =>
    backends.leavesNobody('pool', name, order);
  expect(leaves('a', { state: 'drain' }), 'b is there').toBe(false);
  backends.operate('pool', 'b', { state: 'maintenance' });
  for (const order of [{ state: 'drain' }, { state: 'maintenance' }, { weight: 0 }] as const)
    expect(leaves('a', order), JSON.stringify(order)).toBe(true);
  for (const order of [{ state: 'ready' }, { weight: 7 }, { weight: 'configured' }] as const)
    expect(leaves('a', order), JSON.stringify(order)).toBe(false);
  expect(leaves('b', { state: 'drain' }), 'it takes none anyway').toBe(false);
  expect(leaves('nobody', { state: 'drain' })).toBe(false);
});
