/**
 * Host names of backends. Resolved through the system's resolver (so /etc/hosts counts) away from the packet path;
 * a name that does not resolve is asked again, and what it last resolved to stays in use meanwhile.
 */
import { lookup } from 'node:dns/promises';
import type { BackendAddress, Bind } from '../../core/plan.ts';

/**
 * @returns the address to dial (IPv4 first where both exist, in the resolver's order), or undefined while the
 * name has no address
 */
export async function resolveAddress(address: BackendAddress): Promise<Bind | undefined> {
  if (address.kind !== 'name') return address;
  try {
    const { address: ip } = await lookup(address.host, { verbatim: false });
    return { kind: 'inet', ip, port: address.port };
  } catch {
    return undefined;
  }
}
