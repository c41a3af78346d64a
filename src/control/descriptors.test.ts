/** Descriptors for flows and for pipes: whatever is asked for, both together fit. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { descriptorsPerPipe, descriptorsReserved, pipesPerWorkerMax } from '../core/limits.ts';
import type { Plan } from '../core/plan.ts';
import { shareDescriptors } from './descriptors.ts';

const planOf = (flows: number | 'auto'): Plan => ({ limits: { flows } }) as Partial<Plan> as Plan;
const pipesPerWorker = (sparePerWorker: number): number => Math.floor(sparePerWorker / descriptorsPerPipe);

test('all flows and all pipes at once leave the reserve alone', () => {
  const flows = fc.oneof(fc.constant('auto' as const), fc.integer({ min: 1, max: 600_000 }));
  fc.assert(
    fc.property(
      fc.integer({ min: 300, max: 1_100_000 }),
      fc.integer({ min: 0, max: 64 }),
      flows,
      (descriptors, workers, asked) => {
        fc.pre(asked === 'auto' || 2 * asked <= descriptors - descriptorsReserved);
        const { flowsMax, sparePerWorker } = shareDescriptors(planOf(asked), workers, descriptors);
        if (asked !== 'auto') expect(flowsMax).toBe(asked);
        expect(2 * flowsMax + workers * sparePerWorker).toBeLessThanOrEqual(
          descriptors - descriptorsReserved,
        );
        expect(pipesPerWorker(sparePerWorker)).toBeLessThanOrEqual(pipesPerWorkerMax);
      },
    ),
  );
});

test('a small limit still serves most of the flows it could, a large one has all pipes', () => {
  const small = shareDescriptors(planOf('auto'), 2, 1024);
  expect([small.flowsMax, pipesPerWorker(small.sparePerWorker)]).toEqual([336, 24]);
  const large = shareDescriptors(planOf('auto'), 2, 524_288);
  expect([large.flowsMax, pipesPerWorker(large.sparePerWorker)]).toEqual([261_504, 256]);
  expect(shareDescriptors(planOf('auto'), 0, 1024).flowsMax, 'nobody uses pipes').toBe(384);
  expect(shareDescriptors(planOf('auto'), 4, Number.POSITIVE_INFINITY).flowsMax).toBe(1_000_000);
});

test('a limit that fits only without pipes is kept, and everything is copied', () => {
  expect(shareDescriptors(planOf(384), 2, 1024)).toEqual({ flowsMax: 384, sparePerWorker: 0 });
  expect(() => shareDescriptors(planOf(385), 2, 1024)).toThrow('carry at most 384 flows');
});
