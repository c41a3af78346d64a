/**
 * A UDP socket of one conversation, connected to its backend. Connecting sends nothing: it only makes the kernel filter
 * what comes from elsewhere, and report ICMP errors to this socket.
 *
 *    dialing --> connected --> lingering --> closed      'lingering': its backend is at another address now, and only
 *                                                        what was under way is still heard
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { Address } from '../../core/address.ts';
import { formerAddressMs, upstreamReceiveBufferBytes } from '../../core/limits.ts';
import type { Bind, ListenerPlan } from '../../core/plan.ts';
import { isSelfConnection } from '../../core/self-connection.ts';
import type { Way } from '../../core/way.ts';
import { sendQueueBytesMax } from './bounds.ts';
import type { Context } from './context.ts';
import type { Watched } from './deadlines.ts';
import type { Dropping } from './kernel-drops.ts';
import { socketAddress } from './socket-address.ts';

export interface UpstreamOwner {
  connected(upstream: UdpUpstream): void;
  /** While it is dialled, the end of it; afterwards, perhaps an ICMP message about an earlier datagram. */
  failed(upstream: UdpUpstream, error: Pick<NodeJS.ErrnoException, 'code'>): void;
  heard(upstream: UdpUpstream, bytes: Buffer): void;
  heardStranger(): void;
  /** Replies that waited for us. */
  kernelDropped(count: number): void;
}

export class UdpUpstream implements Watched, Dropping {
  wheelSlot = -1;
  drops = 0;
  readonly isV6: boolean;
  deadlineMs = Number.POSITIVE_INFINITY;
  readonly way: Way;
  readonly #context: Context;
  readonly #owner: UpstreamOwner;
  readonly #socket: Socket;
  #isClosed = false;

  /** Begins to connect to `target`, which is that of `way`. */
  constructor(
    context: Context,
    way: Way,
    target: Bind & { kind: 'inet' },
    buffers: ListenerPlan['udp'],
    owner: UpstreamOwner,
  ) {
    this.#context = context;
    this.way = way;
    this.#owner = owner;
    this.isV6 = target.ip.includes(':');
    const sendBufferSize = buffers?.backendSendBufferBytes;
    const socket = createSocket({
      type: this.isV6 ? 'udp6' : 'udp4',
      recvBufferSize: buffers?.backendReceiveBufferBytes ?? upstreamReceiveBufferBytes,
      ...(sendBufferSize === undefined ? {} : { sendBufferSize }),
    });
    this.#socket = socket;
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (!this.#isClosed) owner.failed(this, error);
    });
    const isBackend = comesFrom(target);
    socket.on('message', (bytes, from) => {
      if (this.#isClosed) return;
      if (isBackend(from)) owner.heard(this, bytes);
      else owner.heardStranger();
    });
    socket.once('connect', () => {
      if (this.#isClosed) return;
      if (this.#isConnectedToItself()) owner.failed(this, { code: 'ECONNREFUSED' });
      else {
        context.drops.watch(this);
        owner.connected(this);
      }
    });
    const source = context.sources.next(way.upstream, target.ip);
    if (source === undefined) socket.connect(target.port, target.ip);
    else {
      socket.bind({ address: source, port: 0, exclusive: true }, () => {
        if (this.#isClosed) return;
        try {
          socket.connect(target.port, target.ip);
        } catch (error) {
          // Called by the socket: nobody else would catch it.
          owner.failed(this, error as NodeJS.ErrnoException);
        }
      });
    }
  }

  dropped(count: number): void {
    this.#owner.kernelDropped(count);
  }

  /** In one datagram. False, and `done` is not called: too much waits already. */
  send(preface: Uint8Array | undefined, bytes: Buffer, done: (error: Error | null) => void): boolean {
    if (this.#socket.getSendQueueSize() > sendQueueBytesMax) return false;
    if (preface === undefined) this.#socket.send(bytes, done);
    else this.#socket.send([preface, bytes], done);
    return true;
  }

  linger(): void {
    this.deadlineMs = this.#context.nowMs() + formerAddressMs;
    this.#context.deadlines.watch(this);
  }

  expire(): void {
    this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#context.deadlines.forget(this);
    this.#context.drops.forget(this);
    this.#socket.close();
  }

  /** Where it is connected from. */
  get local(): Address | undefined {
    const { address, port } = this.#socket.address();
    return socketAddress(address, port);
  }

  #isConnectedToItself(): boolean {
    const { address: localAddress, port: localPort } = this.#socket.address();
    const { address: remoteAddress, port: remotePort } = this.#socket.remoteAddress();
    return isSelfConnection({ localAddress, localPort, remoteAddress, remotePort });
  }
}

/**
 * Whether a datagram is the backend's. Until it is connected a socket hears everybody who guesses its port, and what came then is
 * still in its queue afterwards.
 */
function comesFrom({ ip, port }: Bind & { kind: 'inet' }): (from: RemoteInfo) => boolean {
  const expected = socketAddress(ip, port)?.toString();
  let known = ip;
  return (from) => {
    if (from.port !== port) return false;
    if (from.address === known) return true;
    if (socketAddress(from.address, from.port)?.toString() !== expected) return false;
    known = from.address;
    return true;
  };
}
