/** What listeners have for themselves: it adds up, whatever is asked for. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { listenerLimits } from '../config/listener-shape.ts';
import { planOf } from './options.ts';
import type { ListenerPlan } from './plan.ts';
import { shareFlows } from './shares.ts';

const listenerOf = (protocol: 'tcp' | 'udp', reserve: number | 'auto', flows = 0) => ({
  protocol,
  limits: planOf<ListenerPlan['limits']>(listenerLimits, { reserve, flows }),
});
const tcp = listenerOf('tcp', 'auto');
const udp = listenerOf('udp', 'auto');

test('without a word each has its part of a quarter, and UDP three quarters of all at most', () => {
  expect(shareFlows([tcp, udp], 1_000, 0.75)).toEqual({
    reserves: [125, 125],
    commonMax: 750,
    udpCommonMax: 625,
  });
  expect(shareFlows([udp], 1_000, 0.75)).toEqual({ reserves: [250], commonMax: 750, udpCommonMax: 750 });
  expect(shareFlows([tcp, udp], 1, 0.75)).toEqual({ reserves: [0, 0], commonMax: 1, udpCommonMax: 1 });
});

test('what is asked for is given, and those that ask for nothing share what is left of their quarter', () => {
  expect(shareFlows([listenerOf('tcp', 900), tcp, udp], 1_000, 0.75)).toEqual({
    reserves: [900, 50, 50],
    commonMax: 0,
    udpCommonMax: 0,
  });
  expect(shareFlows([listenerOf('tcp', 0), listenerOf('udp', 'auto', 10)], 1_000, 0.5)).toEqual({
    reserves: [0, 10],
    commonMax: 990,
    udpCommonMax: 490,
  });
});

test('all together never come to more than there is, nor UDP to more than its share', () => {
  const listener = fc.record({
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    reserve: fc.oneof(fc.constant('auto' as const), fc.integer({ min: 0, max: 2_000 })),
    flows: fc.integer({ min: 0, max: 2_000 }),
  });
  fc.assert(
    fc.property(
      fc.array(listener, { minLength: 1, maxLength: 20 }),
      fc.integer({ min: 1, max: 5_000 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (asked, flowsMax, udpShare) => {
        const listeners = asked.map(({ protocol, reserve, flows }) => listenerOf(protocol, reserve, flows));
        const { reserves, commonMax, udpCommonMax } = shareFlows(listeners, flowsMax, udpShare);
        const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0);
        expect(Math.min(commonMax, udpCommonMax, ...reserves)).toBeGreaterThanOrEqual(0);
        expect(sum(reserves) + commonMax).toBe(flowsMax);
        const ofUdp = sum(reserves.filter((_, i) => listeners[i]!.protocol === 'udp'));
        const hasTcp = listeners.some(({ protocol }) => protocol === 'tcp');
        if (hasTcp) expect(ofUdp + udpCommonMax).toBeLessThanOrEqual(Math.max(1, flowsMax * udpShare));
      },
    ),
  );
});
