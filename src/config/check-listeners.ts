/**
 * Rules for listeners: names, addresses that two of them want, the pool they point to, and settings that do nothing.
 */

import { checkReserves } from './check-reserves.ts';
import { checkListenerSockets } from './check-sockets.ts';
import { checkClaims } from './claims.ts';
import type { Draft, ListenerDraft } from './draft.ts';
import { type Path, shorten, showValue } from './problem.ts';
import { type Report, reportRepeats } from './report.ts';
import { didYouMean } from './suggest.ts';

export function checkListeners(draft: Draft, report: Report): void {
  reportRepeats(
    draft.listeners,
    (listener) => listener.value.name,
    (listener) => [...listener.path, 'name'],
    report,
    (name, first) => `"${name}" is the name of another listener: ${first}`,
  );
  checkClaims(draft, report);
  checkReserves(draft, report);
  for (const listener of draft.listeners) {
    checkPoolOf(listener, draft, report);
    checkUseless(listener, draft, report);
    checkListenerSockets(listener, draft, report);
  }
}

function checkPoolOf(listener: ListenerDraft, draft: Draft, report: Report): void {
  const { pool } = listener.value;
  const known = draft.poolNames;
  if (pool === undefined || known === undefined || known.has(pool)) return;
  report.problem([...listener.path, 'pool'], () => {
    const few = known.size > 0 && known.size <= 8 ? `; pools: ${[...known].map(shorten).join(', ')}` : '';
    return `there is no pool ${showValue(pool)}${didYouMean(pool, known) || few}`;
  });
}

/** Settings without an effect are usually meant for something else: said, but not refused. */
function checkUseless({ path, value }: ListenerDraft, draft: Draft, report: Report): void {
  const useless = (steps: Path, why: string): void => report.warning([...path, ...steps], why, 'key');
  if (value.bind?.protocol === 'udp') {
    const why = 'has no effect on a UDP listener';
    if (value.tcp !== undefined) useless(['tcp'], why);
    if (value.timeouts?.connect !== undefined) useless(['timeouts', 'connect'], why);
    if (value.timeouts?.half_close !== undefined) useless(['timeouts', 'half_close'], why);
  }
  const affinity = value.affinity;
  if (affinity !== undefined && affinity !== 'none') {
    if (value.bind?.bind.kind === 'unix' && affinity.key !== undefined && affinity.key !== 'none') {
      useless(['affinity', 'key'], 'clients of a unix socket have no address: all of them go to one backend');
    }
    if (affinity.key !== 'client-subnet' && !draft.wasWrong([...path, 'affinity', 'key'])) {
      const why = 'has no effect unless key is client-subnet';
      if (affinity.prefix_v4 !== undefined) useless(['affinity', 'prefix_v4'], why);
      if (affinity.prefix_v6 !== undefined) useless(['affinity', 'prefix_v6'], why);
    }
  }
  const flows = value.limits?.flows;
  if (flows !== undefined && typeof draft.instanceFlows === 'number' && flows > draft.instanceFlows) {
    useless(
      ['limits', 'flows'],
      `is above limits.flows of the instance (${draft.instanceFlows}), which comes first`,
    );
  }
}
