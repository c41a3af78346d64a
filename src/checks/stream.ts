/**
 * One TCP conversation of a check: connects, writes, reads within bounds, and is gone when the check is over.
 *
 * It ends by a reset where nobody minds, so that a thousand checks a second leave no sockets in TIME-WAIT (RFC 9293, 3.6.1); a
 * dialect whose server logs resets says goodbye first and waits for the server to close.
 */
import type { Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls';
import { checkReplyBytesMax } from '../core/limits.ts';
import type { CheckResult, CheckWay } from './dialect.ts';
import { connectTo, leadsToItself, reset } from './sockets.ts';

/** So long a server has to close a connection that is over. */
const partingMs = 200;

/** Errors with a code that faults.ts knows. */
function fault(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

/** A conversation over TCP, which leaves no socket behind however it ends. */
export async function overTcp(
  asked: CheckWay,
  converse: (stream: CheckStream) => Promise<CheckResult>,
): Promise<CheckResult> {
  const stream = await CheckStream.connect(asked);
  try {
    return await converse(stream);
  } finally {
    stream.drop();
  }
}

export class CheckStream {
  /** What TLS is spoken over, or all there is. */
  private readonly plain: Socket;
  private socket: Socket | TLSSocket;
  private readonly pieces: Buffer[] = [];
  private bytes = 0;
  private ended: Error | undefined;
  private wake: (() => void) | undefined;

  private constructor(socket: Socket) {
    this.plain = socket;
    this.socket = socket;
    this.listen(socket);
  }

  /** @throws an error with an errno name as its code when no connection can be made; never settles after `signal` aborts */
  static connect(way: CheckWay): Promise<CheckStream> {
    return new Promise((resolve, reject) => {
      const socket = connectTo(way);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        if (!leadsToItself(socket, way.target)) return resolve(new CheckStream(socket));
        reset(socket);
        reject(fault('ECONNREFUSED', 'a connection with itself'));
      });
    });
  }

  /** Goes on over TLS. */
  async secure(options: ConnectionOptions): Promise<void> {
    const { socket } = this;
    socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('error');
    socket.on('error', () => {});
    const secured = connectTls({ socket, ...options });
    this.socket = secured;
    await new Promise<void>((resolve, reject) => {
      secured.once('secureConnect', () => resolve());
      secured.once('error', reject);
      secured.once('close', () => reject(fault('ECONNRESET', 'closed while it was being secured')));
    });
    this.listen(secured);
  }

  write(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }

  /**
   * What has come, as soon as `isEnough` finds it complete.
   * @param isEnough gets all that has not been taken yet; returns how many of its bytes to take; undefined: more is needed
   * @throws when the other side ends first, or sends more than a check reads
   */
  async read(isEnough: (bytes: Buffer) => number | undefined): Promise<Buffer> {
    for (;;) {
      const all = this.pieces.length === 1 ? this.pieces[0]! : Buffer.concat(this.pieces);
      const count = all.length === 0 ? undefined : isEnough(all);
      if (count !== undefined) {
        const rest = all.subarray(count);
        this.pieces.splice(0, this.pieces.length, ...(rest.length === 0 ? [] : [rest]));
        this.bytes = rest.length;
        return all.subarray(0, count);
      }
      if (this.ended !== undefined) throw this.ended;
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
  }

  /**
   * The next message, as soon as it has all come.
   * @param decode gets all that has not been taken yet; returns the message and where it ends; undefined: more is needed
   */
  async message<M extends { readonly end: number }>(decode: (bytes: Buffer) => M | undefined): Promise<M> {
    let message: M | undefined;
    await this.read((all) => {
      message = decode(all);
      return message?.end;
    });
    return message!;
  }

  /** Nothing more is said: the other side reads an end. */
  end(): void {
    this.socket.end();
  }

  /**
   * The other side is to close first: what it still says is dropped. Resolves when it has, or is made to have.
   * @param leftMs what is left of the check's time; half of it, or {@link partingMs}, is given to that
   */
  async closedWithin(leftMs: number): Promise<void> {
    this.socket.on('data', () => {});
    if (this.ended === undefined && !this.socket.destroyed) {
      const timer = setTimeout(() => this.drop(), Math.min(partingMs, leftMs / 2));
      await new Promise<void>((resolve) => {
        this.wake = resolve;
        this.socket.once('close', () => resolve());
      });
      clearTimeout(timer);
    }
    this.socket.destroy();
  }

  /** Gone at once. */
  drop(): void {
    reset(this.plain);
    this.socket.destroy();
  }

  private listen(socket: Socket): void {
    const end = (error: Error): void => {
      this.ended ??= error;
      this.wake?.();
    };
    socket.on('data', (bytes: Buffer) => {
      this.bytes += bytes.length;
      if (this.bytes > checkReplyBytesMax) {
        end(new Error(`it sends more than ${checkReplyBytesMax} bytes`));
        return this.drop();
      }
      this.pieces.push(bytes);
      this.wake?.();
    });
    socket.on('end', () => end(fault('ECONNRESET', 'it closed the connection')));
    socket.on('error', end);
    socket.on('close', () => end(fault('ECONNRESET', 'it closed the connection')));
  }
}
