/**
 * What was learned of a client before its flow was opened: by a PROXY header, by the name it asked for. Plain facts, which
 * routing, affinity, logs and explain read; each step of worker/identify/ adds its own.
 */
import type { ProxyHeader } from '../wire/proxy-header.ts';
import type { Address } from './address.ts';
import type { AffinityKey, ListenerPlan } from './plan.ts';
import type { RouteFound, Spoken } from './routes.ts';

export interface Identity {
  /** Who connected: a proxy that told who its client is, else the client itself. */
  readonly peer: Address;
  /** Our address that `peer` used; the flow's `local` may be what a proxy said. */
  readonly peerLocal: Address;
  /** What `peer` said of its client, as a proxy; absent: it had to say nothing. */
  readonly header?: ProxyHeader;
  /** What its listener's key is made of, where that is a piece of what it says: so many bytes at a place, or a connection id. */
  readonly payload?: Uint8Array;
  /** What it speaks, and whom it asks for. Absent: it was not read, or was nothing of these. */
  readonly spoken?: Spoken;
  /** PostgreSQL: it was told that it may speak TLS, which its backend has to be asked. */
  readonly hasAskedForTls?: boolean;
  /** Where it belongs. Absent: its listener has no routes. */
  readonly route?: RouteFound;
}

/** Whether something has to be read of the clients of a listener before their flows are opened. */
export function identifies({ proxyProtocol, rebind, affinity: { key }, routes = [] }: ListenerPlan): boolean {
  const isPiece = typeof key === 'object' && 'payload' in key;
  if (proxyProtocol !== undefined || rebind !== undefined || isPiece || key === 'quic-id') return true;
  return routes.some(({ protocol, firstBytesHex }) => protocol !== undefined || firstBytesHex !== undefined);
}

/** What a client says of what its listener recognises clients by; undefined: nothing. */
export function toldBytes(key: AffinityKey, identity: Identity): Uint8Array | undefined {
  if (key === 'server-name') {
    const name = identity.spoken?.name?.toLowerCase().replace(/\.$/, '');
    return name === undefined ? undefined : new TextEncoder().encode(name);
  }
  if (key === 'quic-id') return identity.payload;
  if (typeof key === 'string') return undefined;
  if ('payload' in key) return identity.payload;
  return identity.header?.tlvs.find(({ type }) => type === key.tlv)?.value;
}

/** Whether in each datagram of its proxies something stands before the client's bytes. */
export function hasPrefaces({ protocol, proxyProtocol }: ListenerPlan): boolean {
  return protocol === 'udp' && proxyProtocol?.udp === 'every';
}
