/**
 * Clients with addresses of their own: all of 127.0.0.0/8 is this machine (RFC 1122 section 3.2.1.3), so a
 * thousand of them fit on loopback.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Different addresses, `perSubnet` of them in each /24. */
export function clientAddresses(count: number, perSubnet = 250): string[] {
  return Array.from({ length: count }, (_, i) => {
    const subnet = Math.floor(i / perSubnet);
    return `127.${100 + (subnet >> 8)}.${subnet & 255}.${1 + (i % perSubnet)}`;
  });
}

export interface ClientOptions {
  readonly from?: string;
  readonly host?: string;
}

/** One TCP client: what it received so far, and how its connection ended. */
export class TcpClient {
  readonly socket: Socket;
  receivedBytes = 0;
  /** 'end': an orderly end (FIN). Otherwise the errno name, ECONNRESET for a reset. The first one counts. */
  readonly outcome: Promise<string>;
  readonly closed: Promise<void>;
  #head = '';

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (bytes) => {
      this.receivedBytes += bytes.length;
      if (this.#head.length < 65_536) this.#head += bytes.toString('latin1');
    });
    this.outcome = new Promise((resolve) => {
      socket.once('end', () => resolve('end'));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      socket.once('close', () => resolve('closed here'));
    });
    this.closed = new Promise((resolve) => socket.once('close', () => resolve()));
  }

  /** The first bytes it received, as text. */
  get text(): string {
    return this.#head;
  }

  /** The first line it receives, without its end; rejects with how the connection ended instead. */
  async line(): Promise<string> {
    while (!this.#head.includes('\n')) {
      const ended = await Promise.race([once(this.socket, 'data').then(() => undefined), this.outcome]);
      if (ended !== undefined && !this.#head.includes('\n')) throw new Error(`no line, but: ${ended}`);
    }
    return this.#head.slice(0, this.#head.indexOf('\n'));
  }

  /** Ends in order and waits until all is closed. */
  async leave(): Promise<void> {
    this.socket.resume().end();
    await this.closed;
  }
}

/** Connects; rejects when the connection itself fails. A balancer that turns a client away does it afterwards. */
export async function tcpClient(port: number, options: ClientOptions = {}): Promise<TcpClient> {
  const socket = connect({
    port,
    host: options.host ?? '127.0.0.1',
    allowHalfOpen: true,
    noDelay: true,
    ...(options.from === undefined ? {} : { localAddress: options.from }),
  });
  const client = new TcpClient(socket);
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    // A reset means that the handshake was done: it can overtake the news of it.
    socket.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'ECONNRESET' ? resolve() : reject(error),
    );
  });
  return client;
}

/** Which backend greets this client; rejects when none does. The connection is over afterwards. */
export async function askTcp(port: number, from?: string): Promise<string> {
  const client = await tcpClient(port, from === undefined ? {} : { from });
  try {
    const name = await client.line();
    await client.leave();
    return name;
  } finally {
    client.socket.destroy();
  }
}

/** Sends one datagram from a new socket and resolves with the answer; undefined when none came in time. */
export async function tryUdp(
  port: number,
  from = '127.0.0.1',
  message = 'hello',
  timeoutMs = 10_000,
): Promise<string | undefined> {
  const socket = createSocket('udp4');
  let timer: NodeJS.Timeout | undefined;
  try {
    socket.bind(0, from);
    await once(socket, 'listening');
    return await new Promise<string | undefined>((resolve, reject) => {
      timer = setTimeout(() => resolve(undefined), timeoutMs);
      socket.once('message', (answer) => resolve(answer.toString('latin1')));
      socket.once('error', reject);
      socket.send(message, port, '127.0.0.1');
    });
  } finally {
    clearTimeout(timer);
    socket.close();
  }
}

/** Which backend answers this client's datagram; rejects when none does. */
export async function askUdp(port: number, from?: string): Promise<string> {
  const answer = await tryUdp(port, from);
  if (answer === undefined) throw new Error(`no answer over UDP to ${from}`);
  return answer.slice(0, answer.indexOf(':'));
}

/** Asks once for each item, a bounded number at a time; answers in the order of the items. */
export async function inParallel<T, R>(
  items: readonly T[],
  ask: (item: T, index: number) => Promise<R>,
  atOnce = 32,
): Promise<R[]> {
  const answers = new Array<R>(items.length);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) answers[i] = await ask(items[i]!, i);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker));
  return answers;
}
