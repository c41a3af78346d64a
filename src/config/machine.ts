/**
 * What this machine says of names and addresses by itself: /etc/hosts, its own name, its interfaces. No name server is
 * asked, so nothing waits. A file may be judged on another machine than the one it is for: what only this machine says
 * of it is no more than a warning, unless it is that an address is loopback.
 */
import { closeSync, openSync, readSync } from 'node:fs';
import { hostname, networkInterfaces } from 'node:os';
import { Address } from '../core/address.ts';
import { readHosts } from '../core/hosts.ts';

/** Enough for every hosts file but the ones that block half of the internet. Bytes. */
const hostsBytesMax = 256 * 1024;

export interface LocalNames {
  /** The addresses `host` (in lower case) has without a question to the network; the first counts, IPv4 before IPv6. */
  ipOf(host: string): string | undefined;
  /** True if it is one of an interface of this machine. */
  isOwn(ip: string): boolean;
}

/** What holds on every machine: RFC 6761 section 6.3. */
export const anyMachine: LocalNames = {
  ipOf: (host) => (isLocalhost(host) ? '127.0.0.1' : undefined),
  isOwn: () => false,
};

/** What holds on this one, as it is now. */
export function thisMachine(): LocalNames {
  const hosts = readHosts(readBounded('/etc/hosts'));
  const own = ownIps();
  const name = hostname().toLowerCase();
  return {
    ipOf: (host) => {
      const known = hosts.get(host) ?? anyMachine.ipOf(host);
      // A name without a line: whatever it leads to is here.
      return known ?? (host === name ? own[0] : undefined);
    },
    isOwn: (ip) => own.includes(ip),
  };
}

function isLocalhost(host: string): boolean {
  return /^(?:.*\.)?localhost\.?$/.test(host);
}

/** Not loopback: that is everybody's. None where a sandbox does not let us look. */
function ownIps(): readonly string[] {
  try {
    return Object.values(networkInterfaces())
      .flatMap((entries) => entries ?? [])
      .filter(({ internal }) => !internal)
      .map(({ address }) => Address.parse(address, 0)?.ip ?? address);
  } catch {
    return [];
  }
}

function readBounded(path: string): string {
  const bytes = Buffer.alloc(hostsBytesMax);
  try {
    const fd = openSync(path, 'r');
    try {
      return bytes.toString('utf8', 0, readSync(fd, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(fd);
    }
  } catch {
    return '';
  }
}
