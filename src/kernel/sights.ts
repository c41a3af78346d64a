/**
 * Whose an entry of conntrack is: which listener's client speaks with which backend. By its addresses alone: numbers of backends
 * are of one process, and a successor must know the entries of the one before.
 *
 *    picked up from the client:    original = client -> listener     reply = backend -> client (or -> this machine, masqueraded)
 *    picked up from the backend:   original = backend -> client      reply = client -> listener
 */
import { Address } from '../core/address.ts';
import { bindsOf } from '../core/binds.ts';
import { targetAt } from '../core/dial-target.ts';
import type { Bind, Protocol } from '../core/plan.ts';
import type { BackendView, ListenerView, PoolView } from '../core/snapshot.ts';
import type { ConntrackEntry, Tuple } from '../wire/conntrack.ts';

export interface Sight {
  readonly listener: ListenerView;
  readonly pool: PoolView;
  /** Undefined: the listener's pool has none at that address (any more). */
  readonly backend: BackendView | undefined;
  readonly client: Address;
  /** The address of the listener that the client used. */
  readonly local: Address;
  readonly isReversed: boolean;
}

interface Door {
  readonly listener: ListenerView;
  readonly pool: PoolView;
  /** By address and port, as the clients of this door reach them. */
  readonly backends: AddressMap<BackendView>;
}

/** Looked into with every connection, so no text is made of an address. */
class AddressMap<Value> {
  private readonly places = new Map<number, { readonly address: Address; readonly value: Value }[]>();

  get(address: Address): Value | undefined {
    const place = this.places.get(placeOf(address));
    if (place === undefined) return undefined;
    for (const one of place) if (one.address.equals(address)) return one.value;
    return undefined;
  }

  /** Of two at one address the first one. */
  add(address: Address, value: Value): void {
    if (this.get(address) !== undefined) return;
    const place = this.places.get(placeOf(address));
    if (place === undefined) this.places.set(placeOf(address), [{ address, value }]);
    else place.push({ address, value });
  }
}

/** Of IPv4 it is the address itself. */
function placeOf({ w0, w1, w3, port }: Address): number {
  return ((w3 ^ w0 ^ w1) >>> 0) * 65_536 + port;
}

export class Sights {
  private readonly doors = { tcp: new AddressMap<Door>(), udp: new AddressMap<Door>() };
  /** Doors at a wildcard address, by port. */
  private readonly wide = { tcp: new Map<number, Door>(), udp: new Map<number, Door>() };

  constructor(listeners: readonly { readonly view: ListenerView; readonly pool: PoolView }[]) {
    for (const { view, pool } of listeners) {
      for (const bind of bindsOf(view.plan)) this.add(view, pool, bind);
    }
  }

  /** Undefined: it is not about a listener of ours. */
  of({ protocol, original, reply }: ConntrackEntry): Sight | undefined {
    return this.seen(protocol, original, reply) ?? this.seenReversed(protocol, original, reply);
  }

  /**
   * A conversation that came to a listener of ours while no rule led it anywhere: the kernel asks rules for its first packet alone. Not
   * of doors at a wildcard address: whose that of an entry is does not show.
   */
  isUnled({ protocol, original, reply }: ConntrackEntry): boolean {
    return (
      protocol === 'udp' &&
      reply.source.equals(original.destination) &&
      this.doors.udp.get(original.destination) !== undefined
    );
  }

  /** Whether clients of a listener come by this address. */
  isDoorOf({ id, plan: { protocol } }: ListenerView, local: Address): boolean {
    return this.doorAt(protocol, local)?.listener.id === id;
  }

  private seen(protocol: Protocol, original: Tuple, reply: Tuple): Sight | undefined {
    const door = this.doorAt(protocol, original.destination);
    // Not led anywhere: somebody on this machine serves there, or it was turned away.
    if (door === undefined || reply.source.equals(original.destination)) return undefined;
    const { listener, pool } = door;
    const backend = door.backends.get(reply.source);
    const { source: client, destination: local } = original;
    return { listener, pool, backend, client, local, isReversed: false };
  }

  private seenReversed(protocol: Protocol, original: Tuple, reply: Tuple): Sight | undefined {
    const door = this.doorAt(protocol, reply.destination);
    const backend = door?.backends.get(original.source);
    if (door === undefined || backend === undefined) return undefined;
    const { listener, pool } = door;
    const { destination: client } = original;
    return { listener, pool, backend, client, local: reply.destination, isReversed: true };
  }

  private doorAt(protocol: Protocol, address: Address): Door | undefined {
    return this.doors[protocol].get(address) ?? this.wide[protocol].get(address.port);
  }

  private add(listener: ListenerView, pool: PoolView, bind: Bind): void {
    const address = bind.kind === 'inet' ? Address.parse(bind.ip, bind.port) : undefined;
    if (address === undefined) return;
    const backends = new AddressMap<BackendView>();
    for (const backend of pool.backends) {
      const target = backend.target && targetAt(backend.target, address.port);
      const at = target?.kind === 'inet' ? Address.parse(target.ip, target.port) : undefined;
      if (at !== undefined) backends.add(at, backend);
    }
    const { protocol } = listener.plan;
    const door = { listener, pool, backends };
    // Of two at one door the first one, as in the table.
    if (!address.isWildcard) this.doors[protocol].add(address, door);
    else if (!this.wide[protocol].has(address.port)) this.wide[protocol].set(address.port, door);
  }
}
