/**
 * Whose a UDP datagram of a proxy is: the PROXY header that stands before the client's bytes (wire/proxy-header.ts), in the first
 * datagram of a conversation or in each.
 *
 * As over TCP nothing is guessed: from a peer in `from` a datagram that must have a header and has none is dropped, and from
 * everybody else a header is the client's own bytes. A header of version 1 is read as well, though it speaks of TCP: nginx sends it
 * before a first datagram.
 */
import type { Address } from '../../core/address.ts';
import type { Identity } from '../../core/identity.ts';
import { mustTell } from '../../core/proxy-peers.ts';
import type { ProxyInPlan } from '../../core/proxy-plan.ts';
import type { Preface } from '../../engine/engine.ts';
import { type ProxyHeader, readProxyHeader } from '../../wire/proxy-header.ts';

/** Of whom a first datagram is, and how much of it is not for the backend. */
export interface DatagramClient {
  readonly identity: Identity;
  readonly client: Address;
  readonly local: Address;
  readonly consumed: number;
}

/** @returns undefined: its sender is the client, and all of it is for the backend */
export function clientOfDatagram(
  plan: ProxyInPlan,
  peer: Address,
  local: Address,
  datagram: Uint8Array,
): DatagramClient | 'proxy-header' | undefined {
  const header = headerOf(plan, peer, datagram);
  if (typeof header !== 'object') return header;
  const told = addressesOf(header);
  return {
    identity: { peer, peerLocal: local, header },
    client: told?.source ?? peer,
    local: told?.destination ?? local,
    consumed: header.length,
  };
}

/** @returns undefined: as {@link clientOfDatagram} */
export function prefaceOf(
  plan: ProxyInPlan,
  peer: Address,
  datagram: Uint8Array,
): Preface | 'proxy-header' | undefined {
  const header = headerOf(plan, peer, datagram);
  if (typeof header !== 'object') return header;
  const told = addressesOf(header);
  return {
    about: told === undefined ? 'itself' : `${told.source} ${told.destination}`,
    length: header.length,
  };
}

/** A datagram is whole: what is no header yet will not become one. @returns undefined: its sender has to tell nothing */
function headerOf(
  plan: ProxyInPlan,
  peer: Address,
  datagram: Uint8Array,
): ProxyHeader | 'proxy-header' | undefined {
  if (!mustTell(plan, peer, false)) return undefined;
  const header = readProxyHeader(datagram);
  return typeof header === 'object' ? header : 'proxy-header';
}

function addressesOf({ version, transport, addresses }: ProxyHeader): ProxyHeader['addresses'] {
  return version === 1 || transport === 'datagram' ? addresses : undefined;
}
