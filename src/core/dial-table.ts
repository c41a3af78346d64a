/**
 * Where dials leave from that might come back to this instance: a word of shared memory for each local port and protocol, so
 * that any worker knows a connection of our own when it comes in. One that comes in is the other end of such a dial if its
 * client has the address and port the dial left from.
 *
 * A word holds the backend and sixteen bits of the local IP: two IPs of this machine that agree in those are taken for one.
 * Two dials from one address and port (to different backends) share a word, and the end of the first clears it.
 */
import type { Address } from './address.ts';
import type { Protocol } from './plan.ts';

const ports = 65_536;

export class DialTable {
  readonly shared: SharedArrayBuffer;
  private readonly words: Uint32Array;

  constructor(shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer(2 * ports * 4);
    this.words = new Uint32Array(this.shared);
  }

  note(protocol: Protocol, local: Address, backendId: number): void {
    Atomics.store(this.words, indexOf(protocol, local), wordOf(local, backendId));
  }

  clear(protocol: Protocol, local: Address, backendId: number): void {
    Atomics.compareExchange(this.words, indexOf(protocol, local), wordOf(local, backendId), 0);
  }

  /** The backend that a dial from `client` leads to; 0: there is none. */
  backendOf(protocol: Protocol, client: Address): number {
    const word = Atomics.load(this.words, indexOf(protocol, client));
    return word !== 0 && (word & 0xffff) === foldedIp(client) ? word >>> 16 : 0;
  }

  /** Control only, when a worker has died with what it had noted. */
  clearAll(): void {
    for (let i = 0; i < this.words.length; i++) Atomics.store(this.words, i, 0);
  }
}

function indexOf(protocol: Protocol, { port }: Address): number {
  return (protocol === 'tcp' ? 0 : ports) + port;
}

function wordOf(local: Address, backendId: number): number {
  return ((backendId << 16) | foldedIp(local)) >>> 0;
}

function foldedIp({ w0, w1, w2, w3 }: Address): number {
  const folded = w0 ^ w1 ^ w2 ^ w3;
  return (folded ^ (folded >>> 16)) & 0xffff;
}
