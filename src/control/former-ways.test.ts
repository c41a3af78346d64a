/** Former ways with workers and checks that do as the test says. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { OpenFlowsPlan, PoolPlan } from '../core/plan.ts';
import type { Way } from '../core/way.ts';
import { poolPlan } from '../engine/conformance/listener.ts';
import type { WayCount } from '../worker/messages-from-worker.ts';
import { FormerWays } from './former-ways.ts';

const way = (port: number): Way => ({ target: { kind: 'inet', ip: '10.0.0.1', port }, upstream: undefined });
const keep: OpenFlowsPlan = { action: 'keep', graceMs: 0 };
const close: OpenFlowsPlan = { action: 'close', graceMs: 0 };
const grace: OpenFlowsPlan = { action: 'close', graceMs: 5_000 };
const backend = { id: 1, name: 'a', down: undefined, downSinceMs: 0 };

function poolOf(onAddressChange: OpenFlowsPlan, onDown = close): PoolPlan {
  const health = { ...poolPlan({}).health, type: 'tcp' };
  return { ...poolPlan({ health, onDown, onAddressChange }), backends: [] };
}

const endFlows = vi.fn();
const keepFlows = vi.fn();
const watch = vi.fn();
const stop = vi.fn();
/** What the check of a port says when the test wants it. */
const flips = new Map<number, (up: boolean, why: string) => void>();
let counts: WayCount[] | undefined;
let ways: FormerWays;

beforeEach(() => {
  vi.useFakeTimers();
  for (const mock of [endFlows, keepFlows, watch, stop]) mock.mockReset();
  flips.clear();
  counts = undefined;
  ways = new FormerWays({
    watch,
    checks: {
      check: (_health, target, _wasUp, _delayMs, onVerdict) => {
        const flip = (isUp: boolean, why: string): void =>
          onVerdict(isUp ? { isUp, share: 1 } : { isUp, reason: 'refused', why });
        if (target.kind === 'inet') flips.set(target.port, flip);
        return { stop, suspect: () => {} };
      },
    },
    nowMs: () => Date.now(),
    endFlows,
    keepFlows,
    countFlows: async () => counts,
    flowsOf: () => 3,
  });
});

afterEach(() => {
  ways.stop();
  vi.useRealTimers();
});

function leave(pool: PoolPlan, port: number): void {
  ways.left(backend, pool, way(port));
  ways.settle([pool]);
}

test('keep: nothing ends, and the address is checked while flows are on it', async () => {
  leave(poolOf(keep), 1);
  expect(watch).toHaveBeenCalledExactlyOnceWith({
    event: 'address-left',
    pool: 'pool',
    backend: 'a',
    address: '10.0.0.1:1',
    flows: 3,
    action: 'keep',
    graceMs: 0,
  });
  counts = [{ backendId: 1, way: way(1), flows: 2 }];
  await vi.advanceTimersByTimeAsync(600_000);
  expect(ways.status(1)).toEqual([{ address: '10.0.0.1:1', up: true, flows: 2 }]);
  expect(endFlows).not.toHaveBeenCalled();
  // A worker that does not answer says nothing.
  counts = undefined;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ways.status(1)).toHaveLength(1);
  counts = [{ backendId: 2, way: way(1), flows: 9 }];
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ways.status(1)).toEqual([]);
  expect(stop).toHaveBeenCalledOnce();
});

test('close, at once or after a grace that counts from when it was left', async () => {
  leave(poolOf(close), 1);
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'address-changed', way(1));
  endFlows.mockReset();
  ways.drop(1);
  leave(poolOf(grace), 2);
  await vi.advanceTimersByTimeAsync(4_999);
  expect(endFlows).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'address-changed', way(2));
});

test('a reload may change its mind', async () => {
  leave(poolOf(grace), 1);
  await vi.advanceTimersByTimeAsync(1_000);
  ways.settle([poolOf(keep)]);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(endFlows).not.toHaveBeenCalled();
  ways.settle([poolOf(grace)]);
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'address-changed', way(1));
});

test('the old server dies: on_down has the word, and an address that is up again in time costs nobody', async () => {
  leave(poolOf(keep, grace), 1);
  flips.get(1)!(false, 'refused');
  await vi.advanceTimersByTimeAsync(3_000);
  flips.get(1)!(true, 'check passed');
  await vi.advanceTimersByTimeAsync(60_000);
  expect(endFlows).not.toHaveBeenCalled();
  flips.get(1)!(false, 'refused');
  expect(ways.status(1)).toMatchObject([{ up: false }]);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'backend-down', way(1));
  expect(watch.mock.calls.map(([{ event }]) => event)).toEqual([
    'address-left',
    'address-down',
    'address-up',
    'address-down',
  ]);
});

test('one that was down when it was left has its grace from then', async () => {
  await vi.advanceTimersByTimeAsync(10_000);
  ways.left(
    { ...backend, down: 'refused' as const, downSinceMs: Date.now() - 3_000 },
    poolOf(keep, grace),
    way(1),
  );
  ways.settle([]);
  await vi.advanceTimersByTimeAsync(1_999);
  expect(endFlows).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(1);
  expect(endFlows).toHaveBeenCalledExactlyOnceWith(1, 'backend-down', way(1));
});

test('what is still to be ended over a time is left alone once its address is up, or used again', () => {
  leave(poolOf(close, close), 1);
  flips.get(1)!(false, 'refused');
  expect(endFlows).toHaveBeenLastCalledWith(1, 'backend-down', way(1));
  expect(keepFlows).not.toHaveBeenCalled();
  flips.get(1)!(true, 'check passed');
  expect(keepFlows).toHaveBeenCalledExactlyOnceWith(1, way(1), ['backend-down']);
  ways.returned(1, way(1));
  expect(keepFlows).toHaveBeenLastCalledWith(1, way(1), ['backend-down', 'address-changed']);
});

test('an address that is used again is no former one', async () => {
  leave(poolOf(grace), 1);
  ways.returned(1, way(1));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(endFlows).not.toHaveBeenCalled();
  expect(ways.status(1)).toEqual([]);
});

test('a name that turns round among many addresses is watched at the latest of them', () => {
  for (let port = 1; port <= 40; port++) leave(poolOf(keep), port);
  expect(ways.status(1)).toHaveLength(16);
  expect(ways.status(1)[0]).toMatchObject({ address: '10.0.0.1:25' });
  ways.drop(1);
  expect(ways.status(1)).toEqual([]);
});
