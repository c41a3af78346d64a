/** Which clients are on the host that their backend is on, and which clients and backends are instances of the cluster. */
import { Address } from '../core/address.ts';
import { targetAt } from '../core/dial-target.ts';
import type { Flow } from '../core/flow.ts';
import type { Protocol } from '../core/plan.ts';
import type { ListeningAddress } from '../core/server-addresses.ts';
import type { BackendView } from '../core/snapshot.ts';

export interface KnownMembers {
  readonly memberListeners: readonly ListeningAddress[];
  readonly memberIps: readonly string[];
}

/** `members`: the backend is another member's listener, and the client is on a member's host. */
export type Relation = 'none' | 'same-host' | 'members';

interface Place {
  readonly address: Address;
  readonly isMember: Readonly<Record<Protocol, boolean>>;
}

export class Neighbours {
  private listeners: ReadonlySet<string> = new Set();
  private ips: ReadonlySet<string> = new Set();
  /** Text is read once for each view; null: a backend without an IP. */
  private places = new WeakMap<BackendView, Place | null>();

  learn({ memberListeners, memberIps }: KnownMembers): void {
    const texts = memberListeners.map(({ protocol, ip, port }) =>
      placeText(protocol, Address.parse(ip, port)),
    );
    this.listeners = new Set(texts);
    this.ips = new Set(memberIps.map((ip) => Address.parse(ip, 0)?.ip ?? ip));
    this.places = new WeakMap();
  }

  relation(
    { peer: client, listener, local }: Pick<Flow, 'peer' | 'listener' | 'local'>,
    backend: BackendView,
  ): Relation {
    const place = this.placeOf(backend, local);
    if (place === null) return 'none';
    const isSameHost = isSameIp(client, place.address);
    if (place.isMember[listener.plan.protocol] && (isSameHost || this.ips.has(client.ip))) return 'members';
    return isSameHost ? 'same-host' : 'none';
  }

  private placeOf(backend: BackendView, local: Address): Place | null {
    const known = this.places.get(backend);
    if (known !== undefined) return known;
    const target = backend.target && targetAt(backend.target, local.port);
    const address = target?.kind === 'inet' ? Address.parse(target.ip, target.port) : undefined;
    const place = address === undefined ? null : { address, isMember: this.isMember(address) };
    // Where it is another one for each port that clients come to, it is read each time.
    if (target === backend.target) this.places.set(backend, place);
    return place;
  }

  private isMember(address: Address): Place['isMember'] {
    const has = (protocol: Protocol): boolean => this.listeners.has(placeText(protocol, address));
    return { tcp: has('tcp'), udp: has('udp') };
  }
}

function isSameIp(one: Address, other: Address): boolean {
  return one.w3 === other.w3 && one.w2 === other.w2 && one.w1 === other.w1 && one.w0 === other.w0;
}

function placeText(protocol: Protocol, address: Address | undefined): string {
  return `${protocol} ${address}`;
}
