/**
 * How the flows of an instance are shared out among its listeners, so that none can be starved by another: what each has
 * for itself (`limits.reserve`), and what UDP, whose clients may be forged, may have of the rest (`limits.udp_share`).
 */
import { reserveShareAuto } from './limits.ts';
import type { ListenerPlan } from './plan.ts';

/** Numbers of flows. */
export interface FlowShares {
  /** In the order of the listeners. */
  readonly reserves: readonly number[];
  /** In nobody's reserve. */
  readonly commonMax: number;
  /** Of those, for UDP listeners together. */
  readonly udpCommonMax: number;
}

type Sharing = Pick<ListenerPlan, 'protocol' | 'limits'>;

/** What UDP listeners may have of `flowsMax`, reserves included: all of it where nobody else needs any. */
export function udpFlowsMax(listeners: readonly Sharing[], flowsMax: number, udpShare: number): number {
  const hasTcp = listeners.some(({ protocol }) => protocol === 'tcp');
  return hasTcp ? Math.max(1, Math.floor(flowsMax * udpShare)) : flowsMax;
}

/** Reserves that were asked for by number: of all listeners, and of those for UDP. */
export function reservesAsked(listeners: readonly Sharing[]): { readonly all: number; readonly udp: number } {
  const sum = (of: readonly Sharing[]): number =>
    of.reduce((total, { limits: { reserve } }) => total + (reserve === 'auto' ? 0 : reserve), 0);
  return { all: sum(listeners), udp: sum(listeners.filter(({ protocol }) => protocol === 'udp')) };
}

/** Reserves that do not fit (the checks of the configuration and of the start refuse them) are cut in turn. */
export function shareFlows(listeners: readonly Sharing[], flowsMax: number, udpShare: number): FlowShares {
  const udpMax = udpFlowsMax(listeners, flowsMax, udpShare);
  const asked = reservesAsked(listeners);
  const autos = listeners.filter(({ limits }) => limits.reserve === 'auto');
  const udpAutos = autos.filter(({ protocol }) => protocol === 'udp').length;
  const auto = Math.min(
    Math.floor((flowsMax * reserveShareAuto) / Math.max(1, listeners.length)),
    Math.floor(Math.max(0, flowsMax - asked.all) / Math.max(1, autos.length)),
  );
  const udpAuto = Math.min(auto, Math.floor(Math.max(0, udpMax - asked.udp) / Math.max(1, udpAutos)));
  let left = flowsMax;
  let udpLeft = udpMax;
  const reserves = listeners.map(({ protocol, limits: { flows, reserve } }) => {
    const isUdp = protocol === 'udp';
    const wanted = reserve === 'auto' ? (isUdp ? udpAuto : auto) : reserve;
    const own = Math.min(wanted, left, isUdp ? udpLeft : left, flows === 0 ? flowsMax : flows);
    left -= own;
    if (isUdp) udpLeft -= own;
    return own;
  });
  return { reserves, commonMax: left, udpCommonMax: Math.min(left, udpLeft) };
}
