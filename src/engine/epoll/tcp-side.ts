/**
 * One end of a relayed connection: its descriptor, what is known of it, and what was read from it and is not
 * delivered yet. The two sides of a flow are peers; bytes read from a side belong to it until the peer took them.
 *
 * Edge-triggered epoll tells of changes only, so the side remembers: `readable` holds from an edge until a read
 * comes back short or empty, `hungUp` for ever. A read that is shorter than asked means the queue was empty at that
 * moment; anything later makes a new edge. But data and the end may come in one edge: after `hungUp` nothing
 * will follow, so a short read is then the end. Urgent data and unix sockets break reads off early
 * (`exact`): those read on until the kernel says "nothing" or "ended". So does a side with an error.
 */
import type { Region } from '../../linux/arena.ts';
import {
  EPOLLERR,
  EPOLLET,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  EPOLLPRI,
  EPOLLRDHUP,
} from '../../linux/constants.ts';
import { type Descriptor, noDescriptor } from '../../linux/libc.ts';
import type { Pipe } from '../../linux/pipe-pool.ts';
import type { Handler } from '../../linux/reactor.ts';
import type { TcpFlow } from './tcp-flow.ts';
import type { TcpPacer } from './tcp-pacer.ts';

/** Readiness to write is asked for only once a send came up short: most sides never need it. */
export const interestToRead = EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLET;
export const interestToWrite = interestToRead | EPOLLOUT;

export class TcpSide implements Handler {
  readonly owner: TcpFlow;
  readonly isClient: boolean;
  fd: Descriptor = noDescriptor;
  slot = -1;
  queued = false;
  interest = 0;

  readable = false;
  hungUp = false;
  /** It took less than it was given: until it says that it is writable, more attempts are wasted calls. */
  blocked = false;
  exact = false;
  /** Its end was read. */
  ended = false;
  /** Its end was passed on, after all it sent; or all it sent, if it broke off. */
  finished = false;
  /** It takes nothing more: it was reset, or a write to it failed. */
  deaf = false;
  /** It was broken off, so what it sent may lack its end. */
  cut = false;

  /** What was read and not yet taken by the peer: `heldStart` to `heldEnd` of `chunk`, or `pipeBytes` in `pipe`. */
  chunk: Region | undefined = undefined;
  heldStart = 0;
  heldEnd = 0;
  pipe: Pipe | undefined = undefined;
  pipeBytes = 0;
  /** Client, until the backend's first byte: what the backend has taken of it, to be said again (tcp-said.ts). */
  keeps = false;
  said: Region | undefined = undefined;
  saidEnd = 0;
  /** Reads in a row that filled the buffer. */
  fullReads = 0;
  splicing = false;
  /** Splices in a row that brought little. */
  smallSplices = 0;
  /** How fast it may be read; undefined: there is no limit. */
  pacer: TcpPacer | undefined = undefined;
  /** A second send needs TCP_NODELAY first (tcp-relay.ts). */
  sends = 0;

  constructor(owner: TcpFlow, isClient: boolean) {
    this.owner = owner;
    this.isClient = isClient;
  }

  /** It is to have another connection, of which nothing is known yet. Only when nothing is held of it. */
  renew(): void {
    this.fd = noDescriptor;
    this.readable = false;
    this.hungUp = false;
    this.blocked = false;
    this.ended = false;
    this.cut = false;
  }

  get peer(): TcpSide {
    return this.isClient ? this.owner.backend : this.owner.client;
  }

  onEvents(events: number): void {
    if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) !== 0) this.blocked = false;
    if ((events & (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) !== 0) {
      this.readable = true;
      // After a reset RDHUP is set as well, without an end having come: only a read tells.
      if ((events & (EPOLLPRI | EPOLLERR)) !== 0) this.exact = true;
      if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) !== 0) this.hungUp = true;
    }
    this.owner.onSide(this, events);
  }

  /** While it is relayed, and nobody's bytes wait for what this event says: that it takes some. */
  endWaits(events: number): boolean {
    return this.owner.open && (!this.blocked || (events & EPOLLERR) !== 0);
  }

  onAgain(): void {
    this.owner.onSide(this, 0);
  }
}
