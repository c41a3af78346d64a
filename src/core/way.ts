/**
 * The way of a UDP conversation to its backend: where the backend is, and how what is sent there leaves this machine. A
 * reload or a name look-up may change it while the conversation is open; then it goes on by the new way.
 */
import type { Bind, UpstreamPlan } from './plan.ts';

export interface Way {
  readonly target: Bind | undefined;
  readonly upstream: UpstreamPlan | undefined;
}

/** By value: every snapshot brings new objects. */
export function isSameWay(one: Way, other: Way): boolean {
  return isSameTarget(one.target, other.target) && isSameUpstream(one.upstream, other.upstream);
}

export function isSameTarget(one: Bind | undefined, other: Bind | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  if (one.kind === 'unix' || other.kind === 'unix') {
    return one.kind === 'unix' && other.kind === 'unix' && one.path === other.path;
  }
  return one.ip === other.ip && one.port === other.port && one.portShift === other.portShift;
}

function isSameUpstream(one: UpstreamPlan | undefined, other: UpstreamPlan | undefined): boolean {
  if (one === other) return true;
  if (one === undefined || other === undefined) return false;
  return (
    one.transparent === other.transparent &&
    one.mark === other.mark &&
    one.device === other.device &&
    one.sources.length === other.sources.length &&
    one.sources.every((source, i) => source === other.sources[i])
  );
}
