/** The works in the order of the table. */
import type { Work } from './work.ts';
import { bulk } from './works/bulk.ts';
import { connections } from './works/connections.ts';
import { idle } from './works/idle.ts';
import { latency } from './works/latency.ts';
import { requests } from './works/requests.ts';
import { udpFew, udpMany } from './works/udp.ts';

export function allWorks(): readonly Work[] {
  return [requests, connections, bulk, idle, udpFew, udpMany, latency()];
}

/** Works by name, or by the part of the name before a dash (`udp` is both). */
export function selectWorks(names: readonly string[] | undefined): readonly Work[] {
  const works = allWorks();
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
