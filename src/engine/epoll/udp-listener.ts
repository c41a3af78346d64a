/**
 * A UDP listener's socket: receives the requests of all its clients in batches and sends them their replies.
 *
 * With several workers each has such a socket on the same address (SO_REUSEPORT) and the kernel spreads clients
 * over them by a hash of the addresses. When the number of workers changes, so does the spread, and a client's
 * next datagram may come to another worker: that one opens a new conversation, the pin (or the hash) brings it to
 * the same backend, and the old one expires. The backend sees the client from another source port then.
 */
import { Address, noAddress } from '../../core/address.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { AF_INET, EPOLLIN, EPOLLOUT } from '../../linux/constants.ts';
import { EAGAIN } from '../../linux/errno.ts';
import { close, type Descriptor, dropsOf, socketName } from '../../linux/libc.ts';
import type { MessageBatch } from '../../linux/message-batch.ts';
import type { Handler } from '../../linux/reactor.ts';
import type { Timed } from '../../linux/timer-wheel.ts';
import { decodeAddress, decodePort, inet6Bytes, inetBytes } from '../../wire/sockaddr.ts';
import type { DropReason, Preface } from '../engine.ts';
import { ReadThrough } from '../read-through.ts';
import { beginsWith } from '../repeated-preface.ts';
import type { Context } from './context.ts';
import { interfaceWordAt, localWordsAt } from './conversation-table.ts';
import { datagramBufferBytes } from './sockets.ts';
import { UdpBacklog } from './udp-backlog.ts';
import { UdpConversation } from './udp-conversation.ts';

/** Full batches taken in one turn before others have theirs. */
const batchesMax = 4;

/** How often the kernel is asked what it dropped. */
const dropsIntervalMs = 1_000;

export class UdpListener implements Handler, Timed {
  slot = -1;
  queued = false;
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  view: ListenerView;
  readonly id: number;
  /** Its number among the sockets of this engine: a listener may have several. */
  readonly door: number;
  readonly fd: Descriptor;
  readonly local: Address;
  readonly isIpv4: boolean;
  /** Bound to all addresses: each datagram says which one it came to, and the reply leaves from that. */
  readonly isWildcard: boolean;
  readonly nameBytes: number;
  readonly backlog = new UdpBacklog();
  readonly #context: Context;
  readonly #isPassed: boolean;
  readonly #nameWords: number;
  readonly #readThrough: ReadThrough;
  #lookedAtMs = 0;
  #isDraining = false;
  #awaitsWritable = false;
  #drops = 0;
  #closed = false;

