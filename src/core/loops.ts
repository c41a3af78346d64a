/**
 * Loops that the addresses show: a backend whose address is one of our own listeners, whose pool leads back to where the flow
 * came in, at once or over other listeners of this instance.
 *
 *    front --> pool a: [db, next] --> (next is the address of) second --> pool b: [front's address] --> front
 *
 * A listener may be another one's backend; only what closes a circle is a loop, and all of the circle is, wherever one
 * enters it.
 */
import { Address } from './address.ts';
import type { Bind, Protocol } from './plan.ts';

export interface LoopListener {
  readonly name: string;
  readonly protocol: Protocol;
  /** With the port it really has. */
  readonly bind: Bind;
  readonly pool: string;
}

export interface LoopBackend {
  readonly id: number;
  readonly pool: string;
  readonly target: Bind | undefined;
}

/** What the addresses mean on this machine. */
export interface Machine {
  /** What is sent to this IP comes to this machine. */
  readonly leadsHere: (ip: string) => boolean;
  /** Two names of one socket file are one path. */
  readonly canonicalPath: (path: string) => string;
}

export interface Loops {
  /** Backends that lead back, by id, with the listener each leads to. */
  readonly leadingBack: ReadonlyMap<number, string>;
  /**
   * Backends with the port of an own listener, which their address did not lead to when this was looked at: an address may come
   * to this machine, or be translated.
   */
  readonly suspects: ReadonlySet<number>;
}

/** An own listener is a backend of another one's pool. */
interface Edge {
  readonly backendId: number;
  readonly to: LoopListener;
}

export function findLoops(
  listeners: readonly LoopListener[],
  backends: readonly LoopBackend[],
  machine: Machine,
): Loops {
  const byRoute = groupBy(listeners, routeOf);
  const { edges, suspects } = findEdges(byRoute, listeners, backends, machine);
  const reached = new Map<LoopListener, ReadonlySet<LoopListener>>();
  const reachedFrom = (start: LoopListener): ReadonlySet<LoopListener> => {
    const known = reached.get(start);
    if (known !== undefined) return known;
    const seen = new Set([start]);
    for (const at of seen) for (const { to } of edges.get(routeOf(at)) ?? []) seen.add(to);
    reached.set(start, seen);
    return seen;
  };
  const leadingBack = new Map<number, string>();
  for (const [route, ways] of edges) {
    for (const { backendId, to } of ways) {
      const seen = reachedFrom(to);
      if (byRoute.get(route)!.some((from) => seen.has(from))) leadingBack.set(backendId, to.name);
    }
  }
  return { leadingBack, suspects };
}

/** What listeners share that lead to the same places. */
function routeOf({ pool, protocol }: Pick<LoopListener, 'pool' | 'protocol'>): string {
  return `${protocol} ${pool}`;
}

/** Only backends with the port (or path) of an own listener are looked at: most have none. */
function findEdges(
  byRoute: ReadonlyMap<string, readonly LoopListener[]>,
  listeners: readonly LoopListener[],
  backends: readonly LoopBackend[],
  machine: Machine,
): { readonly edges: ReadonlyMap<string, readonly Edge[]>; readonly suspects: Set<number> } {
  const edges = new Map<string, Edge[]>();
  const suspects = new Set<number>();
  const byPlace = groupBy(listeners, ({ bind }) => placeOf(bind, machine));
  for (const { id, pool, target } of backends) {
    const there = target === undefined ? undefined : byPlace.get(placeOf(target, machine));
    if (target === undefined || there === undefined) continue;
    for (const protocol of ['tcp', 'udp'] as const) {
      const route = routeOf({ pool, protocol });
      if (!byRoute.has(route)) continue;
      const near = there.filter((listener) => listener.protocol === protocol);
      const to = near.find(({ bind }) => receives(bind, target, machine));
      if (to !== undefined) addTo(edges, route, { backendId: id, to });
      else if (near.length > 0 && target.kind === 'inet') suspects.add(id);
    }
  }
  return { edges, suspects };
}

function placeOf(bind: Bind, machine: Machine): string {
  return bind.kind === 'unix' ? machine.canonicalPath(bind.path) : String(bind.port);
}

/** Whether a listener bound so receives what is sent to `target`, which has its port or path. */
export function receives(bind: Bind, target: Bind, machine: Pick<Machine, 'leadsHere'>): boolean {
  if (bind.kind === 'unix' || target.kind === 'unix') return bind.kind === target.kind;
  // What is sent from this machine to itself does not come in through a device (but lo).
  if (bind.device !== undefined && bind.device !== 'lo') return false;
  const [bound, address] = [Address.parse(bind.ip, 0), Address.parse(target.ip, 0)];
  if (bound === undefined || address === undefined) return false;
  if (bound.equals(address)) return true;
  // What is sent to a wildcard goes to loopback.
  if (address.isWildcard) return bound.isWildcard || bound.isLoopback;
  const covers = bound.isWildcard && (bound.family === 6 || address.family === 4);
  return covers && machine.leadsHere(address.ip);
}

function groupBy<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) addTo(groups, keyOf(item), item);
  return groups;
}

function addTo<T>(groups: Map<string, T[]>, key: string, item: T): void {
  const group = groups.get(key);
  if (group === undefined) groups.set(key, [item]);
  else group.push(item);
}
