/** What `pinion explain` says where no instance runs: the policy's word, with every backend up and no pins. */
import { addressText } from '../control/backend.ts';
import { Ids } from '../control/ids.ts';
import type { AskedClient } from '../core/asked-client.ts';
import type { Plan } from '../core/plan.ts';
import { shareFlows } from '../core/shares.ts';
import type { Snapshot } from '../core/snapshot.ts';
import { tierViewsOf } from '../core/tiers.ts';
import { type Asks, type Explanation, explain } from '../front/explain.ts';
import { addressFor } from '../front/explain-terms.ts';
import { KeptPolicies } from '../front/policies.ts';
import { createSharedMemory } from '../rooms/shared.ts';
import { listenersOf } from './listener-views.ts';

/**
 * @throws Error if there is no such listener or backend, or no route is for the client; StartFailure if a file of `allow` or `deny`
 * cannot be used
 */
export function explainFromPlan(
  plan: Plan,
  client: AskedClient,
  listener: string,
  without: string | undefined,
  asks: Asks,
): Explanation {
  const ids = new Ids();
  const { shared: _, ...views } = createSharedMemory(1, 1024);
  const snapshot: Snapshot = {
    generation: 1,
    flowsMax: 1,
    secondLooksMax: 0,
    arrivalsMax: 0,
    shares: shareFlows(plan.listeners, 1, plan.limits.udpShare),
    flowLog: { which: 'none', sample: 0 },
    isShared: false,
    machineIps: [],
    memberListeners: [],
    memberIps: [],
    listeners: listenersOf(plan, ids),
    pools: plan.pools.map(({ backends, ...pool }) => ({
      id: ids.pool(pool.name),
      version: 1,
      plan: pool,
      backends: backends.map((backend, i) => {
        const id = ids.backend(pool.name, backend.name);
        views.states.setUp(id, true);
        views.states.setWeight(id, backend.weight);
        return {
          id,
          name: backend.name,
          // Where a name resolves to does not matter to the choice.
          target: backend.address.kind === 'name' ? { kind: 'unix', path: '' } : backend.address,
          addressText: addressText(backend),
          weight: backend.weight,
          maxConnections: 0,
          ...tierViewsOf({ backends, zone: pool.zone })[i],
        };
      }),
    })),
  };
  const source = { views, policies: new KeptPolicies(), nowMs: () => 0 };
  const answer = explain(snapshot, source, listener, client, without, asks);
  if (answer !== undefined) return withAddress(answer, plan, asks);
  throw new Error(`no listener ${listener}; there are: ${plan.listeners.map(({ name }) => name).join(', ')}`);
}

/** A name is not looked up: it stands as it is written. */
function withAddress(answer: Explanation, plan: Plan, { port }: Asks): Explanation {
  const pool = plan.pools.find(({ name }) => name === answer.pool);
  const backend = pool?.backends.find(({ name }) => name === answer.backend);
  const listener = plan.listeners.find(({ name }) => name === answer.listener);
  if (backend === undefined || listener === undefined) return answer;
  return { ...answer, address: addressFor(backend.address, listener, port) };
}
