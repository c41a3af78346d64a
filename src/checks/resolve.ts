/**
 * Host names of backends. Resolved through the system's resolver (so /etc/hosts counts), IPv4 first where a name has
 * both, in the resolver's order.
 */
import type { Bind } from '../core/plan.ts';
import { addressesOf } from '../rooms/look-up.ts';

/** Where a backend is. undefined: its name has no address; unanswered: nobody has said so far whether it has one. */
export type Target = Bind | 'unanswered' | undefined;
export type Ip = string | 'unanswered' | undefined;

/** Who asks for a name that is being asked for shares the answer. Never rejects. */
export async function lookUp(host: string): Promise<Ip> {
  try {
    const addresses = await addressesOf(host);
    return (addresses.find(({ family }) => family === 4) ?? addresses[0])?.address;
  } catch (error) {
    // EAI_AGAIN and the like are the resolver's trouble: getaddrinfo(3).
    return (error as NodeJS.ErrnoException).code === 'ENOTFOUND' ? undefined : 'unanswered';
  }
}
