/**
 * Host names, through the system's resolver (so /etc/hosts counts). A name server that is silent takes many seconds to be
 * given up, and of libuv's threads two wait for names, for all rooms together: whoever asks for a name that is being
 * asked for shares the answer, so that one name never has more than one of them in each room.
 */
import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';

const underWay = new Map<string, Promise<readonly LookupAddress[]>>();

/**
 * All addresses of a host, at least one, in the resolver's order. Rejects with what the resolver said.
 * @param hints flags for getaddrinfo(3)
 */
export function addressesOf(host: string, hints = 0): Promise<readonly LookupAddress[]> {
  const question = `${hints} ${host}`;
  const shared = underWay.get(question);
  if (shared !== undefined) return shared;
  const own = lookup(host, { all: true, verbatim: true, hints }).finally(() => underWay.delete(question));
  underWay.set(question, own);
  return own;
}
