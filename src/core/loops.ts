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
import { targetsAt } from './dial-target.ts';
import type { Bind, Protocol } from './plan.ts';

export interface LoopListener {
  readonly name: string;
  readonly protocol: Protocol;
  /** With the port it really has. */
  readonly bind: Bind;
  /** Its own, and those its routes lead to. */
  readonly pools: readonly string[];
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
  /** Those that lead to a listener of ours and on from there. */
  readonly leadingOn: ReadonlyMap<number, string>;
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
  /** One of the routes that lead on from there. */
  readonly next: string;
}

export function findLoops(
  listeners: readonly LoopListener[],
  backends: readonly LoopBackend[],
  machine: Machine,
): Loops {
  const { edges, suspects } = findEdges(listeners, backends, machine);
  const circleOf = circlesOf(edges);
  const leadingBack = new Map<number, string>();
  const leadingOn = new Map<number, string>();
  for (const [route, ways] of edges) {
    for (const { backendId, to, next } of ways) {
      const isBack = next === route || circleOf.get(next) === circleOf.get(route);
      (isBack ? leadingBack : leadingOn).set(backendId, to.name);
    }
  }
  for (const id of leadingBack.keys()) leadingOn.delete(id);
  return { leadingBack, leadingOn, suspects };
}

/**
 * A number for each route, the same for two that lead to each other: the strongly connected components after R. Tarjan
 * (SIAM J. Comput. 1(2), 1972), each edge looked at once. Without recursion: a thousand listeners may be one chain.
 */
function circlesOf(edges: ReadonlyMap<string, readonly Edge[]>): ReadonlyMap<string, number> {
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const circles = new Map<string, number>();
  const open: string[] = [];
  for (const start of edges.keys()) {
    const path = order.has(start) ? [] : [{ route: start, nextEdge: 0 }];
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const { route } = top;
      if (!order.has(route)) {
        lowest.set(route, order.size);
        order.set(route, order.size);
        open.push(route);
      }
      const edge = edges.get(route)?.[top.nextEdge++];
      if (edge !== undefined) {
        const { next } = edge;
        if (!order.has(next)) path.push({ route: next, nextEdge: 0 });
        else if (!circles.has(next)) lowest.set(route, Math.min(lowest.get(route)!, order.get(next)!));
        continue;
      }
      path.pop();
      const below = path.at(-1)?.route;
      if (below !== undefined) lowest.set(below, Math.min(lowest.get(below)!, lowest.get(route)!));
      if (lowest.get(route) !== order.get(route)) continue;
      for (const member of open.splice(open.lastIndexOf(route))) circles.set(member, order.get(route)!);
    }
  }
  return circles;
}

/** What listeners share that lead to the same places. */
function routeOf(protocol: Protocol, pool: string): string {
  return `${protocol} ${pool}`;
}

/** Only backends with the port (or path) of an own listener are looked at: most have none. */
function findEdges(
  listeners: readonly LoopListener[],
  backends: readonly LoopBackend[],
  machine: Machine,
): { readonly edges: ReadonlyMap<string, readonly Edge[]>; readonly suspects: Set<number> } {
  const edges = new Map<string, Edge[]>();
  const suspects = new Set<number>();
  const routes = new Set(
    listeners.flatMap(({ protocol, pools }) => pools.map((pool) => routeOf(protocol, pool))),
  );
  const doors = new Map<string, Door>();
  for (const listener of listeners) {
    const place = `${listener.protocol} ${placeOf(listener.bind, machine)}`;
    const door = doors.get(place);
    if (door === undefined) doors.set(place, new Door(listener));
    else door.add(listener);
  }
  const doorsTo = doorFinder(doors, portsByRoute(listeners), machine);
  for (const { id, pool, target } of backends) {
    if (target === undefined) continue;
    for (const protocol of ['tcp', 'udp'] as const) {
      const route = routeOf(protocol, pool);
      if (!routes.has(route)) continue;
      for (const door of doorsTo(target, protocol, route)) {
        const to = door.listenerFor(target, machine);
        if (to === undefined) {
          if (target.kind === 'inet') suspects.add(id);
          continue;
        }
        const ways = edges.get(route) ?? [];
        edges.set(route, ways);
        for (const next of to.pools) ways.push({ backendId: id, to, next: routeOf(protocol, next) });
      }
    }
  }
  return { edges, suspects };
}

