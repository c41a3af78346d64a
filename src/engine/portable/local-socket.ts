/**
 * One bound UDP socket of a listener, and the address clients reach it by. Replies leave through it, so they come from
 * the address the client used.
 */
import { type BindOptions, createSocket, type RemoteInfo, type Socket, type SocketOptions } from 'node:dgram';
import { closeSync } from 'node:fs';
import { Address } from '../../core/address.ts';
import { replyQueueBytesMax } from '../../core/limits.ts';
import type { ListenerPlan } from '../../core/plan.ts';
import { ReadThrough } from '../read-through.ts';
import { receiveBufferBytes } from './bounds.ts';
import type { KernelDrops } from './kernel-drops.ts';
import { socketAddress } from './socket-address.ts';

export type SendOutcome = 'sent' | 'queue-full' | 'too-long';

/** How a socket shares its port: not at all, with the other sockets of a wildcard, or with other threads. */
export type PortSharing = 'none' | 'address' | 'port';

export type SocketBuffers = ListenerPlan['udp'];

/**
 * libuv takes up to 32 datagrams of a socket in one turn of the loop (uv__udp_recvmsg). A turn that brought far fewer has
 * found the queue empty.
 */
const readPerTurnFew = 8;

export class LocalSocket {
  /** The wildcard itself for the socket that takes what no other does. */
  readonly local: Address;
  readonly #socket: Socket;
  readonly #readThrough: ReadThrough;
  #received = 0;
  #counted = 0;
  #isLooking = false;
  #isClosed = false;
  #forgetDrops: () => void = () => {};

  private constructor(socket: Socket, receiveBufferBytes: number) {
    this.#socket = socket;
    this.#readThrough = new ReadThrough(0, receiveBufferBytes);
    const { address, port } = socket.address();
    this.local = socketAddress(address, port) ?? new Address(0, 0, 0, 0, port);
  }

  /**
   * Binds. Rejects with the system error.
   * @param ip a literal, with a zone for a link-local address; `::` takes IPv4 as well
   */
  static bind(ip: string, port: number, sharing: PortSharing, buffers: SocketBuffers): Promise<LocalSocket> {
    return LocalSocket.#open(ip, { address: ip, port, exclusive: true }, sharing, buffers);
  }

  /**
   * As {@link bind}, with a socket that is bound already.
   * @param passed its descriptor; it is closed with the socket, also when it cannot be used
   */
  static use(passed: number, ip: string, buffers: SocketBuffers): Promise<LocalSocket> {
    return LocalSocket.#open(ip, { fd: passed, exclusive: true }, 'none', buffers);
  }

  static #open(
    ip: string,
    place: BindOptions,
    sharing: PortSharing,
    buffers: SocketBuffers,
  ): Promise<LocalSocket> {
    const family = ip.includes(':') ? 6 : 4;
    // `reusePort` is in Node from 22.12 and 23.1; the types here are older.
    const recvBufferSize = buffers?.receiveBufferBytes ?? receiveBufferBytes;
    const options: SocketOptions & { reusePort?: boolean } = {
      type: family === 6 ? 'udp6' : 'udp4',
      reuseAddr: sharing === 'address',
      recvBufferSize,
      ...(buffers?.sendBufferBytes === undefined ? {} : { sendBufferSize: buffers.sendBufferBytes }),
      // Addresses are literals here: the default lookup costs a turn of the tick queue for every datagram.
      lookup: (host, _options, found) => found(null, host, family),
    };
    if (sharing === 'port') options.reusePort = true;
    const socket = createSocket(options);
    return new Promise((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close();
        reject(error);
      });
      const bound = (): void => {
        socket.removeAllListeners('error');
        resolve(new LocalSocket(socket, recvBufferSize));
      };
      try {
        socket.bind(place, bound);
      } catch (error) {
        // A descriptor that is no UDP socket: it has not become this socket's.
        socket.close();
        if (place.fd !== undefined) closeSync(place.fd);
        reject(error as Error);
      }
    });
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get port(): number {
    return this.local.port;
  }

  /** Starts delivering. An error of a socket without a peer is not any conversation's. */
  receive(datagram: (bytes: Buffer, from: RemoteInfo) => void, failed: (error: Error) => void): void {
    this.#socket.on('message', (bytes, from) => {
      this.#received++;
      datagram(bytes, from);
    });
    this.#socket.on('error', failed);
  }

  /**
   * Whether all that clients had sent by `momentMs` has been read. Where that is not known it will be after some turns of
   * the loop: ask again. A conversation is not quiet while its client's datagrams wait.
   */
  hasReadThrough(momentMs: number, nowMs: () => number): boolean {
    if (this.#readThrough.atMs >= momentMs || this.#isClosed) return true;
    if (!this.#isLooking) {
      this.#isLooking = true;
      // The turn under way may have passed this socket already.
      setImmediate(() => this.#look(nowMs));
    }
    return false;
  }

  #look(nowMs: () => number): void {
    const before = this.#received;
    const startMs = nowMs();
    setImmediate(() => {
      if (this.#received - before < readPerTurnFew) this.#readThrough.emptied(startMs);
      else this.#readThrough.read(this.#received - this.#counted, startMs);
      this.#counted = this.#received;
      this.#isLooking = false;
    });
  }

  /** Sends one reply. @param done called once, later or at once */
  send(bytes: Buffer, ip: string, port: number, done: (outcome: SendOutcome) => void): void {
    if (this.#isClosed || this.#socket.getSendQueueSize() > replyQueueBytesMax) {
      done('queue-full');
      return;
    }
    this.#socket.send(bytes, port, ip, (error) => done(error === null ? 'sent' : sendOutcomeOf(error)));
  }

  /** @param dropped is told what the kernel dropped at this socket, until it is closed */
  watchDrops(drops: KernelDrops, dropped: (count: number) => void): void {
    const isV6 = this.#socket.address().family === 'IPv6';
    const dropping = { local: this.local, isV6, drops: 0, dropped };
    drops.watch(dropping);
    this.#forgetDrops = () => drops.forget(dropping);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forgetDrops();
    this.#socket.close();
  }
}

/** ENOBUFS, EAGAIN and whatever else kept a datagram from leaving count as a full queue. */
export function sendOutcomeOf(error: Error): Exclude<SendOutcome, 'sent'> {
  return (error as NodeJS.ErrnoException).code === 'EMSGSIZE' ? 'too-long' : 'queue-full';
}
