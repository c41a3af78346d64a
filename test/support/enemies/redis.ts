/**
 * Something in Redis's place: it passes bytes on to a real Redis until it is told to misbehave, and then says to every
 * connection what a broken or hostile server says.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import type { Enemy } from './enemy.ts';

const lies = {
  'nil nobody asked for': (socket: Socket) => socket.write('$-1\r\n'.repeat(20)),
  'another protocol': (socket: Socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n<html>'),
  'a line without end': (socket: Socket) => flood(socket, Buffer.alloc(64 * 1024, '+x')),
  'a text of 600 MB': (socket: Socket) => {
    socket.write('$600000000\r\n');
    flood(socket, Buffer.alloc(64 * 1024, 'x'));
  },
  'lists in lists': (socket: Socket) => socket.write('*1\r\n'.repeat(20_000)),
  silence: () => {},
  'a cut': (socket: Socket) => socket.resetAndDestroy(),
} as const satisfies Record<string, (socket: Socket) => unknown>;

/** As much as is taken, until the connection ends. */
function flood(socket: Socket, part: Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(part));
    if (!socket.destroyed) socket.once('drain', more);
  };
  more();
}

export class HostileRedis {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #lie: keyof typeof lies | undefined;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(redisPort: number): Promise<HostileRedis> {
    const server = createServer();
    const hostile = new HostileRedis(server);
    server.on('connection', (socket) => hostile.#serve(socket, redisPort));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return hostile;
  }

  get url(): string {
    return `redis://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  enemies(): Enemy[] {
    return (Object.keys(lies) as (keyof typeof lies)[]).map((lie) => ({
      name: `Redis: ${lie}`,
      begin: async () => {
        this.#lie = lie;
        for (const socket of this.#sockets) this.#tell(socket);
        return async () => {
          this.#lie = undefined;
          this.#cut();
        };
      },
    }));
  }

  async stop(): Promise<void> {
    this.#cut();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  #tell(socket: Socket): void {
    socket.unpipe();
    socket.removeAllListeners('data').resume();
    lies[this.#lie!](socket);
  }

  #serve(socket: Socket, redisPort: number): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => this.#sockets.delete(socket));
    if (this.#lie !== undefined) return this.#tell(socket);
    const redis = connect(redisPort, '127.0.0.1');
    redis.on('error', () => socket.destroy());
    redis.on('close', () => socket.destroy());
    socket.on('close', () => redis.destroy());
    socket.on('data', (bytes) => redis.write(bytes));
    redis.on('data', (bytes) => {
      if (this.#lie === undefined) socket.write(bytes);
    });
  }
}
