/**
 * A UDP listener: it finds the conversation a datagram belongs to, or opens one.
 */
import type { RemoteInfo } from 'node:dgram';
import type { ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { type Bound, bindFailureOf, type Context, unlistened } from './context.ts';
import { Conversation } from './conversation.ts';
import type { LocalSocket } from './local-socket.ts';
import { LocalSockets } from './local-sockets.ts';
import { clientKey, socketAddress } from './socket-address.ts';

export class UdpListener {
  view: ListenerView;
  readonly #context: Context;
  readonly #conversations = new Map<number | string, Conversation>();
  #sockets: LocalSockets | undefined;
  #isClosed = false;

  constructor(context: Context, view: ListenerView) {
    this.#context = context;
    this.view = view;
  }

  /** Binds and starts receiving; answers later, never from inside. */
  async listen(): Promise<Bound> {
    const { bind, udp } = this.view.plan;
    if (bind.kind === 'unix') return { code: 'EINVAL', message: 'UDP is not served on a unix socket' };
    try {
      const sockets = await LocalSockets.bind(bind.ip, bind.port, this.#context.reusePort, udp, (socket) =>
        this.#receive(socket),
      );
      if (!this.#isClosed) {
        this.#sockets = sockets;
        return { port: sockets.local.port };
      }
      sockets.close();
      return unlistened;
    } catch (error) {
      return bindFailureOf(error);
    }
  }

  /** Releases the address. Its conversations end with it: replies leave through the socket that is given up. */
  close(code: TerminationCode): void {
    this.#isClosed = true;
    this.#sockets?.close();
    for (const conversation of this.#conversations.values()) conversation.end(code);
  }

  #receive(socket: LocalSocket): void {
    socket.receive(
      (bytes, from) => this.#datagram(bytes, from, socket),
      (error) => this.#context.host.fault(error, undefined),
    );
  }

  #datagram(bytes: Buffer, from: RemoteInfo, socket: LocalSocket): void {
    if (this.#isClosed) return;
    const key = clientKey(from.address, from.port);
    const known = this.#conversations.get(key);
    try {
      if (known !== undefined) known.fromClient(bytes, from, socket);
      else this.#open(bytes, from, socket, key);
    } catch (error) {
      this.#context.host.fault(error, known?.flow);
      known?.end('worker-error');
    }
  }

  #open(bytes: Buffer, from: RemoteInfo, socket: LocalSocket, key: number | string): void {
    const { host, census } = this.#context;
    const client = socketAddress(from.address, from.port);
    if (client === undefined) return;
    if (!census.makeRoom()) {
      host.dropped(this.view, 'queue-full');
      return;
    }
    let answer = host.open(this.view, client, socket.local);
    // Full by the host's count: a flood of forged sources has only unanswered conversations, and one makes room.
    if (
      (answer === 'limit-flows' && census.evict()) ||
      (answer === 'limit-listener' && census.evict(this.view.id))
    ) {
      answer = host.open(this.view, client, socket.local);
    }
    if (typeof answer === 'string') return;
    const conversation = new Conversation(this.#context, answer, () => this.#conversations.delete(key));
    this.#conversations.set(key, conversation);
    conversation.begin(bytes, from, socket);
  }
}
