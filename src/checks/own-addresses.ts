/**
 * Which addresses are this machine's. The list of its interfaces says it, where a sandbox lets us read that (AF_NETLINK).
 * Elsewhere the kernel's routing can be asked of one address at a time.
 */
import { createSocket } from 'node:dgram';
import { networkInterfaces } from 'node:os';
import { Address } from '../core/address.ts';

/** Undefined where they may not be listed. */
export function machineIps(): string[] | undefined {
  let interfaces: ReturnType<typeof networkInterfaces>;
  try {
    interfaces = networkInterfaces();
  } catch {
    return undefined;
  }
  return Object.values(interfaces).flatMap((entries) => (entries ?? []).map(({ address }) => address));
}

/**
 * Whether what is sent to `ip` comes to this machine. Sends nothing: a UDP socket is connected, and the kernel sends from the
 * destination itself when that is one of its own (ip_route_output_key_hash_rcu in net/ipv4/route.c; RFC 6724, rule 1).
 */
export async function leadsHere(ip: string): Promise<boolean> {
  const address = Address.parse(ip, 0);
  if (address === undefined) return false;
  if (address.isLoopback || address.isWildcard) return true;
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  return new Promise((resolve) => {
    const finish = (isHere: boolean): void => {
      socket.close();
      resolve(isHere);
    };
    // No way there, no descriptor: nothing that comes back either.
    socket.once('error', () => finish(false));
    socket.connect(discardPort, ip, () => {
      const from = Address.parse(socket.address().address, 0);
      finish(from?.equals(address) === true);
    });
  });
}

/** RFC 863. Nothing is sent to it: a port is only needed to ask. */
const discardPort = 9;
