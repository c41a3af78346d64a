/** Connections of a socket with itself (core/self-connection.ts), as the kernel shows them. */
import { readFileSync } from 'node:fs';
import { inet6Bytes } from '../wire/sockaddr.ts';
import { Arena } from './arena.ts';
import { AF_INET, AF_UNIX } from './constants.ts';
import type { Endpoint } from './endpoint.ts';
import { type Descriptor, socketName } from './libc.ts';

const own = new Arena(inet6Bytes).cut(inet6Bytes);

/** Whether a socket that connects, or has connected, to `endpoint` leads to itself. Costs a call only where it may. */
export function leadsToItself(fd: Descriptor, endpoint: Endpoint): boolean {
  if (!isDrawn(endpoint) || socketName(fd, own) < 0) return false;
  const { family, bytes } = endpoint;
  const isSame = (from: number, end: number): boolean => {
    for (let i = from; i < end; i++) if (own.bytes[i] !== bytes[i]) return false;
    return true;
  };
  // sockaddr_in: family, port, address. sockaddr_in6: flow information lies between port and address.
  return family === AF_INET ? isSame(0, 8) : isSame(0, 4) && isSame(8, 24);
}

/** Whether the kernel may give the port of `endpoint` to a dial. The range is the namespace's, read once. */
function isDrawn({ family, bytes }: Endpoint): boolean {
  if (family === AF_UNIX) return false;
  const port = bytes[2]! * 256 + bytes[3]!;
  return port >= lowestDrawn && port <= highestDrawn;
}

const [lowestDrawn, highestDrawn] = drawnPorts();

/** ip_local_port_range, which IPv6 has as well; all ports where it cannot be read. */
function drawnPorts(): readonly [number, number] {
  try {
    const [low = 0, high = 65_535] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1')
      .trim()
      .split(/\s+/)
      .map(Number);
    return [low, high];
  } catch {
    return [0, 65_535];
  }
}
