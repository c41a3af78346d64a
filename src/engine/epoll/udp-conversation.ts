/**
 * One UDP conversation: a client of a listener, with a connected socket of its own towards the backend. Being connected, the
 * kernel drops what others send to it, tells of an unreachable port, and hands replies over without a look-up.
 *
 *    routing --> waiting --> routing      (datagrams queue, within bounds)
 *       |
 *       +--> open --> over                 (expired, evicted, terminated)
 *
 * The upstream socket is level-triggered and one datagram is read per event: request and reply then cost one call,
 * without a second one to find the queue empty. The share of one that has more at a time doubles while it has.
 */
import type { Address } from '../../core/address.ts';
import type { Flow } from '../../core/flow.ts';
import { rebindSilenceMs, waitingDatagramsMax } from '../../core/limits.ts';
import type { BackendView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { isSameWay, type Way } from '../../core/way.ts';
import type { Region } from '../../linux/arena.ts';
import { AF_UNIX, EPOLLIN } from '../../linux/constants.ts';
import { EAGAIN, EMSGSIZE, ENOBUFS, errnoName } from '../../linux/errno.ts';
import { close, type Descriptor, dropsOf, noDescriptor, receive, send } from '../../linux/libc.ts';
import type { MessageBatch } from '../../linux/message-batch.ts';
import type { Handler } from '../../linux/reactor.ts';
import type { Timed } from '../../linux/timer-wheel.ts';
import type { DialFailure } from '../engine.ts';
import type { Ordered, Standing } from '../eviction-order.ts';
import { speaksOfPeer } from '../peer-errors.ts';
import { isAnswered, quietMs } from '../quiet.ts';
import type { Context } from './context.ts';
import { dialFailure, lacksSocket } from './sockets.ts';
import { UdpCandidate, writeAddress } from './udp-candidate.ts';
import { FormerSocket } from './udp-former.ts';
import type { UdpListener } from './udp-listener.ts';
import { type Addressee, replyBytesMax } from './udp-replies.ts';

const readsMax = 32;
/** Events with one datagram until a second read is tried. */
const fullEventsToAsk = 16;
/** How often the kernel is asked what it dropped. */
const dropsIntervalMs = 10_000;
/** Replies after which it is worth asking whether the kernel has dropped some. */
const repliesToAsk = 4;

export class UdpConversation implements Handler, Timed, Ordered, Addressee {
  slot = -1;
  queued = false;
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  // The table's own.
  hash = 0;
  nextInBucket: UdpConversation | undefined = undefined;
  // The order's own.
  standing: Standing | undefined = undefined;
  isAnswered = false;
  enteredAtMs = 0;
  older: Ordered | undefined = undefined;
  newer: Ordered | undefined = undefined;

  /** Who: the words of conversation-table.ts. */
  identity: Int32Array;
  /** Where its client may be now. */
  candidate: UdpCandidate | undefined = undefined;
  readonly scope: number;
  readonly nameBytes: number;
  readonly listener: UdpListener;
  readonly #context: Context;
  readonly #flow: Flow;
  #state: 'routing' | 'waiting' | 'open' | 'over' = 'routing';
  #fd: Descriptor = noDescriptor;
  /** How the socket was dialled, and the context's version of all ways that this has been compared with. */
  #way: Way | undefined = undefined;
  #waysVersion = -1;
  #former: FormerSocket | undefined = undefined;
  #reads = 1;
  #fullEvents = 0;
  #sinceMs: number;
  /** Where its client may move: when something came from its address. */
  #homeAtMs: number;
  #isDraining = false;
  /** What the kernel dropped, and the replies there were, when it was asked last. */
  #drops = 0;
  #outAtDrops = 0;
  #hasReplied = false;
  /** Something has to be done with the next reply besides passing it on. */
  #attends = true;
  #waiting: Uint8Array[] = [];
  /** What a datagram to the backend begins with now. */
  #preface: Uint8Array | undefined = undefined;

  /** @param scope where the table has it: the number of its listener's socket, or one of `scopes`, which is given back at the end */
  constructor(context: Context, listener: UdpListener, flow: Flow, identity: Int32Array, scope: number) {
    this.#context = context;
    this.listener = listener;
    this.#flow = flow;
    this.identity = identity;
    this.scope = scope;
    this.nameBytes = listener.nameBytes;
    this.#sinceMs = context.reactor.nowMs;
    this.#homeAtMs = this.#sinceMs;
    flow.engineState = this;
    this.#setTimer(this.#sinceMs);
  }

  get flow(): Flow {
    return this.#flow;
  }

  get movedAtMs(): number {
    return this.#sinceMs;
  }

  evict(): void {
    this.reset('evicted');
  }

  /** Routes and opens the upstream socket. Also what `proceed` does. */
  begin(): void {
    if (this.#state === 'waiting') this.#state = 'routing';
    const { host } = this.#context;
    while (this.#state === 'routing') {
      const choice = host.route(this.#flow);
      if (this.#state !== 'routing') return;
      if (choice === 'wait') this.#state = 'waiting';
      else if (typeof choice === 'string') this.reset(choice);
      else {
        let failure = this.#dial(choice);
        if (failure === 'local-fault' && this.#takesSocketOfAnother()) failure = this.#dial(choice);
        if (failure !== undefined) host.dialFailed(this.#flow, failure);
      }
    }
  }

  /** Where no socket or no source port was to be had: another conversation that may have to make room has one. */
  #takesSocketOfAnother(): boolean {
    const { dialer, order, reactor } = this.#context;
    return lacksSocket(dialer.result) && order.evictBeside(this, reactor.nowMs);
  }

  /** Forgets the conversation. Nothing if it is over. */
  reset(code: TerminationCode): void {
    if (this.#state === 'over') return;
    this.#state = 'over';
    const { conversations, host, order, reactor, replies } = this.#context;
    // Replies that are under way leave, and are counted, before the flow is closed.
    replies.flush();
    conversations.remove(this);
    conversations.scopes.leave(this.scope);
    order.leave(this);
    reactor.wheel.clear(this);
    reactor.remove(this);
    if (this.#mayHaveDropped) this.#countDrops();
    if (this.#fd >= 0) close(this.#fd);
    this.#fd = noDescriptor;
    this.#former?.close();
    this.#waiting = [];
    this.#flow.engineState = undefined;
    this.#context.shortage.freed();
    host.closed(this.#flow, code);
  }

  /** Its listener shuts down: it is over when it is quiet. */
  drain(): void {
    this.#isDraining = true;
    this.#setTimer(this.#context.reactor.nowMs);
  }

  /** Fewer replies cannot have been the rest of a full buffer: no call for each short or quiet conversation. */
  get #mayHaveDropped(): boolean {
    return this.#flow.datagramsOut - this.#outAtDrops >= repliesToAsk;
  }

  /** Of the socket towards the backend. */
  #countDrops(): void {
    const drops = dropsOf(this.#fd);
    this.#outAtDrops = this.#flow.datagramsOut;
    if (drops <= this.#drops) return;
    this.listener.dropped('backend-receive-buffer-full', drops - this.#drops);
    this.#drops = drops;
  }

  onFault(error: unknown): void {
    this.#context.host.fault(error, this.#flow);
    this.reset('worker-error');
  }

  onTimer(nowMs: number): void {
    if (this.#mayHaveDropped) this.#countDrops();
    const deadlineMs = this.#deadlineMs;
    if (nowMs < deadlineMs) return this.#setTimer(nowMs);
    // This thread may not have run for a while, and what came meanwhile may not have been read yet.
    const hasReadClient = this.listener.hasReadThrough(deadlineMs);
    if (hasReadClient && this.#state === 'open') this.onEvents();
    if (this.#isOver()) return;
    const isQuiet = this.#deadlineMs <= nowMs;
    if (isQuiet && hasReadClient) this.reset('expired');
    else if (isQuiet) this.#context.reactor.wheel.set(this, nowMs + 1);
    else this.#setTimer(nowMs);
  }

  /** For its deadline, or to ask what the kernel has dropped. */
  #setTimer(nowMs: number): void {
    this.#context.reactor.wheel.set(this, Math.min(this.#deadlineMs, nowMs + dropsIntervalMs));
  }

  get #deadlineMs(): number {
    return this.#sinceMs + quietMs(this.#flow, this.#isDraining);
  }

  /** A method, because the compiler does not see that a call of the host may have ended it. */
  #isOver(): boolean {
    return this.#state === 'over';
  }

  /** A datagram of the client. */
  forward(from: Region, offset: number, length: number): void {
    if (this.#flow.mayPass?.(true, length) === false) return this.listener.dropped('rate');
    this.#sinceMs = this.#context.reactor.nowMs;
    if (this.#state === 'open') {
      if (this.#waysVersion !== this.#context.waysVersion) this.#follow();
      if (this.#state === 'open') this.#send(from, offset, length);
      return;
    }
    if (this.#state === 'over') return;
    if (this.#waiting.length >= waitingDatagramsMax) this.listener.dropped('waiting-full');
    else this.#waiting.push(from.bytes.slice(offset, offset + length));
    if (this.#flow.isHeard)
      this.#context.host.heard(this.#flow, from.bytes.subarray(offset, offset + length));
  }

  /** The backend has sent something, or its port was reported unreachable. */
  onEvents(): void {
    const { replies } = this.#context;
    const most = this.#reads;
    let read = 0;
    for (; read < most; read++) {
      const place = replies.place(this.listener);
      const { payloads } = replies.batch;
      const length = receive(this.#fd, payloads, replies.batch.offset(place), replyBytesMax);
      if (length === -EAGAIN) break;
      if (length >= 0) {
        if (this.#preface !== undefined && this.#flow.opening?.isInEach !== true) this.#preface = undefined;
        this.heard(length);
      } else this.#onError(length);
      if (this.#state !== 'open') return;
    }
    this.#adapt(read, most);
  }

  /** A reply is in the place given last. */
  heard(length: number): void {
    const passes = this.#flow.mayPass?.(false, length) !== false;
    if (passes) this.#context.replies.commit(this, length);
    else this.listener.dropped('rate');
    this.#sinceMs = this.#context.reactor.nowMs;
    if (this.#attends) this.#attend(length, passes);
  }

  #attend(length: number, passes: boolean): void {
    const { host, replies } = this.#context;
    const { candidate } = this;
    // Before the host hears of it, whose doings may send what is there.
    if (passes && candidate?.isAnswered === false) {
      candidate.isAnswered = true;
      replies.repeat(this.listener, candidate, length);
    }
    const reply = passes && this.#flow.learnsIds ? replies.last(length) : undefined;
    if (!this.#hasReplied) this.#onFirstReply();
    if (this.#isOver()) return;
    if (reply !== undefined) host.answered(this.#flow, reply);
    this.#attends = this.#flow.learnsIds || this.candidate?.isAnswered === false;
  }

  /** Its client has sent a datagram from the address it has: whoever else said to be it is forgotten. */
  heardAtHome(): void {
    this.candidate = undefined;
    this.#homeAtMs = this.#context.reactor.nowMs;
  }

  /** Its client has sent a datagram from the address in the table's scratch, which is not the client's so far. */
  cameFrom(identity: Int32Array, client: Address): void {
    const { candidate } = this;
    if (candidate?.is(identity) !== true) {
      this.candidate = new UdpCandidate(this.listener, identity.slice());
      this.#attends = true;
      return;
    }
    const { conversations, host, reactor } = this.#context;
    if (!candidate.isAnswered || reactor.nowMs - this.#homeAtMs < rebindSilenceMs) return;
    conversations.remove(this);
    this.identity = candidate.identity;
    conversations.add(this);
    this.heardAtHome();
    host.moved(this.#flow, client);
  }

  /** An error the socket had in store: perhaps an ICMP message about an earlier datagram. */
  #onError(result: number): void {
    if (!speaksOfPeer(errnoName(result)) || this.#hasNewWay()) return;
    // Who is there again after that knows nothing of this client.
    this.#preface = this.#flow.opening?.send;
    this.#context.host.unreachable(this.#flow);
  }

  /** Grows the share only for those with more than one datagram at a time, and asks seldom whether they have. */
  #adapt(read: number, most: number): void {
    if (read < most) {
      this.#reads = Math.max(1, read);
      this.#fullEvents = 0;
    } else if (most > 1 || ++this.#fullEvents === fullEventsToAsk) {
      this.#reads = Math.min(most * 2, readsMax);
    }
  }

  onAgain(): void {
    if (this.#state === 'over') return;
    if (isAnswered(this.#flow)) this.reset('expired');
    else this.onEvents();
  }

  address(batch: MessageBatch, place: number): void {
    writeAddress(this.listener, this.identity, batch, place);
  }

  onReplySent(length: number): void {
    this.#flow.datagramsOut++;
    this.#flow.bytesOut += length;
    // Not from here: other replies are under way.
    if (this.#flow.listener.plan.sessionEndsAfter !== undefined) this.#context.reactor.again(this);
  }

  #onFirstReply(): void {
    this.#hasReplied = true;
    this.#context.order.answered(this);
    this.#context.host.replied(this.#flow);
  }

  /** Undefined: open, or over. */
  #dial(backend: BackendView): DialFailure | undefined {
    const failure = this.#connect(backend);
    if (failure !== undefined) return failure;
    this.#state = 'open';
    this.#context.host.dialed(this.#flow);
    this.#sendWaiting();
    return undefined;
  }

  /** Has a watched socket towards `backend`. After a failure it has what it had. */
  #connect(backend: BackendView): DialFailure | undefined {
    const { dialer, endpoints, reactor, waysVersion } = this.#context;
    const { upstream } = this.#flow;
    const endpoint = endpoints.place(backend, this.#flow.local.port);
    if (endpoint === undefined || endpoint.family === AF_UNIX) return 'backend-unreachable';
    const fd = dialer.dial(this.#flow, endpoint, 'datagram', upstream);
    if (typeof fd === 'string') return fd;
    this.#discardEarly(fd);
    const result = this.#fd < 0 ? reactor.add(fd, this, EPOLLIN) : this.#replace(fd);
    if (result < 0) {
      close(fd);
      return dialFailure(result, endpoint.family);
    }
    this.#fd = fd;
    this.#way = { target: backend.target, upstream };
    this.#waysVersion = waysVersion;
    this.#preface = this.#flow.opening?.send;
    if (this.#flow.tracesDial) this.#context.tellDialsFrom(this.#flow, fd);
    return undefined;
  }

  /** Watches `fd` in place of the socket so far, which lingers. */
  #replace(fd: Descriptor): number {
    const { reactor } = this.#context;
    this.#countDrops();
    const former = new FormerSocket(this.#context, this, this.#fd, this.#drops);
    let result = reactor.pass(this.#fd, this, former, EPOLLIN);
    if (result < 0) return result;
    result = reactor.add(fd, this, EPOLLIN);
    if (result < 0) {
      reactor.pass(this.#fd, former, this, EPOLLIN);
      return result;
    }
    this.#former?.close();
    this.#former = former;
    this.#drops = 0;
    former.linger();
    return 0;
  }

  #hasNewWay(): boolean {
    if (this.#waysVersion === this.#context.waysVersion) return false;
    const { target } = this.#context.host.backendNow(this.#flow);
    return !isSameWay(this.#way!, { target, upstream: this.#flow.upstream });
  }

  /** Goes on by its backend's new way, if there is one. One that cannot be had is tried again with the next datagram. */
  #follow(): void {
    const { host, waysVersion } = this.#context;
    if (!this.#hasNewWay()) {
      this.#waysVersion = waysVersion;
      return;
    }
    const failure = this.#connect(host.backendNow(this.#flow));
    if (failure !== undefined && failure !== 'local-fault') host.unreachable(this.#flow);
  }

  /** Between being bound and being connected the socket heard everybody. The backend knows of nothing to answer yet. */
  #discardEarly(fd: Descriptor): void {
    const { shared } = this.#context;
    for (let i = 0; i < readsMax && receive(fd, shared, 0, shared.length) >= 0; i++) {
      this.listener.dropped('unknown-source');
    }
  }

  #sendWaiting(): void {
    const { shared } = this.#context;
    const datagrams = this.#waiting;
    this.#waiting = [];
    for (const datagram of datagrams) {
      if (this.#state !== 'open') return;
      shared.bytes.set(datagram);
      this.#send(shared, 0, datagram.length);
    }
  }

  #send(from: Region, offset: number, length: number): void {
    const preface = this.#preface;
    let sent = this.#offer(preface, from, offset, length);
    if (sent < 0 && sent !== -EAGAIN && sent !== -ENOBUFS) {
      // The error may be that of an earlier datagram (ICMP), and this one has not been looked at.
      this.#onError(sent);
      if (this.#state !== 'open') return;
      // What was in the shared buffer stands behind its preface by now.
      const isMoved = preface !== undefined && from === this.#context.shared;
      sent = this.#offer(this.#preface, from, isMoved ? offset + preface.length : offset, length);
    }
    this.#sent(length, sent);
  }

  /** @returns how many bytes of the client were taken, or a negative errno */
  #offer(preface: Uint8Array | undefined, from: Region, offset: number, length: number): number {
    if (preface === undefined) return send(this.#fd, from, offset, length);
    const { shared } = this.#context;
    const all = preface.length + length;
    if (all > shared.length) return -EMSGSIZE;
    // In this order: what is sent may be in the same place.
    shared.bytes.set(from.bytes.subarray(offset, offset + length), preface.length);
    shared.bytes.set(preface);
    const sent = send(this.#fd, shared, 0, all);
    return sent === all ? length : sent;
  }

  #sent(length: number, sent: number): void {
    if (sent === length) {
      this.#flow.datagramsIn++;
      this.#flow.bytesIn += length;
    } else this.listener.dropped(sent === -EMSGSIZE ? 'too-long' : 'queue-full');
  }
}
