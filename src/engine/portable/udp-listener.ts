/**
 * A UDP listener: it finds the conversation a datagram belongs to, or opens one.
 */
import type { RemoteInfo } from 'node:dgram';
import { noAddress } from '../../core/address.ts';
import type { Bind } from '../../core/plan.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import type { Preface } from '../engine.ts';
import { beginsWith } from '../repeated-preface.ts';
import { type Bound, bindFailureOf, type Context, guarded, unlistened } from './context.ts';
import { Conversation } from './conversation.ts';
import type { LocalSocket } from './local-socket.ts';
import { LocalSockets } from './local-sockets.ts';
import { clientKey, socketAddress } from './socket-address.ts';

/** The conversations of one address: the same client may talk to several, and is answered from each. */
interface Served {
  readonly sinceMs: number;
  readonly conversations: Map<number | string, Conversation>;
}

export class UdpListener {
  view: ListenerView;
  readonly #context: Context;
  readonly #bound: Bind;
  readonly #countsDrops: boolean;
  readonly #served = new Map<LocalSocket, Served>();
  #sockets: LocalSockets | undefined;
  #isDraining = false;
  #isClosed = false;

  /** @param countsDrops of the kernel, at this address: one of the threads that share it does */
  constructor(context: Context, view: ListenerView, countsDrops: boolean) {
    this.#context = context;
    this.#countsDrops = countsDrops;
    this.view = view;
    this.#bound = view.plan.bind;
  }

