/**
 * Host names of backends. Resolved through the system's resolver (so /etc/hosts counts) away from the packet path;
 * a name that does not resolve is asked again, and what it last resolved to stays in use meanwhile.
 */
import { lookup } from 'node:dns/promises';
import type { BackendAddress, Bind } from '../../core/plan.ts';

/** By host. A name server that is away takes many seconds to be given up, and few threads wait for it. */
const underWay = new Map<string, Promise<string | undefined>>();

/**
 * Who asks for a name that is being asked for shares the answer.
 * @returns the address to dial (IPv4 first where both exist, in the resolver's order), or undefined while the
 * name has no address
 */
export async function resolveAddress(address: BackendAddress): Promise<Bind | undefined> {
  if (address.kind !== 'name') return address;
  const ip = await ipOf(address.host);
  return ip === undefined ? undefined : { kind: 'inet', ip, port: address.port };
}

function ipOf(host: string): Promise<string | undefined> {
  const shared = underWay.get(host);
  if (shared !== undefined) return shared;
  const own = lookup(host, { verbatim: false })
    .then(
      ({ address }) => address,
      () => undefined,
    )
    .finally(() => underWay.delete(host));
  underWay.set(host, own);
  return own;
}
