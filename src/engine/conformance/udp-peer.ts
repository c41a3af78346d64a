/**
 * A UDP client or backend in a story. Datagrams may be lost even on loopback when a buffer is full, so
 * `request` repeats itself; stories that count datagrams send few of them.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Bind } from '../../core/plan.ts';
import type { BackendView } from '../../core/snapshot.ts';
import { backendView } from './listener.ts';
import { loopback } from './messages.ts';
import type { Stage } from './stage.ts';

export interface Datagram {
  readonly bytes: Buffer;
  readonly from: RemoteInfo;
}

export class UdpPeer {
  readonly socket: Socket;
  readonly ip: string;
  readonly port: number;
  readonly received: Datagram[] = [];
  readonly #stage: Stage;
  #isClosed = false;

  private constructor(stage: Stage, socket: Socket) {
    this.#stage = stage;
    this.socket = socket;
    const address = socket.address();
    this.ip = stage.scene.said(address.address);
    this.port = address.port;
    socket.on('message', (bytes, from) => this.received.push({ bytes, from }));
    socket.on('error', () => {});
    stage.onClose(() => this.close());
  }

  /** Bound to `ip`; with `to`, connected, so that it hears only that address. */
  static async open(
    stage: Stage,
    ip = '127.0.0.1',
    to?: Bind & { kind: 'inet' },
    port = 0,
  ): Promise<UdpPeer> {
    const socket = createSocket({ type: ip.includes(':') ? 'udp6' : 'udp4', recvBufferSize: 4 << 20 });
    socket.bind({ address: stage.scene.home(ip), port, exclusive: true });
    await once(socket, 'listening');
    if (to !== undefined) {
      socket.connect(to.port, stage.scene.front(to.ip));
      await once(socket, 'connect');
    }
    return new UdpPeer(stage, socket);
  }

  /** On a port the kernel gives to nobody unasked (ip(7), ip_local_port_range): after close() it stays free. */
  static async openOutsideEphemeral(stage: Stage): Promise<UdpPeer> {
    for (;;) {
      const port = 10_000 + Math.floor(Math.random() * 20_000);
      const peer = await UdpPeer.open(stage, '127.0.0.1', undefined, port).catch(() => undefined);
      if (peer !== undefined) return peer;
    }
  }

  /** A backend that sends everything back. */
  static async echo(stage: Stage, ip = '127.0.0.1'): Promise<UdpPeer> {
    const peer = await UdpPeer.open(stage, ip);
    peer.socket.on('message', (bytes, from) => peer.socket.send(bytes, from.port, from.address));
    return peer;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await new Promise<void>((resolve) => this.socket.close(() => resolve()));
  }

  get bind(): Bind {
    return loopback(this.ip, this.port);
  }

  get view(): BackendView {
    return backendView(this.bind);
  }

  /** As the engine reports this client. */
  get name(): string {
    return this.ip.includes(':') ? `[${this.ip}]:${this.port}` : `${this.ip}:${this.port}`;
  }

  get texts(): string[] {
    return this.received.map(({ bytes }) => bytes.toString('latin1'));
  }

  send(bytes: Uint8Array | string, port: number, ip = '127.0.0.1'): void {
    this.socket.send(bytes, port, this.#stage.scene.front(ip));
  }

  /** For a connected peer. */
  sendConnected(text: string): void {
    this.socket.send(text);
  }

  reply(text: Uint8Array | string, to: Datagram): void {
    this.socket.send(text, to.from.port, to.from.address);
  }

  receives(text: string): Promise<Datagram> {
    return this.#stage.eventually(`a datagram "${text}", got ${JSON.stringify(this.texts)}`, () =>
      this.received.find(({ bytes }) => bytes.toString('latin1') === text),
    );
  }

  receivesCount(count: number): Promise<true> {
    return this.#stage.eventually(`${count} datagrams, got ${this.received.length}`, () =>
      this.received.length >= count ? true : undefined,
    );
  }

  /** Sends until an answer equal in bytes comes back. */
  async request(bytes: Uint8Array, port: number, ip = '127.0.0.1'): Promise<void> {
    const expected = Buffer.from(bytes);
    let asked = 0;
    let polls = 0;
    await this.#stage.eventually(`an answer of ${bytes.length} bytes, asked ${asked} times`, () => {
      if (polls++ % 100 === 0) {
        asked++;
        this.send(bytes, port, ip);
      }
      return this.received.some((datagram) => datagram.bytes.equals(expected));
    });
  }
}
