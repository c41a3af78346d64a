/** The works in the order of the table. */
import type { Work } from './work.ts';
import { bulk } from './works/bulk.ts';
import { connections } from './works/connections.ts';
import { idle } from './works/idle.ts';
import { latency } from './works/latency.ts';
import { requests, smallRequests } from './works/requests.ts';
import { udpFew, udpMany } from './works/udp.ts';

export function allWorks(): readonly Work[] {
  return [requests, connections, bulk, idle, udpFew, udpMany, latency()];
}

/** Those that a relay of the kernel is asked to do; the first with a load that is lighter than the relays. */
export function kernelWorks(): readonly Work[] {
  return [smallRequests, connections, udpFew, udpMany, bulk, latency()];
}

/** Works by name, or by the part of the name before a dash (`udp` is both). */
export function selectWorks(works: readonly Work[], names: readonly string[] | undefined): readonly Work[] {
  if (names === undefined) return works;
  const unknown = names.find((name) => !works.some((work) => matches(work, name)));
  if (unknown !== undefined) {
    throw new Error(`no work is called ${unknown}; there are ${works.map((work) => work.name).join(', ')}`);
  }
  return works.filter((work) => names.some((name) => matches(work, name)));
}

function matches(work: Work, name: string): boolean {
  return work.name === name || work.name.startsWith(`${name}-`);
}
