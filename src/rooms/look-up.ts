/**
 * Host names. A name that only a name server can know is asked for over the network, asynchronously: any number of names at once, and
 * one whose server is silent delays no other. What the machine itself knows (/etc/hosts, names of one label, which its search list
 * completes, and what the name server has never heard of) is asked of the system's resolver, getaddrinfo(3). That has two
 * threads for all rooms together and takes many seconds to give a silent server up, which is why it comes last.
 *
 *    in /etc/hosts, of one label, or to be completed by the search list --> getaddrinfo
 *    else A and AAAA --> addresses | no such name, or refused --> getaddrinfo | nobody answers --> EAI_AGAIN
 *
 * Who asks for a name that is being asked for shares the answer.
 */
import type { LookupAddress } from 'node:dns';
import { lookup, Resolver } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { readHosts } from '../core/hosts.ts';

/** For one question to one server; a second one follows. resolv.conf(5) says 5 s, and means that somebody waits. Milliseconds. */
const questionMs = 2_000;
const tries = 2;
/** Once there are IPv4 addresses, so long those of IPv6 are waited for: servers that drop AAAA are common. Milliseconds. */
const otherFamilyMs = 200;

const underWay = new Map<string, Promise<readonly LookupAddress[]>>();

/**
 * All addresses of a host, at least one; IPv4 first. Rejects with what the resolver said: the code is ENOTFOUND where the name
 * has none, and another where nobody could say.
 * @param hints flags for getaddrinfo(3)
 */
export function addressesOf(host: string, hints = 0): Promise<readonly LookupAddress[]> {
  const question = `${hints} ${host}`;
  const shared = underWay.get(question);
  if (shared !== undefined) return shared;
  const own = find(host, hints).finally(() => underWay.delete(question));
  underWay.set(question, own);
  return own;
}

async function find(host: string, hints: number): Promise<readonly LookupAddress[]> {
  const asksSystem = (): Promise<LookupAddress[]> => lookup(host, { all: true, verbatim: true, hints });
  if (isLocal(host)) return asksSystem();
  const found = await askServers(host).catch(noneIfAnswered);
  // The search list, mDNS and what else nsswitch.conf(5) names.
  return found.length > 0 ? found : asksSystem();
}

/** Names that no name server is to be asked for. */
function isLocal(host: string): boolean {
  const name = host.toLowerCase();
  return (
    /\.(?:localhost|local)\.?$/.test(name) || isCompleted(name) || readHosts(readText('/etc/hosts')).has(name)
  );
}

/** Whether the resolver tries the name with the domains of its search list first: resolv.conf(5), search and ndots. */
function isCompleted(name: string): boolean {
  if (name.endsWith('.')) return !name.slice(0, -1).includes('.');
  const dots = name.split('.').length - 1;
  if (dots === 0) return true;
  const lines = readText('/etc/resolv.conf').split('\n');
  if (!lines.some((line) => /^\s*(?:search|domain)\s+\S/.test(line))) return false;
  const ndots = lines
    .map((line) => /^\s*options\s.*\bndots:(\d+)/.exec(line)?.[1])
    .findLast((one) => one !== undefined);
  return dots < Number(ndots ?? 1);
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Empty: there is no such name, or it has no address. Rejects when nobody could say. */
async function askServers(host: string): Promise<LookupAddress[]> {
  // A new one each time follows a resolv.conf that changes.
  const resolver = new Resolver({ timeout: questionMs, tries });
  const ask = async (family: 4 | 6): Promise<LookupAddress[]> => {
    const addresses = await (family === 4 ? resolver.resolve4(host) : resolver.resolve6(host)).catch(
      noneOrFault,
    );
    return addresses.map((address) => ({ address, family }));
  };
  const [four, six] = [ask(4), ask(6)];
  six.catch(() => {});
  // Without an answer for IPv4 nobody knows whether it has such an address, and those come first.
  const v4 = await four;
  if (v4.length === 0) return six;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<LookupAddress[]>((resolve) => {
    timer = setTimeout(resolve, otherFamilyMs, []);
  });
  const v6 = await Promise.race([six.catch(() => []), late]);
  clearTimeout(timer);
  return [...v4, ...v6];
}

/** ENODATA: the name is there and has no address of this family. */
function noneOrFault(error: NodeJS.ErrnoException): string[] {
  if (error.code === 'ENOTFOUND' || error.code === 'ENODATA') return [];
  throw error;
}

/** A server that refuses, fails, or is not there says so at once: then the system is asked, which knows more ways. */
function noneIfAnswered(error: NodeJS.ErrnoException): LookupAddress[] {
  if (error.code !== 'ETIMEOUT' && error.code !== 'ECANCELLED') return [];
  // As getaddrinfo(3) says it: the resolver's trouble, not the name's.
  throw Object.assign(error, { code: 'EAI_AGAIN' });
}
