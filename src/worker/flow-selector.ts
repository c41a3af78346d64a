/** Which open flows an order of control means, as a question that is asked of each flow. */
import type { Flow } from '../core/flow.ts';
import { isSameWay, type Way } from '../core/way.ts';
import type { FlowSelector } from './messages-to-worker.ts';

/** How a TCP flow's backend was dialled, or is being. */
export function wayOf({ backend, listener }: Flow): Way {
  return { target: backend?.target, upstream: listener.plan.upstream };
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
      return (flow) => flow.listener.id === select.listenerId;
    case 'pool':
      return ({ listener: { plan } }) => plan.pool === select.pool && plan.protocol === select.protocol;
    case 'flow':
      return (flow) => flow.id === select.flowId;
    case 'all':
      return () => true;
  }
}
