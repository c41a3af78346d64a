/**
 * What of a plan's socket options node:net and node:dgram can do: the source address of a dial, in turn if there
 * are several. A source address without a free port is a `local-fault`; the next dial uses the next one.
 */
import { isIPv6 } from 'node:net';
import type { ListenerPlan, UpstreamPlan } from '../../core/plan.ts';

export class SourceAddresses {
  #turn = 0;

  /** The address the next dial to `targetIp` leaves from; undefined: the kernel's choice. */
  next(upstream: UpstreamPlan | undefined, targetIp: string): string | undefined {
    if (upstream === undefined) return undefined;
    const fitting = upstream.sources.filter((ip) => isIPv6(ip) === isIPv6(targetIp));
    return fitting[this.#turn++ % fitting.length];
  }
}

/** The keys of the file this engine goes without. */
export function ignoredOptions({ bind, tcp, upstream }: ListenerPlan): string[] {
  const ignored: Readonly<Record<string, boolean>> = {
    bind_device: bind.kind === 'inet' && bind.device !== undefined,
    'tcp.keepalive_interval': tcp.keepAliveIntervalMs !== undefined,
    'tcp.keepalive_probes': tcp.keepAliveProbes !== undefined,
    'tcp.user_timeout': tcp.userTimeoutMs !== undefined,
    'tcp.fast_open': tcp.fastOpenQueue !== undefined,
    'tcp.receive_buffer': tcp.receiveBufferBytes !== undefined,
    'tcp.send_buffer': tcp.sendBufferBytes !== undefined,
    'transparent of its pool': upstream?.transparent === true,
    'mark of its pool': upstream?.mark !== undefined,
    'device of its pool': upstream?.device !== undefined,
  };
  return Object.keys(ignored).filter((key) => ignored[key] === true);
}
