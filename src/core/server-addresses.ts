/**
 * Addresses that serve and are therefore no client's: those of backends, of our own UDP listeners and of the other
 * members' listeners. A datagram that says it comes from one is forged, or is a reply to a forged one; answering it would
 * set two servers to answer each other without end.
 *
 * Looked up once for each new conversation. A wildcard listener has all addresses of this machine: loopback, those control has
 * listed, and the one the datagram came to.
 */
import { Address } from './address.ts';
import type { Bind, Protocol } from './plan.ts';
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
  readonly memberListeners: readonly ListeningAddress[];
  /** This machine's addresses, as far as they are known. */
  readonly machineIps: readonly string[];
}

type AddressKey = number | string;

export class ServerAddresses {
  private others = new Set<AddressKey>();
  private machine = new Set<AddressKey>();
  private learnedFrom = '';
  /** Our own UDP listeners by id. */
  private readonly bound = new Map<number, Address>();
  private own = new Set<AddressKey>();
  /** Ports of wildcard listeners; those of `::` are in both. */
  private wildcardPortsV4 = new Set<number>();
  private wildcardPortsV6 = new Set<number>();

  /** @returns whether anything of it is new */
  learn({ pools, memberListeners, machineIps }: KnownServers): boolean {
    // A pool's version stands for all that is in it.
    const text = JSON.stringify([pools.map(({ id, version }) => [id, version]), memberListeners, machineIps]);
    if (text === this.learnedFrom) return false;
    this.learnedFrom = text;
    this.others = new Set();
    for (const { backends } of pools) {
      for (const { target } of backends)
        if (target?.kind === 'inet') add(this.others, target.ip, target.port);
    }
    for (const { protocol, ip, port } of memberListeners) if (protocol === 'udp') add(this.others, ip, port);
    this.machine = new Set();
    for (const ip of machineIps) add(this.machine, ip, 0);
    return true;
  }

  /** An own UDP listener has been bound, or its address is given up (undefined). */
  listens(listenerId: number, bind: Bind | undefined): void {
    const address = bind?.kind === 'inet' ? Address.parse(bind.ip, bind.port) : undefined;
    if (address === undefined) this.bound.delete(listenerId);
    else this.bound.set(listenerId, address);
    const bound = [...this.bound.values()];
    const wildcards = bound.filter((one) => one.isWildcard);
    this.own = new Set(bound.filter((one) => !one.isWildcard).map(keyOf));
    this.wildcardPortsV4 = new Set(wildcards.map(({ port }) => port));
    this.wildcardPortsV6 = new Set(wildcards.filter(({ family }) => family === 6).map(({ port }) => port));
  }

  /** @param local the address of this machine that the datagram came to */
  has(client: Address, local: Address): boolean {
    const key = keyOf(client);
    if (this.others.has(key) || this.own.has(key)) return true;
    const ports = client.family === 4 ? this.wildcardPortsV4 : this.wildcardPortsV6;
    return ports.has(client.port) && this.isOfMachine(client, local);
  }

  /** Whether the client is on this machine, as far as that can be said. */
  isOfMachine(client: Address, local: Address): boolean {
    const ip = client.withPort(0);
    return ip.isLoopback || ip.equals(local.withPort(0)) || this.machine.has(keyOf(ip));
  }
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
