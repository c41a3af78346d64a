/**
 * Host names of backends. Resolved through the system's resolver (so /etc/hosts counts), IPv4 first where a name has
 * both, in the resolver's order.
 */
import { lookup } from 'node:dns/promises';
import type { Bind } from '../core/plan.ts';

/** Where a backend is. undefined: its name has no address; unanswered: nobody has said so far whether it has one. */
export type Target = Bind | 'unanswered' | undefined;
export type Ip = string | 'unanswered' | undefined;

/** By host. A name server that is away takes many seconds to be given up, and few threads wait for it. */
const underWay = new Map<string, Promise<Ip>>();

/** Who asks for a name that is being asked for shares the answer. Never rejects. */
export function lookUp(host: string): Promise<Ip> {
  const shared = underWay.get(host);
  if (shared !== undefined) return shared;
  const own: Promise<Ip> = lookup(host, { verbatim: false })
    .then(
      ({ address }) => address,
      // EAI_AGAIN and the like are the resolver's trouble: getaddrinfo(3).
      ({ code }: NodeJS.ErrnoException) => (code === 'ENOTFOUND' ? undefined : 'unanswered'),
    )
    .finally(() => underWay.delete(host));
  underWay.set(host, own);
  return own;
}
