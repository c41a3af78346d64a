/**
 * TCP connections that were ended here, for as long as a side that is silent is waited for: their remnants are nobody's flow. Those that were
 * ended because their backend was down are known by it. When it is up again they are spared: an instance that was cut off took all backends
 * for dead, while another one carried its connections on, and may have them back.
 *
 * Does not outlive its process: what a predecessor has ended stays ended.
 */
import type { Address } from '../core/address.ts';
import type { Flow } from '../core/flow.ts';
import { endedKnownMax, goneMs } from '../core/limits.ts';
import type { TerminationCode } from '../core/termination.ts';

/** A TCP connection that is to be reset, as packets between its client and its backend have it. */
export interface EndedConnection {
  readonly client: Address;
  readonly backend: Address;
}

interface Ended {
  readonly connection: EndedConnection;
  readonly atMs: number;
  /** The backend that was down; undefined: it was ended for something else. */
  readonly downBackendId: number | undefined;
}

export class EndedConnections {
  /** By client and the listener's address; oldest first. */
  private readonly ended = new Map<string, Ended>();
  /** How many of these there are for each backend that was down. */
  private readonly ofDown = new Map<number, number>();

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
    const downBackendId = code === 'backend-down' ? backend?.id : undefined;
    this.ended.set(key, { connection, atMs: nowMs, downBackendId });
    if (downBackendId !== undefined)
      this.ofDown.set(downBackendId, (this.ofDown.get(downBackendId) ?? 0) + 1);
    for (const [oldest, { atMs }] of this.ended) {
      if (nowMs - atMs < goneMs && this.ended.size <= endedKnownMax) break;
      this.forget(oldest);
    }
  }

  has(client: Address, local: Address): boolean {
    return this.ended.has(`${client} ${local}`);
  }

  /** Those whose backend was down and is up again; they are forgotten. */
  takeReturned(isUp: (backendId: number) => boolean): EndedConnection[] {
    const returned = new Set([...this.ofDown.keys()].filter(isUp));
    if (returned.size === 0) return [];
    const taken: EndedConnection[] = [];
    for (const [key, { connection, downBackendId }] of this.ended) {
      if (downBackendId === undefined || !returned.has(downBackendId)) continue;
      taken.push(connection);
      this.forget(key);
    }
    return taken;
  }

  private forget(key: string): void {
    const known = this.ended.get(key);
    if (known === undefined) return;
    this.ended.delete(key);
    const { downBackendId } = known;
    if (downBackendId === undefined) return;
    const left = this.ofDown.get(downBackendId)! - 1;
    if (left > 0) this.ofDown.set(downBackendId, left);
    else this.ofDown.delete(downBackendId);
  }
}
