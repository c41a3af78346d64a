/** Who has to begin with a PROXY header and is believed, and nobody else: the peers that `proxy_protocol.from` of a listener names. */
import type { Address } from './address.ts';
import { AddressRanges, RangesBuilder } from './address-ranges.ts';
import { parseCidr } from './cidr.ts';
import { type ProxyInPlan, unixPeers } from './proxy-plan.ts';

/** By plan: a reload brings new ones. */
const peers = new WeakMap<ProxyInPlan, AddressRanges>();

/**
 * Whether `peer` has to begin with a header. Asked of each connection, and over UDP of each datagram: no scan, no objects.
 * @param isUnix it has come by a unix socket
 */
export function mustTell(plan: ProxyInPlan, peer: Address, isUnix: boolean): boolean {
  if (isUnix) return plan.from.includes(unixPeers);
  let ranges = peers.get(plan);
  if (ranges === undefined) {
    const builder = new RangesBuilder();
    for (const cidr of plan.from.flatMap((text) => parseCidr(text) ?? [])) builder.add(cidr, 1);
    ranges = new AddressRanges(builder.build());
    peers.set(plan, ranges);
  }
  return ranges.has(peer);
}