/**
 * Finds the doors that have the ports (or path) of a target. For one on the port that the client came to: one for all those that have
 * the same listeners, found once for all such backends of a route, as ten thousand ports times a thousand backends are too many.
 */
function doorFinder(
  doors: ReadonlyMap<string, Door>,
  ports: ReadonlyMap<string, ReadonlySet<number>>,
  machine: Machine,
): (target: Bind, protocol: Protocol, route: string) => readonly Door[] {
  const known = new Map<string, readonly Door[]>();
  const at = (target: Bind, protocol: Protocol): readonly Door[] => {
    const door = doors.get(`${protocol} ${placeOf(target, machine)}`);
    return door === undefined ? [] : [door];
  };
  return (target, protocol, route) => {
    if (target.kind === 'unix' || target.portShift === undefined) return at(target, protocol);
    const key = `${target.portShift} ${route}`;
    let those = known.get(key);
    if (those === undefined) {
      const all = targetsAt(target, ports.get(route) ?? []).flatMap((each) => at(each, protocol));
      those = [...new Map(all.map((door) => [door.text, door])).values()];
      known.set(key, those);
    }
    return those;
  };
}

/** The ports that clients of a route come to. */
function portsByRoute(listeners: readonly LoopListener[]): ReadonlyMap<string, ReadonlySet<number>> {
  const ports = new Map<string, Set<number>>();
  for (const { protocol, pools, bind } of listeners) {
    if (bind.kind === 'unix') continue;
    for (const pool of pools) {
      const route = routeOf(protocol, pool);
      const known = ports.get(route);
      if (known === undefined) ports.set(route, new Set([bind.port]));
      else known.add(bind.port);
    }
  }
  return ports;
}

function placeOf(bind: Bind, machine: Machine): string {
  return bind.kind === 'unix' ? machine.canonicalPath(bind.path) : String(bind.port);
}

/** The listeners of one port (or path) and protocol, by their addresses. */
class Door {
  readonly #byIp = new Map<string, LoopListener>();
  #onLoopback: LoopListener | undefined;
  #unix: LoopListener | undefined;

  constructor(listener: LoopListener) {
    this.add(listener);
  }

  add(listener: LoopListener): void {
    const { bind } = listener;
    if (bind.kind === 'unix') {
      this.#unix ??= listener;
      return;
    }
    // What is sent from this machine to itself does not come in through a device (but lo).
    if (bind.device !== undefined && bind.device !== 'lo') return;
    const address = Address.parse(bind.ip, 0);
    if (address === undefined || this.#byIp.has(address.ip)) return;
    this.#byIp.set(address.ip, listener);
    if (address.isLoopback) this.#onLoopback ??= listener;
  }

  /** Equal for doors that answer alike, whatever their ports. */
  get text(): string {
    return JSON.stringify([...this.#byIp].map(([ip, { name }]) => [ip, name]));
  }

  /** The one that receives what is sent to `target`, which has its port or path. */
  listenerFor(target: Bind, machine: Machine): LoopListener | undefined {
    if (target.kind === 'unix') return this.#unix;
    const address = Address.parse(target.ip, 0);
    if (address === undefined) return undefined;
    const wildcards = [this.#byIp.get('::'), address.family === 4 ? this.#byIp.get('0.0.0.0') : undefined];
    const covering = wildcards.find((listener) => listener !== undefined);
    // What is sent to a wildcard goes to loopback.
    if (address.isWildcard) return covering ?? this.#byIp.get('0.0.0.0') ?? this.#onLoopback;
    const exact = this.#byIp.get(address.ip);
    if (exact !== undefined || covering === undefined) return exact;
    return machine.leadsHere(address.ip) ? covering : undefined;
  }
}
