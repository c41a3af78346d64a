/**
 * TCP connections that were ended here, for as long as a side that is silent is waited for: their remnants are nobody's flow. Those that were
 * ended because their backend was down are known by it and by where it was. When it is up there again they are spared: an instance that was
 * cut off took all backends for dead, while another one carried its connections on, and may have them back. That it is up elsewhere says
 * nothing: its former address may have died after it had moved.
 *
 * Does not outlive its process: what a predecessor has ended stays ended.
 */
import type { Address } from '../core/address.ts';
import { formatAddress } from '../core/address-text.ts';
import type { Flow } from '../core/flow.ts';
import { endedKnownMax, goneMs } from '../core/limits.ts';
import type { BackendView } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';

/** A backend where a flow has it. */
export type Place = Pick<BackendView, 'id' | 'target'>;

/** A TCP connection that is to be reset, as packets between its client and its backend have it. */
export interface EndedConnection {
  readonly client: Address;
  readonly backend: Address;
}

interface Ended {
  readonly connection: EndedConnection;
  readonly atMs: number;
  /** The place that was down, as {@link textOf} has it; undefined: it was ended for something else. */
  readonly down: string | undefined;
}

export class EndedConnections {
  /** By client and the listener's address; oldest first. */
  private readonly ended = new Map<string, Ended>();
  /** How many of these there are for each place that was down. */
  private readonly ofDown = new Map<string, { readonly place: Place; count: number }>();

  get size(): number {
    return this.ended.size;
  }

  /** @param connection the same as the packets have it */
  add(
    { client, local, backend }: Pick<Flow, 'client' | 'local' | 'backend'>,
    connection: EndedConnection,
    code: TerminationCode,
    nowMs: number,
  ): void {
    const key = `${client} ${local}`;
    this.forget(key);
    const down = code === 'backend-down' && backend !== undefined ? textOf(backend) : undefined;
    this.ended.set(key, { connection, atMs: nowMs, down });
    if (down !== undefined) {
      const of = this.ofDown.get(down) ?? { place: backend!, count: 0 };
      of.count++;
      this.ofDown.set(down, of);
    }
    for (const [oldest, { atMs }] of this.ended) {
      if (nowMs - atMs < goneMs && this.ended.size <= endedKnownMax) break;
      this.forget(oldest);
    }
  }

  has(client: Address, local: Address): boolean {
    return this.ended.has(`${client} ${local}`);
  }

  /**
   * Those whose backend was down and has returned; they are forgotten.
   * @param hasReturned it is up where the connections have it
   */
  takeReturned(hasReturned: (place: Place) => boolean): EndedConnection[] {
    const returned = new Set(
      [...this.ofDown].flatMap(([down, { place }]) => (hasReturned(place) ? down : [])),
    );
    if (returned.size === 0) return [];
    const taken: EndedConnection[] = [];
    for (const [key, { connection, down }] of this.ended) {
      if (down === undefined || !returned.has(down)) continue;
      taken.push(connection);
      this.forget(key);
    }
    return taken;
  }

  private forget(key: string): void {
    const known = this.ended.get(key);
    if (known === undefined) return;
    this.ended.delete(key);
    if (known.down === undefined) return;
    const of = this.ofDown.get(known.down)!;
    if (--of.count === 0) this.ofDown.delete(known.down);
  }
}

function textOf({ id, target }: Place): string {
  return `${id} ${target === undefined ? '' : formatAddress(target)}`;
}
