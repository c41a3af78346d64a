/**
 * Connections that the kernel turned away because nobody had accepted them in time: TcpExt of /proc/net/netstat (proc_net(5); names of
 * net/ipv4/proc.c). The kernel counts them for all listening sockets of the network namespace together, so those of other programs
 * there are in it.
 */
import { readFileSync } from 'node:fs';
import type { Family } from './family.ts';

interface ListenDrops {
  /** The accept queue was full. */
  readonly overflows: number;
  /** That, and for any other reason (no memory, a failed handshake). */
  readonly drops: number;
}

/** @returns undefined if the text does not have them */
function listenDropsIn(text: string): ListenDrops | undefined {
  const [names = [], values = []] = text
    .split('\n')
    .filter((line) => line.startsWith('TcpExt: '))
    .map((line) => line.trim().split(/\s+/));
  const of = (name: string): number => {
    const at = names.indexOf(name);
    return at < 0 || !/^\d+$/.test(values[at] ?? '') ? Number.NaN : Number(values[at]);
  };
  const [overflows, drops] = [of('ListenOverflows'), of('ListenDrops')];
  return Number.isNaN(overflows + drops) ? undefined : { overflows, drops };
}

/**
 * Read when somebody asks for the page, once for all of them: what stands on a page is of one moment. Left out where nothing can be read
 * (outside Linux).
 * @param read the text of netstat; default: of this network namespace
 */
export function listenDropFamilies(read = readNetstat): Family[] {
  let found: ListenDrops | undefined;
  /** Who has had what was found last. */
  const had = new Set<string>();
  const foundFor = (name: string): ListenDrops | undefined => {
    if (had.size === 0 || had.has(name)) {
      found = listenDropsIn(read());
      had.clear();
    }
    had.add(name);
    return found;
  };
  const family = (name: string, help: string, of: (found: ListenDrops) => number): Family => ({
    name,
    help,
    type: 'counter',
    labels: [],
    read: (add) => {
      const drops = foundFor(name);
      if (drops !== undefined) add(of(drops));
    },
  });
  return [
    family(
      'pinion_kernel_listen_overflows_total',
      'TCP connections that the kernel turned away because the accept queue of a listening socket was full (tcp.backlog, net.core.somaxconn). Of all programs in this network namespace.',
      ({ overflows }) => overflows,
    ),
    family(
      'pinion_kernel_listen_drops_total',
      'TCP connections that the kernel turned away at listening sockets for any reason, full accept queues included. Of all programs in this network namespace.',
      ({ drops }) => drops,
    ),
  ];
}

function readNetstat(): string {
  try {
    return readFileSync('/proc/self/net/netstat', 'latin1');
  } catch {
    return '';
  }
}
