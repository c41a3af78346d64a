/**
 * Backends that are listeners of the same file: what leads back to where it came from is refused, as every connection
 * would become two. Addresses and names are judged by what is known without asking (machine.ts); what only shows once
 * names are resolved is found at run time (docs/ARCHITECTURE.md, Loops).
 *
 * A backend that is another listener and leads on to servers is a chain: it does what it says, so it is not refused. It
 * is warned of, as its second listener sees this machine as the one client: affinity, limits per client and access by
 * address mean something else there.
 */
import { normalize } from 'node:path';
import { Address } from '../core/address.ts';
import { findLoops, type LoopBackend, type LoopListener, type Machine } from '../core/loops.ts';
import type { BackendAddress, Bind } from '../core/plan.ts';
import { poolsOf } from '../core/routes.ts';
import type { Draft } from './draft.ts';
import type { LocalNames } from './machine.ts';
import type { Path } from './problem.ts';
import type { Report } from './report.ts';

export function checkLoops(draft: Draft, names: LocalNames, report: Report): void {
  const listeners = listenersOf(draft);
  const numbered = draft.pools.flatMap((pool) =>
    pool.backends.map((backend) => ({ pool: pool.name, backend })),
  );
  const backends = numbered.map(({ pool, backend }, id): LoopBackend => {
    const { address } = backend.value;
    return { id, pool, target: address && placeOf(address, names) };
  });
  const surely = findLoops(listeners, backends, machineWhere(isLoopback));
  const here = findLoops(
    listeners,
    backends,
    machineWhere((ip) => isLoopback(ip) || names.isOwn(ip)),
  );
  const sentence = (id: number, to: string, isBack: boolean): string => {
    const listener = draft.listeners[Number(to)]!;
    const where = report.pointTo([...listener.path, 'bind']);
    if (!isBack) return `is another listener, to which all clients will come from this machine: ${where}`;
    return poolsOf(listener.value).includes(numbered[id]!.pool)
      ? `is the address of the listener itself: ${where}`
      : `leads back to where its clients come from, over another listener: ${where}`;
  };
  const pathOf = (id: number): Path => [...numbered[id]!.backend.path, 'address'];
  for (const [id, to] of surely.leadingBack) report.problem(pathOf(id), () => sentence(id, to, true));
  for (const [id, to] of here.leadingBack) {
    if (!surely.leadingBack.has(id)) report.warning(pathOf(id), () => sentence(id, to, true));
  }
  for (const [id, to] of here.leadingOn) {
    if (!surely.leadingBack.has(id)) report.warning(pathOf(id), () => sentence(id, to, false));
  }
}

/** Each is called by its number in the draft: names may be wrong, or there twice. */
function listenersOf(draft: Draft): LoopListener[] {
  return draft.listeners.flatMap(({ value }, i) => {
    const { bind: at, bind_device: device } = value;
    const pools = poolsOf(value);
    if (at === undefined || pools.length === 0) return [];
    return at.all.flatMap(({ bind: one }) => {
      if (one.kind === 'inet' && one.port === 0) return [];
      const bind = one.kind === 'unix' || device === undefined ? one : { ...one, device };
      return [{ name: String(i), protocol: at.protocol, bind, pools }];
    });
  });
}

/** Undefined: only a name server knows. */
function placeOf(address: BackendAddress, names: LocalNames): Bind | undefined {
  if (address.kind !== 'name') return address;
  const ip = names.ipOf(address.host.replace(/\.$/, ''));
  const { port, portShift } = address;
  return ip === undefined
    ? undefined
    : { kind: 'inet', ip, port, ...(portShift === undefined ? {} : { portShift }) };
}

function machineWhere(leadsHere: (ip: string) => boolean): Machine {
  return { leadsHere, canonicalPath: normalize };
}

function isLoopback(ip: string): boolean {
  return Address.parse(ip, 0)?.isLoopback === true;
}
