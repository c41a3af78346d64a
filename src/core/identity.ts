/**
 * What was learned of a client before its flow was opened: by a PROXY header, by the name it asked for. Plain facts, which
 * routing, affinity, logs and explain read; each step of worker/identify/ adds its own.
 */

import type { ProxyHeader } from '../wire/proxy-header.ts';
import type { Address } from './address.ts';
import type { ListenerPlan } from './plan.ts';

export interface Identity {
  /** Who connected: a proxy that told who its client is, else the client itself. */
  readonly peer: Address;
  /** Our address that `peer` used; the flow's `local` may be what a proxy said. */
  readonly peerLocal: Address;
  /** What `peer` said of its client, as a proxy; absent: it had to say nothing. */
  readonly header?: ProxyHeader;
}

/** Whether something has to be read of the clients of a listener before their flows are opened. */
export function identifies({ proxyProtocol }: ListenerPlan): boolean {
  return proxyProtocol !== undefined;
}

/** Whether in each datagram of its proxies something stands before the client's bytes. */
export function hasPrefaces({ protocol, proxyProtocol }: ListenerPlan): boolean {
  return protocol === 'udp' && proxyProtocol?.udp === 'every';
}
