/**
 * Host names of backends. Of several addresses the lowest counts, IPv4 before IPv6: name servers turn them with each answer, and
 * a backend must not move for that.
 */
import { Address } from '../core/address.ts';
import type { Bind } from '../core/plan.ts';
import { addressesOf } from '../rooms/look-up.ts';

/** Where a backend is. undefined: its name has no address; unanswered: nobody has said so far whether it has one. */
export type Target = Bind | 'unanswered' | undefined;
export type Ip = string | 'unanswered' | undefined;

/** Who asks for a name that is being asked for shares the answer. Never rejects. */
export async function lookUp(host: string): Promise<Ip> {
  try {
    return lowest(await addressesOf(host));
  } catch (error) {
    // EAI_AGAIN and the like are the resolver's trouble: getaddrinfo(3).
    return (error as NodeJS.ErrnoException).code === 'ENOTFOUND' ? undefined : 'unanswered';
  }
}

/** Undefined: there is none. */
export function lowest(addresses: readonly { readonly address: string }[]): string | undefined {
  const known = addresses.map(({ address }) => Address.parse(address, 0)).filter((one) => one !== undefined);
  known.sort(
    (a, b) => a.family - b.family || words(a).reduce((order, word, i) => order || word - words(b)[i]!, 0),
  );
  return known[0]?.ip;
}

function words({ w0, w1, w2, w3 }: Address): number[] {
  return [w0 >>> 0, w1 >>> 0, w2 >>> 0, w3 >>> 0];
}
