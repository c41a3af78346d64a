/** Questions over UDP: one socket for a check, answers from the asked address alone. */
import { createSocket } from 'node:dgram';
import type { CheckResult, CheckWay } from './dialect.ts';

/** A conversation over UDP, which leaves no socket behind however it ends. */
export async function overUdp(
  asked: CheckWay,
  converse: (datagrams: CheckDatagrams) => Promise<CheckResult>,
): Promise<CheckResult> {
  const datagrams = await CheckDatagrams.open(asked);
  try {
    return await converse(datagrams);
  } finally {
    datagrams.close();
  }
}

class CheckDatagrams {
  private readonly socket;
  private readonly waiting: Buffer[] = [];
  private failure: Error | undefined;
  private wake: (() => void) | undefined;

  private readonly greeting: Uint8Array | undefined;

  private constructor(isV6: boolean, greeting: Uint8Array | undefined) {
    this.greeting = greeting;
    this.socket = createSocket(isV6 ? 'udp6' : 'udp4');
  }

  /**
   * A connected socket: the kernel drops what comes from anybody else, and says when nobody listens there.
   * @throws when the backend is a unix socket
   */
  static async open({ target, source, greeting, signal }: CheckWay): Promise<CheckDatagrams> {
    if (target.kind !== 'inet') throw new Error('a unix socket cannot be asked over UDP');
    const one = new CheckDatagrams(target.ip.includes(':'), greeting);
    const { socket } = one;
    signal.addEventListener('abort', () => one.close());
    socket.on('message', (bytes) => {
      // More than a few unread ones are a flood.
      if (one.waiting.length < 8) one.waiting.push(bytes);
      one.wake?.();
    });
    socket.on('error', (error) => {
      one.failure ??= error;
      one.wake?.();
    });
    try {
      await one.connect(target.ip, target.port, source);
    } catch (error) {
      one.close();
      throw error;
    }
    return one;
  }

  private connect(ip: string, port: number, source: string | undefined): Promise<void> {
    const { socket } = this;
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      // A failure is told by the call's own way, and by no event.
      const connect = (): void => {
        try {
          socket.connect(port, ip, ((error?: Error) => (error ? reject(error) : resolve())) as () => void);
        } catch (error) {
          // Called by the socket: nobody else would catch it.
          reject(error as Error);
        }
      };
      if (source === undefined) connect();
      else socket.bind({ address: source }, connect);
    });
  }

  send(bytes: Uint8Array): void {
    const datagram = this.greeting === undefined ? bytes : Buffer.concat([this.greeting, bytes]);
    this.socket.send(datagram, (error) => {
      if (error === null) return;
      this.failure ??= error;
      this.wake?.();
    });
  }

  /** The next datagram. @throws when nobody listens there (ICMP) */
  async next(): Promise<Buffer> {
    for (;;) {
      const first = this.waiting.shift();
      if (first !== undefined) return first;
      if (this.failure !== undefined) throw this.failure;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  close(): void {
    try {
      this.socket.close();
    } catch {
      // Closed already.
    }
  }
}
