/** /etc/hosts: what this machine says of names by itself. hosts(5) */
import { Address } from './address.ts';

/** The lines of hosts(5): an address and its names. Of several addresses the one that a dial takes. */
export function readHosts(text: string): ReadonlyMap<string, string> {
  const hosts = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [ip = '', ...names] = (line.split('#', 1)[0] ?? '').split(/\s+/).filter((word) => word !== '');
    const address = Address.parse(ip, 0);
    if (address === undefined) continue;
    for (const name of names.map((word) => word.toLowerCase())) {
      const known = hosts.get(name);
      if (known === undefined || (known.includes(':') && address.family === 4)) hosts.set(name, address.ip);
    }
  }
  return hosts;
}
