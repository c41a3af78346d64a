/**
 * Who sends to a backend over UDP: how many clients share in what is not answered. One client alone is no witness against a server,
 * which may well ignore what it does not like.
 */
import type { Address } from '../core/address.ts';
import type { FlowRegistry } from './flow-registry.ts';

/**
 * @param sinceMs only those who were seen to send since then, on the clock of the flows
 * @returns at most so many: an IPv4 address, or the /64 of an IPv6 address, within which a client can take any
 */
export function sendersTo(
  registry: Pick<FlowRegistry, 'select'>,
  backendId: number,
  sinceMs: number,
  most: number,
): string[] {
  const senders = new Set<string>();
  registry.select(({ backend, listener, client, sentAtMs }) => {
    if (backend?.id === backendId && listener.plan.protocol === 'udp' && sentAtMs >= sinceMs)
      senders.add(hostOf(client));
    return senders.size >= most;
  }, 1);
  return [...senders];
}

function hostOf(client: Address): string {
  return client.family === 4 ? String(client.w3) : `${client.w0}:${client.w1}`;
}
