/**
 * What of a plan's socket options node:net and node:dgram can do: the source address of a dial, in turn if there
 * are several. A source address without a free port is a `local-fault`; the next dial uses the next one.
 */
import { isIPv6 } from 'node:net';
import type { UpstreamPlan } from '../../core/plan.ts';

export class SourceAddresses {
  #turn = 0;

  /** The address the next dial to `targetIp` leaves from; undefined: the kernel's choice. */
  next(upstream: UpstreamPlan | undefined, targetIp: string): string | undefined {
    if (upstream === undefined) return undefined;
    const fitting = upstream.sources.filter((ip) => isIPv6(ip) === isIPv6(targetIp));
    return fitting[this.#turn++ % fitting.length];
  }
}