  /**
   * Binds and starts receiving; answers later, never from inside.
   * @param passed a socket that is bound already, and closed with this listener
   */
  async listen(passed?: number): Promise<Bound> {
    const bind = this.#bound;
    const { udp } = this.view.plan;
    if (bind.kind === 'unix') return { code: 'EINVAL', message: 'UDP is not served on a unix socket' };
    try {
      const receive = (socket: LocalSocket): void => this.#receive(socket);
      const sockets =
        passed === undefined
          ? await LocalSockets.bind(bind.ip, bind.port, this.#context.reusePort, udp, receive)
          : await LocalSockets.use(passed, bind.ip, udp, receive);
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

  get isBound(): boolean {
    return this.#sockets !== undefined;
  }

  /** Takes nobody new; who is known is served until quiet. */
  drain(): void {
    this.#isDraining = true;
    for (const { conversations } of this.#served.values()) {
      for (const conversation of conversations.values()) conversation.drain();
    }
  }

  /** Releases the address. Its conversations end with it: replies leave through the socket that is given up. */
  close(code: TerminationCode): void {
    this.#isClosed = true;
    this.#sockets?.close();
    for (const { conversations } of this.#served.values()) {
      for (const conversation of conversations.values()) conversation.end(code);
    }
  }

  #receive(socket: LocalSocket): void {
    for (const other of this.#served.keys()) this.#drop(other);
    const served = { sinceMs: this.#context.nowMs(), conversations: new Map() };
    this.#served.set(socket, served);
    socket.receive(
      (bytes, from) => this.#datagram(bytes, from, socket, served),
      (error) => this.#context.host.fault(error, undefined),
    );
    if (!this.#countsDrops) return;
    socket.watchDrops(this.#context.drops, (count) =>
      this.#context.host.dropped(this.view, 'receive-buffer-full', count),
    );
  }

  #datagram(bytes: Buffer, from: RemoteInfo, socket: LocalSocket, served: Served): void {
    if (this.#isClosed) return;
    let known: Conversation | undefined;
    try {
      const preface = this.view.hasPrefaces === true ? this.#preface(bytes, from) : undefined;
      if (preface === 'dropped') return;
      const sender = clientKey(from.address, from.port);
      const key = preface === undefined ? sender : `${sender} ${preface.about}`;
      known = served.conversations.get(key) ?? this.#takeOver(key, socket, served);
      if (this.view.rebinds === true) known?.heardAtHome();
      if (
        known === undefined &&
        this.view.rebinds === true &&
        this.#continues(bytes, from, socket, served, key)
      )
        return;
      if (known === undefined) this.#open(bytes, from, socket, served, key);
      else {
        known.fromClient(without(bytes, preface, known.flow.preface), from, socket);
        if (known.standing !== 'proved') this.#context.order.spoke(known);
      }
    } catch (error) {
      this.#context.host.fault(error, known?.flow);
      known?.end('worker-error');
    }
  }

  #preface(bytes: Buffer, from: RemoteInfo): Preface | 'dropped' | undefined {
    const peer = socketAddress(from.address, from.port) ?? noAddress;
    return this.#context.host.preface(this.view, peer, bytes);
  }

  /** A conversation of the time before `socket` was there, when the wildcard served its address. */
  #takeOver(key: number | string, socket: LocalSocket, served: Served): Conversation | undefined {
    if (socket.local.isWildcard) return undefined;
    for (const [other, { conversations }] of this.#served) {
      const known = other.local.isWildcard ? conversations.get(key) : undefined;
      if (known === undefined || known.bornAtMs > served.sinceMs) continue;
      conversations.delete(key);
      served.conversations.set(key, known);
      return known;
    }
    return undefined;
  }

  #open(bytes: Buffer, from: RemoteInfo, socket: LocalSocket, served: Served, key: number | string): void {
    const { conversationsMax, host, nowMs, order } = this.#context;
    const client = socketAddress(from.address, from.port);
    if (client === undefined) return;
    if (this.#isDraining) {
      host.dropped(this.view, 'shutdown');
      return;
    }
    // Whoever forged it: nobody can be answered there.
    if (from.port === 0) {
      host.dropped(this.view, 'unknown-source');
      return;
    }
    if (order.count >= conversationsMax && !order.evictFor(this.view.id, nowMs())) {
      host.dropped(this.view, 'queue-full');
      return;
    }
    const answer =
      this.view.identifies === true
        ? host.open(this.view, client, socket.local, undefined, bytes)
        : host.open(this.view, client, socket.local);
    if (typeof answer === 'string') return;
    const conversation = new Conversation(this.#context, this, answer, key, (over) => this.#forget(over));
    served.conversations.set(key, conversation);
    conversation.begin(answer.consumed === 0 ? bytes : bytes.subarray(answer.consumed), from, socket);
  }

  /** @returns whether the datagram is done with: it was that of an open conversation, or nobody's */
  #continues(
    bytes: Buffer,
    from: RemoteInfo,
    socket: LocalSocket,
    served: Served,
    key: number | string,
  ): boolean {
    const { host } = this.#context;
    const peer = socketAddress(from.address, from.port);
    if (peer === undefined || peer.port === 0) return false;
    const flow = host.continues(this.view, peer, socket.local, bytes);
    if (flow === undefined) return false;
    if (flow === 'dropped') return true;
    const conversation = flow.engineState as Conversation | undefined;
    // One of another socket of the listener is answered from there, and nobody is looked for here.
    if (conversation?.isOf(this) !== true) return false;
    guarded(this.#context, conversation, () => {
      if (conversation.cameFrom(key, from, socket)) {
        this.#forget(conversation);
        conversation.key = key;
        served.conversations.set(key, conversation);
        host.moved(flow, peer);
      }
      conversation.take(bytes);
    });
    return true;
  }

  #forget(conversation: Conversation): void {
    const { key } = conversation;
    for (const [socket, { conversations }] of this.#served) {
      if (conversations.get(key) !== conversation) continue;
      conversations.delete(key);
      this.#drop(socket);
    }
  }

  /** Addresses come and go: one that is gone is kept for as long as conversations of it are. */
  #drop(socket: LocalSocket): void {
    if (socket.isClosed && this.#served.get(socket)?.conversations.size === 0) this.#served.delete(socket);
  }
}

/** The client's own bytes of a datagram of a conversation that began with `first`. */
function without(bytes: Buffer, preface: Preface | undefined, first: Uint8Array | undefined): Buffer {
  if (preface !== undefined) return bytes.subarray(preface.length);
  const isRepeated = first !== undefined && beginsWith(bytes, 0, bytes.length, first);
  return isRepeated ? bytes.subarray(first.length) : bytes;
}
