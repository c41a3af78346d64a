/** The listeners of a configuration as the data plane would see them, where no instance runs: their lists of addresses are read here. */
import { AccessLists } from '../control/access-lists.ts';
import type { Ids } from '../control/ids.ts';
import type { Plan } from '../core/plan.ts';
import type { ListenerView } from '../core/snapshot.ts';

/** @throws StartFailure when a file of `allow` or `deny` cannot be used */
export function listenersOf(plan: Plan, ids: Ids): ListenerView[] {
  const access = new AccessLists({ watch: () => undefined, changed: () => undefined });
  access.prepare(plan);
  const views = plan.listeners.map((listener) => ({
    id: ids.listener(listener),
    plan: listener,
    poolId: listener.pool === undefined ? 0 : ids.pool(listener.pool),
    ...access.view(listener),
  }));
  access.stop();
  return views;
}
