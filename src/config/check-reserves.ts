/**
 * Whether the places that listeners are promised (`limits.reserve`) exist. Where `limits.flows` of the instance is auto,
 * the start looks at what it comes to.
 */

import { planOf } from '../core/options.ts';
import type { ListenerPlan } from '../core/plan.ts';
import { reservesAsked, udpFlowsMax } from '../core/shares.ts';
import type { Draft } from './draft.ts';
import { listenerLimits } from './listener-shape.ts';
import type { Report } from './report.ts';
import { instanceLimits } from './shape.ts';

export function checkReserves(draft: Draft, report: Report): void {
  for (const { path, value } of draft.listeners) {
    const { flows = 0, reserve = 0 } = value.limits ?? {};
    if (reserve === 'auto' || flows === 0 || reserve <= flows) continue;
    report.problem([...path, 'limits', 'reserve'], `is above limits.flows of the listener (${flows})`);
  }
  const { instanceFlows: flowsMax, udpShare = instanceLimits.udpShare.fallback } = draft;
  if (typeof flowsMax !== 'number') return;
  const sharings = draft.listeners.flatMap(({ path, value: { bind, limits } }) => {
    if (bind === undefined) return [];
    const { reserve } = limits ?? {};
    return [
      { path, protocol: bind.protocol, limits: planOf<ListenerPlan['limits']>(listenerLimits, { reserve }) },
    ];
  });
  const asked = reservesAsked(sharings);
  const last = (protocol?: 'udp'): (string | number)[] => {
    const those = sharings.filter(
      (one) => one.limits.reserve !== 'auto' && (protocol === undefined || one.protocol === protocol),
    );
    return [...those.at(-1)!.path, 'limits', 'reserve'];
  };
  if (asked.all > flowsMax) {
    const sum = `the reserves of all listeners come to ${asked.all}`;
    report.problem(last(), `${sum}, above limits.flows of the instance (${flowsMax})`);
    return;
  }
  const udpMax = udpFlowsMax(sharings, flowsMax, udpShare);
  if (asked.udp > udpMax) {
    const sum = `the reserves of UDP listeners come to ${asked.udp}`;
    report.problem(last('udp'), `${sum}, above limits.udp_share of limits.flows (${udpMax})`);
  }
}
