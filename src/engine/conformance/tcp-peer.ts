/**
 * One end of a TCP (or unix) connection in a story: a client, or what a backend accepted. It tells an orderly
 * end from a reset, keeps half-closed sides open, and reads only while told to.
 */
import type { Hash } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Server, Socket } from 'node:net';
import type { Bind } from '../../core/plan.ts';
import type { BackendView } from '../../core/snapshot.ts';
import { confirmEnd } from '../portable/confirm-end.ts';
import { backendView } from './listener.ts';
import { loopback } from './messages.ts';
import { newDigest, payload } from './payload.ts';
import type { Stage } from './stage.ts';

const headBytesMax = 64 * 1024;

export class TcpPeer {
  readonly socket: Socket;
  /** As the engine reports this client. */
  name = '';
  receivedBytes = 0;
  sentBytes = 0;
  /** 'end': the other side finished. 'reset': it broke off. Any other error by its name. The first one counts. */
  ending: string | undefined = undefined;
  /** The error seen, also after an orderly end. */
  error: string | undefined = undefined;
  readonly #stage: Stage;
  readonly #received: Hash = newDigest();
  readonly #head: Buffer[] = [];

  constructor(stage: Stage, socket: Socket) {
    this.#stage = stage;
    this.socket = socket;
    confirmEnd(socket);
    socket.on('data', (bytes) => {
      if (this.receivedBytes < headBytesMax) this.#head.push(bytes);
      this.receivedBytes += bytes.length;
      this.#received.update(bytes);
    });
    socket.on('end', () => {
      this.ending ??= 'end';
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      this.error =
        error.code === 'ECONNRESET' || error.code === 'EPIPE' ? 'reset' : (error.code ?? error.message);
      this.ending ??= this.error;
    });
    stage.onClose(() => {
      socket.destroy();
    });
  }

  /** Connects to the engine. `from` is the client's own address. */
  static async connect(stage: Stage, to: number | Bind, from?: string): Promise<TcpPeer> {
    const target = typeof to === 'number' ? loopback('127.0.0.1', to) : to;
    const where =
      target.kind === 'unix'
        ? { path: target.path }
        : {
            host: stage.scene.front(target.ip),
            port: target.port,
            ...(from === undefined ? {} : { localAddress: stage.scene.home(from) }),
          };
    const socket = connect({ ...where, allowHalfOpen: true, noDelay: true });
    const peer = new TcpPeer(stage, socket);
    // A reset may be quicker than the news that the connection stood.
    await stage.eventually(
      'a connection',
      () => !socket.connecting && (socket.readyState === 'open' || peer.ending),
    );
    const { localAddress, localPort, localFamily } = socket;
    const ip = stage.scene.said(localAddress ?? '');
    peer.name = localFamily === 'IPv6' ? `[${ip}]:${localPort}` : `${ip}:${localPort}`;
    return peer;
  }

  /** The first bytes received, as text. */
  get text(): string {
    return Buffer.concat(this.#head).toString('latin1');
  }

  get digest(): string {
    return this.#received.copy().digest('hex');
  }

  send(text: string): void {
    this.sentBytes += text.length;
    this.socket.write(text);
  }

  /** Half-close: no more from this side. */
  finish(): void {
    this.socket.end();
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  pause(): void {
    this.socket.pause();
  }

  resume(): void {
    this.socket.resume();
  }

  /** Sends `total` bytes as fast as the other side takes them; returns their digest when all are written. */
  async sendMany(total: number): Promise<string> {
    const digest = newDigest();
    while (this.sentBytes < total && !this.socket.destroyed) {
      const bytes = payload(Math.min(65_536, total - this.sentBytes), this.sentBytes);
      digest.update(bytes);
      await new Promise<void>((resolve) => {
        this.socket.write(bytes, () => resolve());
        this.socket.once('close', () => resolve());
      });
      this.socket.removeAllListeners('close');
      this.sentBytes += bytes.length;
    }
    return digest.digest('hex');
  }

  async receives(text: string): Promise<void> {
    await this.#stage.eventually(`the bytes "${text}", got "${this.text}"`, () => this.text === text);
  }

  async receivesBytes(count: number): Promise<void> {
    await this.#stage.eventually(
      `${count} bytes, got ${this.receivedBytes}`,
      () => this.receivedBytes >= count,
    );
  }

  /** How the other side ended: 'end', 'reset', or another error. */
  outcome(): Promise<string> {
    return this.#stage.eventually('an end of the connection', () => this.ending);
  }

  /** Writes until the connection breaks: how a side that has seen an orderly end learns of a reset. */
  async breaks(): Promise<void> {
    await this.#stage.eventually('a broken connection', () => {
      if (this.error === undefined && this.socket.writable) this.socket.write('.');
      return this.error !== undefined || this.socket.destroyed;
    });
  }
}

