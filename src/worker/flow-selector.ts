/** Which open flows an order of control means, as a question that is asked of each flow. */
import { coverage } from '../core/binds.ts';
import { flowMatcher } from '../core/client-matcher.ts';
import type { Flow } from '../core/flow.ts';
import { isSameWay, type Way } from '../core/way.ts';
import type { FlowSelector } from './messages-to-worker.ts';

type OfListener = Extract<FlowSelector, { by: 'listener' }>;
type ByOperator = Extract<FlowSelector, { by: 'operator' }>;

/** How a TCP flow's backend was dialled, or is being. */
export function wayOf({ backend, upstream }: Flow): Way {
  return { target: backend?.target, upstream };
}

export function matcher(select: FlowSelector): (flow: Flow) => boolean {
  switch (select.by) {
    case 'backend':
      return (flow) =>
        flow.backend?.id === select.backendId &&
        (select.connectedBeforeMs === undefined || flow.connectedAtMs < select.connectedBeforeMs) &&
        (select.protocol === undefined || select.protocol === flow.listener.plan.protocol) &&
        (select.way === undefined ||
          flow.listener.plan.protocol === 'udp' ||
          isSameWay(wayOf(flow), select.way));
    case 'listener':
      return ofListener(select);
    case 'pool':
      return ({ listener: { plan }, poolName }) =>
        poolName === select.pool && plan.protocol === select.protocol;
    case 'operator':
      return byOperator(select);
    case 'flow':
      return (flow) => flow.id === select.flowId;
    case 'all':
      return () => true;
  }
}

/** Of who came through a proxy `local` is what the proxy was reached at: such a flow stays. */
function ofListener({ listenerId, outside }: OfListener): (flow: Flow) => boolean {
  if (outside === undefined) return (flow) => flow.listener.id === listenerId;
  const isCovered = coverage(outside);
  return ({ listener, identity, local }) =>
    listener.id === listenerId && identity === undefined && !isCovered(local);
}

function byOperator({ filter, pools, openedBeforeMs }: ByOperator): (flow: Flow) => boolean {
  const { listener, backend, client, movedTo } = filter;
  const isMeant = client === undefined ? undefined : flowMatcher(client);
  const poolNames = new Set(pools);
  return (flow) => {
    const { plan } = flow.listener;
    if (openedBeforeMs !== undefined && flow.startedAtMs >= openedBeforeMs) return false;
    if (listener !== undefined && plan.name !== listener) return false;
    if (!poolNames.has(flow.poolName)) return false;
    if (backend !== undefined && flow.backend?.name !== backend) return false;
    if (isMeant !== undefined && !isMeant(flow)) return false;
    if (movedTo === undefined) return true;
    return flow.backend !== undefined && flow.backend.name !== movedTo && plan.affinity.key !== 'none';
  };
}
