/**
 * Addresses that serve and are therefore no client's: those of backends, of our own UDP listeners and of the other
 * members' listeners. A datagram that says it comes from one is forged, or is a reply to a forged one; answering it would
 * set two servers to answer each other without end.
 *
 * Looked up once for each new conversation. A wildcard listener has all addresses of this machine: loopback, those control has
 * listed, and the one the datagram came to.
 */
import { Address } from './address.ts';
import { bindsOf } from './binds.ts';
import type { Bind, ListenerPlan, Protocol } from './plan.ts';
import type { PoolView } from './snapshot.ts';

/** Where an instance of the cluster listens. */
export interface ListeningAddress {
  readonly protocol: Protocol;
  readonly ip: string;
  readonly port: number;
}

/** What control knows. */
export interface KnownServers {
  readonly pools: readonly Pick<PoolView, 'id' | 'version' | 'backends'>[];
  /** Of those whose backends are on the port that the client came to. */
  readonly listeners?: readonly {
    readonly poolId: number;
    readonly poolIds?: readonly number[];
    readonly plan: Pick<ListenerPlan, 'bind' | 'binds'>;
  }[];
  readonly memberListeners: readonly ListeningAddress[];
  /** This machine's addresses, as far as they are known. */
  readonly machineIps: readonly string[];
}

type AddressKey = number | string;

interface Shifted {
  readonly shift: number;
  /** That clients come to. */
  readonly ports: ReadonlySet<number>;
}

export class ServerAddresses {
  private others = new Set<AddressKey>();
  /** Backends on the port that the client came to, by IP: one entry each, however many ports there are. */
  private shifted = new Map<AddressKey, Shifted[]>();
  private machine = new Set<AddressKey>();
  private learnedFrom = '';
  /** The addresses of our own UDP listeners, by listener and door. */
  private readonly bound = new Map<number, Map<string, Address>>();
  private own = new Set<AddressKey>();
  /** Ports of wildcard listeners; those of `::` are in both. */
  private wildcardPortsV4 = new Set<number>();
  private wildcardPortsV6 = new Set<number>();

  /** @returns whether anything of it is new */
  learn({ pools, listeners = [], memberListeners, machineIps }: KnownServers): boolean {
    const ports = shiftedPorts(pools, listeners);
    // A pool's version stands for all that is in it.
    const text = JSON.stringify([
      pools.map(({ id, version }) => [id, version]),
      memberListeners,
      machineIps,
      [...ports].map(([id, those]) => [id, ...those]),
    ]);
    if (text === this.learnedFrom) return false;
    this.learnedFrom = text;
    this.others = new Set();
    this.shifted = new Map();
    for (const { id, backends } of pools) {
      for (const { target } of backends) {
        if (target?.kind !== 'inet') continue;
        if (target.portShift === undefined) add(this.others, target.ip, target.port);
        else this.addShifted(target.ip, target.portShift, ports.get(id)!);
      }
    }
    for (const { protocol, ip, port } of memberListeners) if (protocol === 'udp') add(this.others, ip, port);
    this.machine = new Set();
    for (const ip of machineIps) add(this.machine, ip, 0);
    return true;
  }

  /** An address of an own UDP listener has been bound. */
  listens(listenerId: number, door: string, bind: Bind): void {
    const address = bind.kind === 'inet' ? Address.parse(bind.ip, bind.port) : undefined;
    if (address === undefined) return;
    const doors = this.bound.get(listenerId);
    if (doors === undefined) this.bound.set(listenerId, new Map([[door, address]]));
    else doors.set(door, address);
    this.addOwn(address);
  }

  /** Such addresses are given up; undefined: all of the listener. */
  unlistens(listenerId: number, some: readonly string[] | undefined): void {
    const known = this.bound.get(listenerId);
    if (known === undefined) return;
    if (some === undefined) this.bound.delete(listenerId);
    else for (const door of some) known.delete(door);
    this.own = new Set();
    this.wildcardPortsV4 = new Set();
    this.wildcardPortsV6 = new Set();
    for (const doors of this.bound.values()) for (const one of doors.values()) this.addOwn(one);
  }

  private addShifted(ip: string, shift: number, ports: ReadonlySet<number>): void {
    const address = Address.parse(ip, 0);
    if (address === undefined) return;
    const known = this.shifted.get(keyOf(address));
    if (known === undefined) this.shifted.set(keyOf(address), [{ shift, ports }]);
    else if (!known.some((one) => one.shift === shift && one.ports === ports)) known.push({ shift, ports });
  }

  private isShifted(client: Address): boolean {
    const those = this.shifted.get(keyOf(client.withPort(0)));
    return those?.some(({ shift, ports }) => ports.has(client.port - shift)) === true;
  }

  private addOwn(address: Address): void {
    if (!address.isWildcard) {
      this.own.add(keyOf(address));
      return;
    }
    this.wildcardPortsV4.add(address.port);
    if (address.family === 6) this.wildcardPortsV6.add(address.port);
  }

  /** @param local the address of this machine that the datagram came to */
  has(client: Address, local: Address): boolean {
    const key = keyOf(client);
    if (this.others.has(key) || this.own.has(key)) return true;
    if (this.shifted.size > 0 && this.isShifted(client)) return true;
    const ports = client.family === 4 ? this.wildcardPortsV4 : this.wildcardPortsV6;
    return ports.has(client.port) && this.isOfMachine(client, local);
  }

  /** Whether the client is on this machine, as far as that can be said. */
  isOfMachine(client: Address, local: Address): boolean {
    const ip = client.withPort(0);
    return ip.isLoopback || ip.equals(local.withPort(0)) || this.machine.has(keyOf(ip));
  }
}

/** The ports that clients come to, of the pools where these make a difference. */
function shiftedPorts(
  pools: KnownServers['pools'],
  listeners: NonNullable<KnownServers['listeners']>,
): ReadonlyMap<number, ReadonlySet<number>> {
  const ports = new Map<number, ReadonlySet<number>>();
  for (const { id, backends } of pools) {
    if (!backends.some(({ target }) => target?.kind === 'inet' && target.portShift !== undefined)) continue;
    const binds = listeners
      .filter(({ poolId, poolIds = [poolId] }) => poolIds.includes(id))
      .flatMap(({ plan }) => bindsOf(plan));
    ports.set(id, new Set(binds.flatMap((bind) => (bind.kind === 'inet' ? bind.port : []))));
  }
  return ports;
}

function add(keys: Set<AddressKey>, ip: string, port: number): void {
  const address = Address.parse(ip, port);
  if (address !== undefined) keys.add(keyOf(address));
}

/** IPv4: one number below 2^48, which a Set finds without an allocation. */
function keyOf(address: Address): AddressKey {
  if (address.family === 4) return address.w3 * 65_536 + address.port;
  return `${address.w0} ${address.w1} ${address.w2} ${address.w3} ${address.port}`;
}