  /**
   * @param fd bound; the listener owns it
   * @param isPassed others have the socket too
   */
  constructor(context: Context, view: ListenerView, fd: Descriptor, isPassed = false) {
    this.#context = context;
    this.#isPassed = isPassed;
    this.view = view;
    this.id = view.id;
    this.door = context.nextDoor++;
    this.fd = fd;
    socketName(fd, context.name);
    this.isIpv4 = context.name.view.getUint16(0, true) === AF_INET;
    this.local = decodeAddress(context.name.view, 0) ?? noAddress;
    this.isWildcard = this.local.isWildcard;
    this.nameBytes = this.isIpv4 ? inetBytes : inet6Bytes;
    this.#nameWords = this.nameBytes / 4;
    this.#readThrough = new ReadThrough(
      context.reactor.nowMs,
      view.plan.udp?.receiveBufferBytes ?? datagramBufferBytes,
    );
  }

  /** Starts to receive. 0 or a negative errno. */
  open(): number {
    const { reactor } = this.#context;
    const result = reactor.add(this.fd, this, EPOLLIN);
    if (result === 0) reactor.wheel.set(this, reactor.nowMs + dropsIntervalMs);
    return result;
  }

  onTimer(nowMs: number): void {
    this.#countDrops();
    this.#context.reactor.wheel.set(this, nowMs + dropsIntervalMs);
  }

  #countDrops(): void {
    const drops = dropsOf(this.fd);
    if (drops <= this.#drops) return;
    this.dropped('receive-buffer-full', drops - this.#drops);
    this.#drops = drops;
  }

  onEvents(events: number): void {
    if ((events & EPOLLOUT) !== 0) this.#onWritable();
    if ((events & ~EPOLLOUT) !== 0) this.#receive();
  }

  /** Replies wait in the backlog until then. */
  awaitWritable(): void {
    if (this.#awaitsWritable || this.#closed) return;
    this.#awaitsWritable = true;
    this.#context.reactor.modify(this.fd, this, EPOLLIN | EPOLLOUT);
  }

  #onWritable(): void {
    this.#context.replies.release(this);
    if (!this.backlog.isEmpty || this.#closed) return;
    this.#awaitsWritable = false;
    this.#context.reactor.modify(this.fd, this, EPOLLIN);
  }

  #receive(): void {
    const batch = this.#context.requests;
    batch.useControl(this.isWildcard);
    for (let batches = 0; batches < batchesMax; batches++) {
      // An error here is an ICMP message for a reply, or memory that is short: the next event tries again.
      const count = batch.receive(this.fd, batch.count);
      for (let i = 0; i < count && !this.#closed; i++) this.#onDatagram(batch, i);
      if (this.#closed) return;
      const { nowMs } = this.#context.reactor;
      if (count < batch.count) {
        if (count >= 0 || count === -EAGAIN) this.#readThrough.emptied(nowMs);
        return;
      }
      this.#readThrough.read(count, nowMs);
    }
  }

  onAgain(): void {
    this.#receive();
  }

  /**
   * Whether all that clients had sent by `momentMs` has been read. Looks, once a turn, where that is not known: a
   * conversation is not quiet while its client's datagrams wait. What is read may end the one who asks.
   */
  hasReadThrough(momentMs: number): boolean {
    const { nowMs } = this.#context.reactor;
    if (this.#readThrough.atMs < momentMs && this.#lookedAtMs !== nowMs && !this.#closed) {
      this.#lookedAtMs = nowMs;
      this.#receive();
    }
    return this.#readThrough.atMs >= momentMs;
  }

  /**
   * Takes nobody new; who is known is served until quiet.
   * @param own its conversations
   */
  drain(own: readonly UdpConversation[]): void {
    this.#isDraining = true;
    for (const conversation of own) conversation.drain();
  }

  /** Gives the socket up. `own`, its conversations, end, for their replies would leave from it. */
  close(code: TerminationCode, own: readonly UdpConversation[]): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.replies.flush();
    for (const conversation of own) conversation.reset(code);
    this.#countDrops();
    this.#context.reactor.wheel.clear(this);
    if (this.#isPassed) this.#context.reactor.removeShared(this.fd, this);
    else this.#context.reactor.remove(this);
    close(this.fd);
  }

  dropped(reason: DropReason, count = 1): void {
    this.#context.host.dropped(this.view, reason, count);
  }

  #onDatagram(batch: MessageBatch, i: number): void {
    let conversation: UdpConversation | undefined;
    try {
      this.#identify(batch, i);
      const preface = this.view.hasPrefaces === true ? this.#preface(batch, i) : undefined;
      if (preface === 'dropped') return;
      const known = this.#find(preface);
      if (this.view.rebinds === true) known?.heardAtHome();
      if (known === undefined && this.view.rebinds === true && this.#continues(batch, i)) return;
      conversation = known ?? this.#open(batch, i, preface);
      if (conversation === undefined) return;
      let consumed = 0;
      if (known === undefined) consumed = conversation.flow.consumed;
      else if (preface !== undefined) consumed = preface.length;
      else if (known.flow.preface !== undefined) consumed = repeatedBytes(known.flow.preface, batch, i);
      if (batch.truncated(i)) this.dropped('too-long');
      else conversation.forward(batch.payloads, batch.offset(i) + consumed, batch.length(i) - consumed);
      if (known !== undefined && known.standing !== 'proved') this.#context.order.spoke(known);
    } catch (error) {
      if (conversation === undefined) this.#context.host.fault(error, undefined);
      else conversation.onFault(error);
    }
  }

  #preface(batch: MessageBatch, i: number): Preface | 'dropped' | undefined {
    const peer = decodeAddress(batch.names.view, batch.nameWord(i) * 4) ?? noAddress;
    return this.#context.host.preface(this.view, peer, this.#payload(batch, i));
  }

  /** @returns whether the datagram is done with: it was that of an open conversation, or nobody's */
  #continues(batch: MessageBatch, i: number): boolean {
    const { conversations, host } = this.#context;
    const peer = decodeAddress(batch.names.view, batch.nameWord(i) * 4) ?? noAddress;
    if (peer.port === 0 || batch.truncated(i)) return false;
    const flow = host.continues(
      this.view,
      peer,
      this.#localOf(conversations.identity),
      this.#payload(batch, i),
    );
    if (flow === undefined) return false;
    if (flow === 'dropped') return true;
    const conversation = flow.engineState as UdpConversation | undefined;
    // One of another socket of the listener is answered from there, and nobody is looked for here.
    if (conversation?.listener !== this) return false;
    try {
      conversation.cameFrom(conversations.identity, peer);
      conversation.forward(batch.payloads, batch.offset(i), batch.length(i));
    } catch (error) {
      conversation.onFault(error);
    }
    return true;
  }

  /** The conversation of the table's scratch. */
  #find(preface: Preface | undefined): UdpConversation | undefined {
    const { conversations } = this.#context;
    if (preface === undefined) return conversations.find(this.door);
    const scope = conversations.scopes.of(this.door, preface.about);
    return scope === undefined ? undefined : conversations.find(scope);
  }

  /** Writes who sent datagram `i` to the table's scratch. */
  #identify(batch: MessageBatch, i: number): void {
    const { identity } = this.#context.conversations;
    const { words } = batch.names;
    const at = batch.nameWord(i);
    for (let word = 0; word < this.#nameWords; word++) identity[word] = words[at + word]!;
    for (let word = this.#nameWords; word < identity.length; word++) identity[word] = 0;
    if (!this.isWildcard) return;
    const localAt = batch.localWord(i);
    if (localAt === 0) return;
    const controls = batch.controls.words;
    if (this.isIpv4) {
      identity[localWordsAt] = controls[localAt]!;
      return;
    }
    const first = controls[localAt]!;
    // fe80::/10 means something only together with the interface it came in by (RFC 4007), and so does a group.
    const isGroup = (first & 0xff) === 0xff;
    if (isGroup || (first & 0xc0ff) === 0x80fe) identity[interfaceWordAt] = controls[localAt + 4]!;
    // Nothing leaves from a group: the kernel then chooses one of the interface's addresses (RFC 3542, 6.2).
    if (isGroup) return;
    for (let word = 0; word < 4; word++) identity[localWordsAt + word] = controls[localAt + word]!;
    const mappedAt = batch.mappedLocalWord(i);
    if (mappedAt !== 0) identity[localWordsAt + 3] = controls[mappedAt]!;
  }

  /** A datagram of somebody new. Undefined: turned away. */
  #open(batch: MessageBatch, i: number, preface: Preface | undefined): UdpConversation | undefined {
    const { conversations, host, order, reactor } = this.#context;
    if (this.#isDraining) {
      this.dropped('shutdown');
      return undefined;
    }
    // Whoever forged it: nobody can be answered there.
    if (decodePort(batch.names.view, batch.nameWord(i) * 4) === 0) {
      this.dropped('unknown-source');
      return undefined;
    }
    if (conversations.size >= conversations.conversationsMax && !order.evictFor(this.id, reactor.nowMs)) {
      this.dropped('queue-full');
      return undefined;
    }
    const client = decodeAddress(batch.names.view, batch.nameWord(i) * 4) ?? noAddress;
    const local = this.#localOf(conversations.identity);
    const answer =
      this.view.identifies === true
        ? host.open(this.view, client, local, undefined, this.#payload(batch, i))
        : host.open(this.view, client, local);
    if (typeof answer === 'string') return undefined;
    const scope = preface === undefined ? this.door : conversations.scopes.enter(this.door, preface.about);
    const conversation = new UdpConversation(
      this.#context,
      this,
      answer,
      conversations.identity.slice(),
      scope,
    );
    conversations.add(conversation);
    order.enter(conversation);
    try {
      conversation.begin();
    } catch (error) {
      conversation.onFault(error);
    }
    return conversation;
  }

  #payload(batch: MessageBatch, i: number): Uint8Array {
    const at = batch.offset(i);
    return batch.payloads.bytes.subarray(at, at + batch.length(i));
  }

  #localOf(identity: Int32Array): Address {
    if (!this.isWildcard) return this.local;
    const view = new DataView(identity.buffer, identity.byteOffset + localWordsAt * 4, 16);
    const { port } = this.local;
    if (this.isIpv4) return Address.v4(view.getUint32(0), port);
    return new Address(view.getUint32(0), view.getUint32(4), view.getUint32(8), view.getUint32(12), port);
  }
}

/** How much of datagram `i` is what the conversation's first one began with. */
function repeatedBytes(preface: Uint8Array, batch: MessageBatch, i: number): number {
  const at = batch.offset(i);
  const isRepeated = beginsWith(batch.payloads.bytes, at, at + batch.length(i), preface);
  return isRepeated ? preface.length : 0;
}
