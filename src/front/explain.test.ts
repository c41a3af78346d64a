/** What an explanation says beside the backend: slow starts, and who is spared although clients fail there. */
import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { equalBackends } from '../core/policy/pool.fixture.ts';
import type { Snapshot } from '../core/snapshot.ts';
import { listenerView, poolPlan } from '../engine/conformance/listener.ts';
import { createSharedMemory } from '../rooms/shared.ts';
import { explain } from './explain.ts';
import { KeptPolicies } from './policies.ts';

test('who starts slowly, and who is spared, and why', () => {
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const plan = poolPlan({});
  const backends = equalBackends(2);
  for (const { id } of backends) {
    views.states.setUp(id, true);
    views.states.setWeight(id, 1);
  }
  const listener = listenerView(0, 'tcp', {});
  const pools = [{ id: listener.poolId, version: 1, plan, backends }];
  const snapshot = { listeners: [listener], pools } as unknown as Snapshot;
  const spared = (id: number): string | undefined =>
    id === backends[1]!.id ? 'clients fail there' : undefined;
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const ask = (more = {}) =>
    explain(snapshot, { ...source, ...more }, listener.plan.name, Address.parse('10.0.0.1', 0)!, undefined);
  expect(ask()).not.toHaveProperty('spared');
  expect(ask()).not.toHaveProperty('slowStarts');
  views.states.setRamp(backends[0]!.id, 0.5);
  expect(ask({ spared })).toMatchObject({
    spared: { [backends[1]!.name]: 'clients fail there' },
    slowStarts: { [backends[0]!.name]: 0.5 },
  });
});
