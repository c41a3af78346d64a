/**
 * Rules for listeners: names, addresses that two of them want, the pool they point to, and settings that do nothing.
 */

import { isOfAddress } from '../core/key-kinds.ts';
import { keyKindOf } from '../core/plan.ts';
import { unixPeers } from '../core/proxy-plan.ts';
import { checkAccess } from './access-shape.ts';
import { isUnixOnly } from './bind.ts';
import { checkReserves } from './check-reserves.ts';
import { checkRoutes } from './check-routes.ts';
import { checkClaims } from './claims.ts';
import type { Draft, ListenerDraft } from './draft.ts';
import { type Path, shorten, showValue } from './problem.ts';
import { type Report, reportRepeats } from './report.ts';
import { protocolsOf } from './route-shape.ts';
import { didYouMean } from './suggest.ts';
import { checkListenerOptions } from './without-effect.ts';

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
    const checkPool = (pool: string | undefined, path: Path): void => checkPoolAt(pool, path, draft, report);
    checkPool(listener.value.pool, [...listener.path, 'pool']);
    checkRoutes(listener, draft, report, checkPool);
    checkUseless(listener, draft, report);
    checkListenerOptions(listener, draft, report);
    checkAccess(listener, report);
  }
}

function checkPoolAt(pool: string | undefined, path: Path, draft: Draft, report: Report): void {
  const known = draft.poolNames;
  if (pool === undefined || known === undefined || known.has(pool)) return;
  report.problem(path, () => {
    const few = known.size > 0 && known.size <= 8 ? `; pools: ${[...known].map(shorten).join(', ')}` : '';
    return `there is no pool ${showValue(pool)}${didYouMean(pool, known) || few}`;
  });
}

/** What has no effect for what it is set to; what has none where it stands is without-effect.ts's. */
function checkUseless({ path, value }: ListenerDraft, draft: Draft, report: Report): void {
  const useless = (steps: Path, why: string): void => report.warning([...path, ...steps], why, 'key');
  const { affinity, bind, limits } = value;
  const kind = keyKindOf(affinity === undefined || affinity === 'none' ? 'none' : (affinity.key ?? 'none'));
  if (bind !== undefined && isUnixOnly(bind) && kind !== 'none' && isOfAddress(kind)) {
    useless(['affinity', 'key'], 'clients of a unix socket have no address: all of them go to one backend');
  }
  const from: unknown[] = [value.proxy_protocol?.from ?? []].flat();
  const isUnix = bind?.bind.kind === 'unix';
  if (bind !== undefined && from.length > 0 && !from.some((peer) => (peer === unixPeers) === isUnix)) {
    const why = isUnix
      ? 'whoever comes by a unix socket has no address: write unix'
      : 'nobody comes by a unix socket';
    useless(['proxy_protocol', 'from'], `no PROXY header is read: ${why}`);
  }
  if (kind === 'tlv' && value.proxy_protocol === undefined) {
    useless(['affinity', 'key'], 'no client has one: nobody says so without proxy_protocol');
  }
  if (kind === 'server-name' && !value.routes?.some((route) => protocolsOf(route).length > 0)) {
    useless(
      ['affinity', 'key'],
      'nothing on this listener reads it: all its clients are recognised by client-ip',
    );
  }
  if (kind === 'quic-id' && bind?.protocol === 'tcp') {
    useless(['affinity', 'key'], 'QUIC is spoken over UDP: all clients are recognised by client-ip here');
  }
  if (limits?.scope === 'cluster' && !draft.hasCluster)
    useless(['limits', 'scope'], 'there is no other instance to count with: there is no cluster section');
  const flows = limits?.flows;
  if (flows !== undefined && typeof draft.instanceFlows === 'number' && flows > draft.instanceFlows) {
    useless(
      ['limits', 'flows'],
      `is above limits.flows of the instance (${draft.instanceFlows}), which comes first`,
    );
  }
}
