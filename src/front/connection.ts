/** One client of an HTTP address: what it is waited for, since when, and whether it has to go before another. */
import type { Socket } from 'node:net';
import { Address } from '../core/address.ts';
import { maskAddress } from '../core/key.ts';
import { httpPatienceMs, httpPeerShare } from '../core/limits.ts';

/**
 * asking: its request is not complete; answering: its page is being made; taking: it is being sent; idle: no request;
 * streaming: it is told what happens until it goes; leaving: it was told why it is refused, and is closed once that is sent.
 */
export type Phase = 'asking' | 'idle' | 'answering' | 'taking' | 'streaming' | 'leaving';

export class Connection {
  readonly number: number;
  readonly socket: Socket;
  /** Whom its place is counted to; undefined on a unix socket, where all are the owner's. */
  readonly peer: string | undefined;
  readonly openedMs: number;
  phase: Phase = 'asking';
  sinceMs: number;
  /** Since when it waits for us or we for it. */
  turnMs: number;
  /** What it has not taken yet. */
  body: Uint8Array | undefined;
  #bytesBefore = 0;

  constructor(number: number, socket: Socket, nowMs: number) {
    this.number = number;
    this.socket = socket;
    this.peer = socket.remoteAddress === undefined ? undefined : peerOf(socket.remoteAddress);
    this.openedMs = nowMs;
    this.sinceMs = nowMs;
    this.turnMs = nowMs;
  }

  enter(phase: Phase, nowMs: number): void {
    if (phase !== 'taking') this.turnMs = nowMs;
    this.phase = phase;
    this.sinceMs = nowMs;
    this.#bytesBefore = this.socket.bytesRead;
  }

  /** What the client has sent since the phase began. */
  get bytesInPhase(): number {
    return this.socket.bytesRead - this.#bytesBefore;
  }

  /** True while we owe something, false while the client does. */
  get isOwed(): boolean {
    return this.phase === 'answering' || this.phase === 'taking';
  }
}

/** Whether `a` has to go before `b`: those of a peer with many, then those who keep us waiting, the oldest first. */
export function goesBefore(
  a: Connection,
  b: Connection,
  nowMs: number,
  numberOf: (peer: string) => number,
): boolean {
  const beyondShare = ({ peer }: Connection): number =>
    peer === undefined ? 0 : Math.max(0, numberOf(peer) - httpPeerShare);
  const excess = beyondShare(a) - beyondShare(b);
  if (excess !== 0) return excess > 0;
  const rank = rankOf(a, nowMs) - rankOf(b, nowMs);
  return rank === 0 ? a.turnMs < b.turnMs : rank < 0;
}

function rankOf({ phase, bytesInPhase, sinceMs }: Connection, nowMs: number): number {
  switch (phase) {
    case 'leaving':
      return 0;
    case 'asking':
      return 1;
    case 'idle':
      // Somebody who has begun to ask again is no longer idle.
      return bytesInPhase > 0 ? 1 : 2;
    case 'taking':
      return nowMs - sinceMs > httpPatienceMs ? 3 : 4;
    case 'answering':
    case 'streaming':
      return 4;
  }
}

/** An IPv4 address, or the /64 an IPv6 host has to itself. */
export function peerOf(remoteAddress: string): string {
  const address = Address.parse(remoteAddress, 0);
  // With a zone (fe80::1%eth0) it is no address to us.
  return address === undefined ? remoteAddress : maskAddress(address, 32, 64).ip;
}