export class TcpBackend {
  readonly server: Server;
  readonly bind: Bind;
  readonly peers: TcpPeer[] = [];
  readonly #stage: Stage;

  private constructor(stage: Stage, server: Server, bind: Bind) {
    this.#stage = stage;
    this.server = server;
    this.bind = bind;
  }

  /** Listens on `bind`. Accepted peers are read unless `paused`. */
  static async open(stage: Stage, bind: Bind = loopback(), paused = false): Promise<TcpBackend> {
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: paused });
    if (bind.kind === 'unix') server.listen(bind.path);
    else server.listen({ host: stage.scene.home(bind.ip), port: bind.port, backlog: 1024 });
    await once(server, 'listening');
    const address = server.address();
    const bound: Bind =
      bind.kind === 'unix' || address === null || typeof address === 'string'
        ? bind
        : loopback(bind.ip, address.port);
    const backend = new TcpBackend(stage, server, bound);
    server.on('connection', (socket) => {
      const peer = new TcpPeer(stage, socket);
      if (paused) socket.pause();
      backend.peers.push(peer);
    });
    stage.onClose(() => {
      server.close();
    });
    return backend;
  }

  /** One that sends back what it gets and ends when its client ends. */
  static async echo(stage: Stage, bind: Bind = loopback()): Promise<TcpBackend> {
    const backend = await TcpBackend.open(stage, bind);
    backend.server.on('connection', (socket) => socket.pipe(socket));
    return backend;
  }

  get view(): BackendView {
    return this.named('backend');
  }

  named(name: string): BackendView {
    return backendView(this.bind, name);
  }

  /** The nth connection it got, from 0. */
  accepted(index = 0): Promise<TcpPeer> {
    return this.#stage.eventually(`connection ${index} at the backend`, () => this.peers[index]);
  }
}

/**
 * A port on loopback that refuses: the near end of a connection that is held open. A port that was merely free a
 * moment ago may be somebody's by now.
 */
export async function refusingPort(stage: Stage): Promise<Bind> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const holder = await connectedOutsideEphemeral((server.address() as { readonly port: number }).port);
  stage.onClose(() => {
    holder.destroy();
    server.close();
  });
  return loopback('127.0.0.1', holder.localPort);
}

/** From a port that the kernel gives to no dial: one that drew the port it dials would be connected with itself. */
async function connectedOutsideEphemeral(port: number): Promise<Socket> {
  for (;;) {
    const localPort = 10_000 + Math.floor(Math.random() * 20_000);
    const socket = connect({ port, host: '127.0.0.1', localPort });
    const isConnected = new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    });
    if (await isConnected) return socket;
  }
}

/** True once a connect to `port` of the engine is refused. */
export async function refuses(stage: Stage, port: number): Promise<boolean> {
  const socket = new Socket();
  const outcome = new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(false));
    socket.once('error', () => resolve(true));
  });
  socket.connect(port, stage.scene.front('127.0.0.1'));
  const refused = await outcome;
  socket.destroy();
  return refused;
}
