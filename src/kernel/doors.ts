/**
 * Where clients come to the kernel's listeners, and where answers of their backends come from: what the first packet of a connection is
 * looked up by.
 *
 * A backend's packet that no entry of conntrack knows (a takeover, a lost table) leaves from the listener's address again. That is
 * possible where backend, port and protocol lead back to one address only; where they lead to several, such a packet is dropped: its
 * client would answer a stranger with a reset. The client's own next packet then makes the entry.
 */
import { Address } from '../core/address.ts';
import { bindsOf } from '../core/binds.ts';
import type { Bind, Protocol } from '../core/plan.ts';
import { safeName } from './layout.ts';
import type { KernelListener } from './view.ts';

export type Family = 4 | 6;
export const families: readonly Family[] = [4, 6];

export interface Door {
  readonly family: Family;
  /** Undefined: any address of this machine. */
  readonly ip: string | undefined;
  readonly port: number;
}

/** `[::]` takes clients of both families, as a socket of its address does. */
export function doorsOf({ view: { plan } }: KernelListener): Door[] {
  return bindsOf(plan).flatMap((bind): Door[] => {
    const address = bind.kind === 'inet' ? Address.parse(bind.ip, bind.port) : undefined;
    if (address === undefined) return [];
    const { family, port } = address;
    if (!address.isWildcard) return [{ family, ip: address.ip, port }];
    const any = { ip: undefined, port };
    return family === 4 ? [{ family: 4, ...any }] : families.map((each) => ({ family: each, ...any }));
  });
}

/** Of the families that clients can come by. */
export function familiesOf(listener: KernelListener): Family[] {
  const has = new Set(doorsOf(listener).map(({ family }) => family));
  return families.filter((family) => has.has(family));
}

export function doorKey(protocol: Protocol, { ip, port }: Pick<Door, 'ip' | 'port'>): string {
  return ip === undefined ? `${protocol} . ${port}` : `${ip} . ${protocol} . ${port}`;
}

/**
 * Where clients of a listener are led: `10.0.0.1 . 80`, or `10.0.0.1` where the port stays.
 * @returns undefined: nowhere, as it has no address of IP, or the listener has no port that could be counted from
 */
export function targetText(target: Bind | undefined, listener: KernelListener): string | undefined {
  if (target?.kind !== 'inet') return undefined;
  const address = Address.parse(target.ip, 0);
  if (address === undefined) return undefined;
  if (target.portShift === undefined) return `${address.ip} . ${target.port}`;
  if (target.portShift === 0) return address.ip;
  const ports = new Set(doorsOf(listener).map(({ port }) => port));
  const [port] = ports;
  return ports.size === 1 ? `${address.ip} . ${port! + target.portShift}` : undefined;
}

export function targetFamily(target: string): Family {
  return target.includes(':') ? 6 : 4;
}

/** Doors of a listener at one address: what a backend's packet, which came to one of them, leaves from again. */
export interface Front {
  readonly ip: string;
  readonly doors: readonly Door[];
  /** The chain that says so. */
  readonly chain: string;
}

/** Those of one family. Any address is none. */
export function frontsOf(listener: KernelListener, family: Family): Front[] {
  const byIp = new Map<string, Door[]>();
  for (const door of doorsOf(listener)) {
    if (door.family !== family || door.ip === undefined) continue;
    const doors = byIp.get(door.ip) ?? [];
    byIp.set(door.ip, doors);
    doors.push(door);
  }
  const chain = `servers/${safeName(listener.view.plan.name)}/${family}`;
  return [...byIp].map(([ip, doors], i) => ({
    ip,
    doors,
    chain: byIp.size === 1 ? chain : `${chain}/${i + 1}`,
  }));
}

/** What is done with packets of backends that begin an entry of conntrack: verdicts by address, protocol and port. */
export function wayBack(listeners: readonly KernelListener[], family: Family): Map<string, string> {
  const verdicts = new Map<string, string>();
  const add = (key: string, verdict: string): void => {
    const known = verdicts.get(key);
    verdicts.set(key, known === undefined || known === verdict ? verdict : 'drop');
  };
  for (const listener of listeners) {
    const { plan } = listener.view;
    if (plan.source === 'masquerade') continue;
    const fronts = frontsOf(listener, family);
    for (const [key, doors] of doorsByBackend(listener, family)) {
      const [door] = doors;
      const front = fronts.find(({ ip }) => ip === door!.ip);
      add(key, doors.length === 1 && front !== undefined ? `goto ${front.chain}` : 'drop');
    }
  }
  return verdicts;
}

/** The doors that lead to each address, protocol and port of a backend. */
function doorsByBackend(listener: KernelListener, family: Family): Map<string, Door[]> {
  const { pool, view } = listener;
  const byBackend = new Map<string, Door[]>();
  const doors = doorsOf(listener).filter((door) => door.family === family);
  const texts = new Set(pool.backends.map(({ target }) => targetText(target, listener)));
  for (const text of texts) {
    if (text === undefined || targetFamily(text) !== family) continue;
    const [ip, port] = text.split(' . ');
    for (const door of doors) {
      const key = `${ip} . ${view.plan.protocol} . ${port ?? door.port}`;
      const known = byBackend.get(key);
      if (known === undefined) byBackend.set(key, [door]);
      else known.push(door);
    }
  }
  return byBackend;
}

export function clientsChain({ view }: KernelListener, family: Family): string {
  return `clients/${safeName(view.plan.name)}/${family}`;
}

export function datagramsChain({ view }: KernelListener, family: Family): string {
  return `datagrams/${safeName(view.plan.name)}/${family}`;
}
