/**
 * TCP and UDP servers inside the test's own process, with whatever behaviour a story needs. One that was stopped
 * (its port refuses, its connections are reset) can be started again in the same place.
 */
import { createSocket, type RemoteInfo, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Transport } from './ports.ts';
import { freePort } from './ports.ts';

export interface TestServer {
  readonly name: string;
  readonly protocol: Transport;
  readonly ip: string;
  readonly port: number;
  /** As a configuration wants it: `127.0.0.1:1234`. */
  readonly address: string;
  /** Connections it got, or datagrams. */
  readonly count: number;
  /** Open connections; none for UDP. */
  readonly sockets: ReadonlySet<Socket>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly name?: string;
  readonly ip?: string;
  readonly port?: number;
  /** UDP: also accept TCP connections on the same port number, for a TCP health check to look at. */
  readonly checkable?: boolean;
}

const started = new Set<TestServer>();

/** Ends every server started here that still runs. */
export async function stopServers(): Promise<void> {
  await Promise.all([...started].map((server) => server.stop()));
}

class TcpServer implements TestServer {
  readonly name: string;
  readonly protocol = 'tcp';
  readonly ip: string;
  port: number;
  count = 0;
  readonly sockets = new Set<Socket>();
  readonly #serve: (socket: Socket) => void;
  #server: Server | undefined;

  constructor(serve: (socket: Socket) => void, options: ServerOptions) {
    this.#serve = serve;
    this.name = options.name ?? 'server';
    this.ip = options.ip ?? '127.0.0.1';
    this.port = options.port ?? 0;
  }

  get address(): string {
    return this.ip.includes(':') ? `[${this.ip}]:${this.port}` : `${this.ip}:${this.port}`;
  }

  async start(): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      this.count++;
      this.sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.sockets.delete(socket));
      this.#serve(socket);
    });
    server.listen({ port: this.port, host: this.ip, backlog: 4096 });
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    started.add(this);
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    started.delete(this);
    const closed = once(server, 'close');
    server.close();
    for (const socket of this.sockets) socket.resetAndDestroy();
    await closed;
  }
}

export type DatagramHandler = (
  message: Buffer,
  from: RemoteInfo,
  reply: (text: string | Buffer) => void,
) => void;

class UdpServer implements TestServer {
  readonly name: string;
  readonly protocol = 'udp';
  readonly ip: string;
  port: number;
  count = 0;
  readonly sockets: ReadonlySet<Socket> = new Set();
  readonly #serve: DatagramHandler;
  readonly #isCheckable: boolean;
  #socket: UdpSocket | undefined;
  #check: TcpServer | undefined;

  constructor(serve: DatagramHandler, options: ServerOptions) {
    this.#serve = serve;
    this.#isCheckable = options.checkable ?? false;
    this.name = options.name ?? 'server';
    this.ip = options.ip ?? '127.0.0.1';
    this.port = options.port ?? 0;
  }

  get address(): string {
    return this.ip.includes(':') ? `[${this.ip}]:${this.port}` : `${this.ip}:${this.port}`;
  }

  async start(): Promise<void> {
    // Below the ephemeral range no outgoing socket can sit on it: not while it is stopped, nor on the other protocol.
    if (this.port === 0) this.port = await freePort('udp');
    if (this.#isCheckable) {
      this.#check = new TcpServer((socket) => socket.resume().on('end', () => socket.end()), {
        ip: this.ip,
        port: this.port,
      });
      await this.#check.start();
      this.port = this.#check.port;
    }
    const socket = createSocket({
      type: this.ip.includes(':') ? 'udp6' : 'udp4',
      recvBufferSize: 4 * 1024 * 1024,
    });
    socket.on('message', (message, from) => {
      this.count++;
      this.#serve(message, from, (text) => socket.send(text, from.port, from.address));
    });
    socket.on('error', () => {});
    socket.bind(this.port, this.ip);
    await once(socket, 'listening');
    this.port = socket.address().port;
    this.#socket = socket;
    started.add(this);
  }

  async stop(): Promise<void> {
    const socket = this.#socket;
    if (socket === undefined) return;
    this.#socket = undefined;
    started.delete(this);
    const closed = once(socket, 'close');
    socket.close();
    await Promise.all([closed, this.#check?.stop()]);
  }
}

/** A TCP server; `serve` gets each connection (half-open allowed, errors already handled). */
export async function tcpServer(
  serve: (socket: Socket) => void,
  options: ServerOptions = {},
): Promise<TestServer> {
  const server = new TcpServer(serve, options);
  await server.start();
  return server;
}

export async function udpServer(serve: DatagramHandler, options: ServerOptions = {}): Promise<TestServer> {
  const server = new UdpServer(serve, options);
  await server.start();
  return server;
}

/** TCP servers that greet with their name and a line feed, then echo, and end when the client ends. */
export function namedTcp(names: readonly string[]): Promise<TestServer[]> {
  const serve = (name: string) => (socket: Socket) => {
    socket.write(`${name}\n`);
    socket.pipe(socket);
  };
  return Promise.all(names.map((name) => tcpServer(serve(name), { name })));
}

/** UDP servers that answer `NAME:` and what they were sent. */
export function namedUdp(names: readonly string[], options: ServerOptions = {}): Promise<TestServer[]> {
  const serve =
    (name: string): DatagramHandler =>
    (message, _from, reply) =>
      reply(`${name}:${message.toString('latin1')}`);
  return Promise.all(names.map((name) => udpServer(serve(name), { ...options, name })));
}
