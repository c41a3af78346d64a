/**
 * What the kernel dropped at UDP sockets because as much waited there as may. Node cannot ask a socket, so /proc/net/udp is
 * read now and then, off the thread. What is dropped between the last look and the end of a socket is not found. Where
 * several threads share a port, the one that bound it first counts for all of them.
 */
import { promises } from 'node:fs';
import type { Address } from '../../core/address.ts';

/** A socket whose drops are of interest, bound. */
export interface Dropping {
  readonly local: Address | undefined;
  /** An IPv6 socket, whatever the address. */
  readonly isV6: boolean;
  /** What was known at the last look. */
  drops: number;
  dropped(count: number): void;
}

const lookIntervalMs = 5_000;

export class KernelDrops {
  readonly #sockets = new Set<Dropping>();
  #timer: NodeJS.Timeout | undefined;

  watch(socket: Dropping): void {
    this.#sockets.add(socket);
    if (this.#timer !== undefined) return;
    this.#timer = setInterval(() => void this.#look(), lookIntervalMs);
    this.#timer.unref();
  }

  forget(socket: Dropping): void {
    this.#sockets.delete(socket);
    if (this.#sockets.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  async #look(): Promise<void> {
    const found = new Map<string, number>();
    for (const name of ['udp', 'udp6']) {
      collectDrops(await promises.readFile(`/proc/net/${name}`, 'latin1').catch(() => ''), found);
    }
    if (found.size === 0) return;
    for (const socket of this.#sockets) {
      const { local, isV6 } = socket;
      const drops = local === undefined ? undefined : found.get(keyOf(local, isV6));
      if (drops === undefined) continue;
      const fresh = drops - socket.drops;
      socket.drops = drops;
      if (fresh > 0) socket.dropped(fresh);
    }
  }
}

/** Adds up, by local address, the last column of those lines in which it is not 0. Public for tests. */
export function collectDrops(table: string, found: Map<string, number>): void {
  for (const [, local, drops] of table.matchAll(/^ *\d+: (\S+) .* ([1-9]\d*) *$/gm)) {
    found.set(local!, (found.get(local!) ?? 0) + Number(drops));
  }
}

/** An address as the tables have it: words as the machine holds them, which is little-endian here. Public for tests. */
export function keyOf(address: Address, isV6: boolean): string {
  const { w0, w1, w2, w3, port } = address;
  // The wildcard of an IPv6 socket is all zeros, whatever form our Address of it has.
  const words = !isV6 ? [w3] : address.isWildcard ? [0, 0, 0, 0] : [w0, w1, w2, w3];
  return `${words.map(reversedHex).join('')}:${hex(port, 4)}`;
}

function reversedHex(word: number): string {
  const reversed = (word >>> 24) | ((word >>> 8) & 0xff00) | ((word << 8) & 0xff0000) | (word << 24);
  return hex(reversed >>> 0, 8);
}

function hex(value: number, digits: number): string {
  return value.toString(16).toUpperCase().padStart(digits, '0');
}
