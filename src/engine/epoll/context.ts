/**
 * What all sockets of one epoll engine share: the reactor, the host, and memory that is used for the length of one
 * call and then by the next.
 */
import type { Flow } from '../../core/flow.ts';
import { Arena, type Region } from '../../linux/arena.ts';
import { ChunkPool } from '../../linux/chunk-pool.ts';
import { type Descriptor, socketName } from '../../linux/libc.ts';
import { MessageBatch } from '../../linux/message-batch.ts';
import { PipePool } from '../../linux/pipe-pool.ts';
import type { Reactor } from '../../linux/reactor.ts';
import { decodeAddress } from '../../wire/sockaddr.ts';
import { Crowd } from '../arrival.ts';
import type { EngineHost } from '../engine.ts';
import { EvictionOrder } from '../eviction-order.ts';
import { ConversationTable } from './conversation-table.ts';
import { Dialer } from './dialer.ts';
import { Endpoints } from './endpoints.ts';
import { SilencedClients } from './silenced.ts';
import type { TcpArrival } from './tcp-arrival.ts';
import { PacedLine } from './tcp-pacer.ts';
import { Shortage } from './tcp-shortage.ts';
import { UdpReplies } from './udp-replies.ts';

/** One read of the copying relay. A longer stream goes through splice, so this is sized for the cache. */
export const readBytes = 64 * 1024;
/** Room for any socket address the engine meets. */
const nameBytes = 112;
/** Datagrams of one recvmmsg. */
const datagramsPerBatch = 64;
/**
 * Replies that leave with one sendmmsg. Those that came first in a turn would wait for the last of a large batch, and all their clients
 * be woken at once: with 64 the slowest hundredth waited 1.06 to 1.16 times as long, at the same CPU time (bench, 200 clients).
 */
const repliesPerBatch = 16;

export interface ContextLimits {
  /** Memory for unsent remainders of all flows of this engine. Bytes. */
  readonly pendingBytes: number;
  /** Pipes for splice; each takes two descriptors and up to 1 MiB of kernel memory. */
  readonly pipes: number;
  /** UDP conversations; each takes a descriptor. */
  readonly conversations: number;
}

export class Context {
  readonly reactor: Reactor;
  readonly host: EngineHost;
  /** Holds what one read brought, until the matching send has returned. */
  readonly shared: Region;
  /** One socket address at a time. */
  readonly name: Region;
  readonly endpoints: Endpoints;
  readonly dialer: Dialer;
  readonly chunks: ChunkPool;
  readonly pipes: PipePool;
  readonly shortage: Shortage;
  readonly silenced: SilencedClients;
  readonly paced: PacedLine;
  readonly conversations: ConversationTable;
  readonly arrivals = new Crowd<TcpArrival>();
  /** Changes whenever the ways to backends may have. */
  waysVersion = 0;
  /** Numbers for the sockets of UDP listeners. */
  nextDoor = 1;
  readonly order: EvictionOrder;
  #requests: MessageBatch | undefined;
  #replies: UdpReplies | undefined;

  constructor(reactor: Reactor, host: EngineHost, limits: ContextLimits) {
    const arena = new Arena(readBytes + 256);
    this.reactor = reactor;
    this.host = host;
    this.shared = arena.cut(readBytes);
    this.name = arena.cut(nameBytes);
    this.endpoints = new Endpoints(this.name);
    this.dialer = new Dialer(host, this.name);
    this.chunks = new ChunkPool(limits.pendingBytes);
    this.pipes = new PipePool(limits.pipes, reactor.wheel);
    this.shortage = new Shortage(reactor);
    this.silenced = new SilencedClients(reactor);
    this.paced = new PacedLine(reactor);
    this.conversations = new ConversationTable(limits.conversations);
    this.order = new EvictionOrder((flow) => host.proved(flow));
  }

  /** Where the dial of `fd` leaves from. A unix socket has no address. */
  tellDialsFrom(flow: Flow, fd: Descriptor): void {
    const local = socketName(fd, this.name) < 0 ? undefined : decodeAddress(this.name.view, 0);
    if (local !== undefined) this.host.dialsFrom(flow, local);
  }

  /** Datagrams just received from clients. Made when the first UDP listener is. */
  get requests(): MessageBatch {
    this.#requests ??= new MessageBatch(datagramsPerBatch);
    return this.#requests;
  }

  /** Datagrams on their way back to clients. */
  get replies(): UdpReplies {
    this.#replies ??= new UdpReplies(this.reactor, new MessageBatch(repliesPerBatch));
    return this.#replies;
  }
}
