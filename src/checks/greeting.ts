/**
 * What a check says first where backends are told of their clients by PROXY headers: that it comes for nobody. A server that
 * requires the header would refuse the check without it, and one that does not would take it for nonsense. So it is said where
 * clients go, and neither at another port or address nor to who speaks for the server.
 */
import type { Bind, HealthPlan } from '../core/plan.ts';
import { writeProxyHeader, writeProxyLine } from '../wire/proxy-header.ts';
import { dialectOf } from './dialects.ts';
import { isElsewhere } from './reach.ts';

/** @param target where clients go */
export function greetingOf(plan: HealthPlan, target: Bind): Uint8Array | undefined {
  const { proxyVersion, proxyOver = ['tcp'], type, options } = plan;
  if (proxyVersion === undefined || isElsewhere(plan, target)) return undefined;
  const reach = dialectOf(type)?.reach?.(options);
  // A TCP check of a server whose clients come over UDP meets another door, which may know nothing of headers.
  if (reach === 'beside' || !proxyOver.includes(reach === 'udp' ? 'udp' : 'tcp')) return undefined;
  if (proxyVersion === 1) return writeProxyLine(undefined, undefined);
  const nobody = { source: undefined, destination: undefined };
  return writeProxyHeader({ isLocal: true, transport: 'stream', ...nobody });
}
