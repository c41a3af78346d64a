/** Descriptors for flows, for pipes and for everything else: whatever is asked for, all together fit. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parsePlan } from '../config/load.ts';
import { instanceLimits } from '../config/shape.ts';
import { descriptorsPerPipe, pipesPerWorkerMax } from '../core/limits.ts';
import type { Plan } from '../core/plan.ts';
import { descriptorSum, type Machine } from './descriptor-sum.ts';
import { shareDescriptors } from './descriptors.ts';

interface Traits {
  readonly flows?: number | 'auto';
  readonly tcp?: number;
  readonly udp?: number;
  readonly ip?: string;
  readonly reserve?: number | 'auto';
  readonly backends?: number;
  readonly more?: object;
}

function planOf({
  flows = 'auto',
  tcp = 1,
  udp = 0,
  ip = '127.0.0.1',
  reserve = 'auto',
  backends = 1,
  more,
}: Traits): Plan {
  const listeners = Array.from({ length: tcp + udp }, (_, i) => ({
    name: `l${i}`,
    bind: `${i < tcp ? 'tcp' : 'udp'}://${ip}:${1 + i}`,
    pool: 'p',
    limits: { reserve },
  }));
  const servers = Array.from({ length: backends }, (_, i) => ({
    name: `b${i}`,
    address: `10.0.${i >> 8}.${i & 255}:1`,
  }));
  const file = {
    limits: { flows },
    listeners,
    pools: { p: { health: { type: 'tcp' }, backends: servers } },
    ...more,
  };
  const result = parsePlan(JSON.stringify(file), 'test');
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.plan;
}

const machineOf = (change: Partial<Machine> = {}): Machine => ({
  engine: 'epoll',
  workers: 2,
  descriptors: 1_024,
  localIps: ['127.0.0.1', '::1', '10.0.0.1', 'fe80::1'],
  ...change,
});
const held = (traits: Traits, machine: Partial<Machine> = {}): number =>
  descriptorSum(planOf(traits), machineOf(machine)).held;

test('all flows and all pipes at once leave alone what everything else holds', () => {
  const flows = fc.oneof(fc.constant('auto' as const), fc.integer({ min: 1, max: 600_000 }));
  fc.assert(
    fc.property(
      fc.integer({ min: 400, max: 1_100_000 }),
      fc.integer({ min: 1, max: 8 }),
      fc.constantFrom('epoll' as const, 'portable' as const),
      flows,
      (descriptors, workers, engine, asked) => {
        const plan = planOf({ flows: asked });
        const machine = machineOf({ descriptors, workers, engine });
        const { held } = descriptorSum(plan, machine);
        fc.pre(asked === 'auto' || 2 * asked <= descriptors - held);
        const { flowsMax, sparePerWorker } = shareDescriptors(plan, machine);
        if (asked !== 'auto') expect(flowsMax).toBe(asked);
        expect(2 * flowsMax + workers * sparePerWorker + held).toBeLessThanOrEqual(descriptors);
        expect(sparePerWorker / descriptorsPerPipe).toBeLessThanOrEqual(pipesPerWorkerMax);
      },
    ),
  );
});

describe('what is held', () => {
  test('grows with listeners in each worker, and with the workers themselves', () => {
    expect(held({ tcp: 51 }) - held({ tcp: 1 })).toBe(100);
    expect(held({ tcp: 51 }, { workers: 4 }) - held({ tcp: 1 }, { workers: 4 })).toBe(200);
    expect(held({}, { workers: 5 }) - held({}, { workers: 4 })).toBeGreaterThan(6);
  });

  test('has a socket for each address where the portable engine listens to all over UDP', () => {
    const portable = { engine: 'portable', workers: 1 } as const;
    const extra = (ip: string, machine: Partial<Machine>): number =>
      held({ udp: 1, ip }, machine) - held({ udp: 0, ip }, machine);
    expect(extra('0.0.0.0', portable)).toBe(3);
    expect(extra('[::]', portable)).toBe(5);
    expect(extra('10.0.0.1', portable)).toBe(1);
    expect(extra('0.0.0.0', { workers: 1 })).toBe(1);
  });

  test('has checks, of many backends no more than may be under way at once', () => {
    expect(held({ backends: 11 }) - held({ backends: 1 })).toBe(10);
    const of = (backends: number, descriptors: number): number =>
      descriptorSum(planOf({ backends }), machineOf({ descriptors })).checksInFlightMax;
    expect([of(1_000, 1_024), of(1_000, 100_000), of(5, 1_024)]).toEqual([128, 1_000, 5]);
  });

  test('has checks of as many backends as may be found', () => {
    const one = { health: { type: 'none' }, discovery: { type: 'file', path: '/list' } };
    expect(held({ more: { pools: { p: one, q: one } } }) - held({ more: { pools: { p: one } } })).toBe(3);
    const found = { discovery: { type: 'file', path: '/list' }, health: { type: 'tcp' } };
    const plan = planOf({ more: { pools: { p: found } } });
    expect(plan.pools[0]!.backends).toEqual([]);
    expect(descriptorSum(plan, machineOf()).checksInFlightMax).toBe(128);
  });

  test('has pages and Redis', () => {
    const admin = held({ more: { admin: { listen: '127.0.0.1:900' } } });
    expect(admin - held({})).toBe(33);
    const cluster = { name: 'c', redis: 'redis://127.0.0.1:6379' };
    expect(held({ more: { cluster } })).toBeGreaterThan(held({}));
  });
});

test('a small limit still serves most of the flows it could, a large one has all pipes', () => {
  const share = (machine: Partial<Machine>) => shareDescriptors(planOf({}), machineOf(machine));
  const small = share({});
  expect(small.flowsMax).toBeGreaterThan(350);
  expect(small.sparePerWorker).toBeGreaterThan(40);
  expect(share({ descriptors: 524_288 })).toMatchObject({
    sparePerWorker: pipesPerWorkerMax * descriptorsPerPipe,
  });
  expect(share({ engine: 'portable' }).sparePerWorker, 'nobody uses pipes').toBe(0);
  expect(share({ descriptors: Number.POSITIVE_INFINITY }).flowsMax).toBe(1_000_000);
});

test('what does not fit is refused with what to do', () => {
  const most = Math.floor((1_024 - held({})) / 2);
  expect(shareDescriptors(planOf({ flows: most }), machineOf())).toMatchObject({ flowsMax: most });
  expect(() => shareDescriptors(planOf({ flows: most + 1 }), machineOf())).toThrow(
    `carry at most ${most} flows`,
  );
  expect(() => shareDescriptors(planOf({ tcp: 600 }), machineOf())).toThrow('no flow could be served; raise');
  expect(instanceLimits.flows.fallback).toBe('auto');
  expect(() => shareDescriptors(planOf({ reserve: 5_000 }), machineOf())).toThrow(
    'limits.reserve of all listeners comes to 5000, but there are',
  );
});
