/** A listener as the API shows it. */
import { bindsOf, bindsText } from '../../core/binds.ts';
import type { ListenerCounter } from '../../core/counters.ts';
import { keyKindOf } from '../../core/plan.ts';
import { poolsOf } from '../../core/routes.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import { terminationCodes } from '../../core/termination.ts';
import { datagramDrops } from '../../observe/drops.ts';
import type { SharedViews } from '../../rooms/shared.ts';
import type { RateWatch } from './rates.ts';
import type { ListenerRow } from './shapes.ts';

export function listenerRow(
  { id, plan }: ListenerView,
  { counters }: Pick<SharedViews, 'counters'>,
  rates: RateWatch,
  flowsMax: number,
): ListenerRow {
  const read = (counter: ListenerCounter): number => counters.listener(id, counter);
  return {
    listener: plan.name,
    protocol: plan.protocol,
    address: bindsText(plan.protocol, bindsOf(plan)),
    pools: [...poolsOf(plan)],
    affinity: plan.affinity.key === 'none' ? 'none' : keyKindOf(plan.affinity.key),
    flows: counters.listener(id, 'active'),
    flowsMax: plan.limits.flows > 0 && plan.limits.flows < flowsMax ? plan.limits.flows : null,
    arriving: counters.arriving(id),
    rates: rates.listener(id),
    opened: read('opened'),
    refused: read('refused'),
    dropped: filled(datagramDrops.map(([counter, reason]) => [reason, read(counter)])),
    ended: filled(terminationCodes.map((code) => [code, counters.ends(id, code)])),
  };
}

/** Without what is 0. */
export function filled(entries: readonly (readonly [string, number])[]): Record<string, number> {
  return Object.fromEntries(entries.filter(([, value]) => value > 0));
}
