/**
 * One UDP conversation: a client's address and port at one listener, and a socket connected to its backend.
 *
 *    routing --> dialing --> open --> over       'dialing' ends when the upstream socket is connected. An open one
 *      |  ^---------+                            whose backend gets another address dials that beside, and changes over
 *      +--> waiting --(proceed)--> routing       when it is connected.
 */
import type { RemoteInfo } from 'node:dgram';
import { targetAt } from '../../core/dial-target.ts';
import type { Flow } from '../../core/flow.ts';
import { rebindSilenceMs, waitingDatagramsMax } from '../../core/limits.ts';
import type { Bind } from '../../core/plan.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { isSameWay } from '../../core/way.ts';
import type { Ordered, Standing } from '../eviction-order.ts';
import { speaksOfPeer } from '../peer-errors.ts';
import { isAnswered, quietMs } from '../quiet.ts';
import { type Carried, type Context, guarded, reportClosed } from './context.ts';
import type { Watched } from './deadlines.ts';
import { dialFailureOf } from './dial-failure.ts';
import { type LocalSocket, type SendOutcome, sendOutcomeOf } from './local-socket.ts';
import { UdpUpstream, type UpstreamOwner } from './udp-upstream.ts';

/** errno names that say that a socket which is closed would help. */
const lackOfSocket = new Set([
  'EMFILE',
  'ENFILE',
  'ENOBUFS',
  'ENOMEM',
  'EAGAIN',
  'EADDRNOTAVAIL',
  'EADDRINUSE',
]);

type Phase = 'routing' | 'waiting' | 'dialing' | 'open' | 'over';

export class Conversation implements Carried, Ordered, Watched, UpstreamOwner {
  readonly flow: Flow;
  /** What its listener finds it by. */
  key: number | string;
  /** Where its client may be now: told one reply, and the client's once it has sent after that with nothing from the former. */
  candidate: { readonly key: number | string; readonly via: LocalSocket; isAnswered: boolean } | undefined;
  readonly bornAtMs: number;
  wheelSlot = -1;
  // The order's own.
  standing: Standing | undefined = undefined;
  isAnswered = false;
  enteredAtMs = 0;
  older: Ordered | undefined = undefined;
  newer: Ordered | undefined = undefined;
  readonly #context: Context;
  readonly #listener: { readonly view: ListenerView };
  readonly #forget: (conversation: Conversation) => void;
  #phase: Phase = 'routing';
  #upstream: UdpUpstream | undefined;
  /** Towards its backend's new address, until it is connected; towards the one before. */
  #next: UdpUpstream | undefined;
  #former: UdpUpstream | undefined;
  /** The context's version of all ways to backends that its own has been compared with. */
  #waysVersion = -1;
  #waiting: Buffer[] = [];
  #movedAtMs: number;
  /** Where its client may move: when something came from its address. */
  #homeAtMs: number;
  #lookAtMs = 0;
  #isDraining = false;
  #hasTakenSocket = false;
  #hasReplied = false;
  /** What a datagram to the backend begins with now. */
  #preface: Uint8Array | undefined;
  /** Where the client's last datagram came in, and how that socket writes the client's address. */
  #via: LocalSocket | undefined;
  #clientIp = '';
  #clientPort = 0;
  #candidateAt: RemoteInfo | undefined;

  /** @param listener whose view may change */
  constructor(
    context: Context,
    listener: { readonly view: ListenerView },
    flow: Flow,
    key: number | string,
    forget: (conversation: Conversation) => void,
  ) {
    this.key = key;
    this.#context = context;
    this.#listener = listener;
    this.flow = flow;
    this.bornAtMs = context.nowMs();
    this.#movedAtMs = this.bornAtMs;
    this.#homeAtMs = this.bornAtMs;
    this.#forget = forget;
    flow.engineState = this;
    context.carried.add(this);
    context.order.enter(this);
  }

  get movedAtMs(): number {
    return this.#movedAtMs;
  }

  isOf(listener: object): boolean {
    return this.#listener === listener;
  }

  evict(): void {
    this.end('evicted');
  }

  get deadlineMs(): number {
    return this.#phase === 'open' ? Math.max(this.#quietAtMs, this.#lookAtMs) : Number.POSITIVE_INFINITY;
  }

  get #quietAtMs(): number {
    return this.#movedAtMs + quietMs(this.flow, this.#isDraining);
  }

  /** Takes the first datagram and asks for a route. */
  begin(bytes: Buffer, from: RemoteInfo, via: LocalSocket): void {
    this.fromClient(bytes, from, via);
    guarded(this.#context, this, () => this.#route());
  }

  fromClient(bytes: Buffer, from: RemoteInfo, via: LocalSocket): void {
    if (this.#via !== via) {
      this.#via = via;
      this.#clientIp = from.address;
      this.#clientPort = from.port;
    }
    this.take(bytes);
  }

  /** A datagram of the client, wherever it came from. */
  take(bytes: Buffer): void {
    if (this.flow.mayPass?.(true, bytes.length) === false)
      return this.#context.host.dropped(this.flow.listener, 'rate');
    this.#movedAtMs = this.#context.nowMs();
    if (this.#phase === 'open' && this.#waysVersion !== this.#context.waysVersion) this.#follow();
    if (this.#phase === 'open' && this.#next === undefined) this.#sendUp(bytes, true);
    else {
      if (this.#waiting.length < waitingDatagramsMax) this.#waiting.push(bytes);
      else this.#context.host.dropped(this.flow.listener, 'waiting-full');
      if (this.flow.isHeard) guarded(this.#context, this, () => this.#context.host.heard(this.flow, bytes));
    }
  }

  /** Its client has sent a datagram from the address it has: whoever else said to be it is forgotten. */
  heardAtHome(): void {
    this.candidate = undefined;
    this.#homeAtMs = this.#context.nowMs();
  }

  /**
   * Its client has sent a datagram from another address than so far.
   * @returns whether the client is there now
   */
  cameFrom(key: number | string, from: RemoteInfo, via: LocalSocket): boolean {
    const { candidate } = this;
    const isSame = candidate?.key === key && candidate.via === via;
    const isSilent = this.#context.nowMs() - this.#homeAtMs >= rebindSilenceMs;
    const isThere = isSame && candidate.isAnswered && isSilent;
    if (isThere) {
      this.heardAtHome();
      this.#via = via;
      this.#clientIp = from.address;
      this.#clientPort = from.port;
    } else if (!isSame) {
      this.candidate = { key, via, isAnswered: false };
      this.#candidateAt = from;
    }
    return isThere;
  }

  /** Its listener shuts down: it is over when it is quiet. */
  drain(): void {
    this.#isDraining = true;
    this.#context.deadlines.watch(this);
  }

  proceed(): void {
    if (this.#phase === 'waiting') guarded(this.#context, this, () => this.#route());
  }

  expire(): void {
    const { deadlines, nowMs } = this.#context;
    // This thread may not have run for a while, and what came meanwhile, from either side, may not have been read yet.
    if (this.#via!.hasReadThrough(this.#quietAtMs, nowMs)) return this.end('expired');
    this.#lookAtMs = nowMs() + 1;
    deadlines.watch(this);
  }

  end(code: TerminationCode): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#context.deadlines.forget(this);
    this.#context.carried.delete(this);
    this.#context.order.leave(this);
    this.#forget(this);
    this.#waiting = [];
    for (const upstream of [this.#upstream, this.#next, this.#former]) upstream?.close();
    reportClosed(this.#context, this.flow, code);
  }

  #route(): void {
    const { host } = this.#context;
    for (;;) {
      this.#phase = 'routing';
      const answer = host.route(this.flow);
      if (this.#isOver()) return;
      if (answer === 'wait') {
        this.#phase = 'waiting';
        return;
      }
      if (typeof answer === 'string') {
        this.end(answer);
        return;
      }
      this.#phase = 'dialing';
      this.#upstream = this.#dial(answer.target);
      if (this.#upstream !== undefined) return;
      host.dialFailed(this.flow, 'backend-unreachable');
      if (this.#isOver()) return;
    }
  }

  /** Undefined: no datagram gets there. */
  #dial(target: Bind | undefined): UdpUpstream | undefined {
    const at = target && targetAt(target, this.flow.local.port);
    if (at?.kind !== 'inet') return undefined;
    const { udp } = this.#listener.view.plan;
    const { upstream } = this.flow;
    this.#waysVersion = this.#context.waysVersion;
    return new UdpUpstream(this.#context, { target, upstream }, at, udp, this);
  }

  connected(upstream: UdpUpstream): void {
    guarded(this.#context, this, () => {
      if (this.flow.tracesDial) this.#tellDialsFrom(upstream);
      if (upstream === this.#next) this.#followed(upstream);
      else if (upstream === this.#upstream) this.#dialed();
    });
  }

  failed(upstream: UdpUpstream, error: Pick<NodeJS.ErrnoException, 'code'>): void {
    guarded(this.#context, this, () => {
      if (upstream === this.#next) this.#notFollowed(error);
      else if (upstream !== this.#upstream)
        return; // its backend is elsewhere by now
      else if (this.#phase === 'open') this.#onError(error);
      else this.#dialFailed(error);
    });
  }

  heard(upstream: UdpUpstream, bytes: Buffer): void {
    if (upstream === this.#upstream && this.flow.opening?.isInEach !== true) this.#preface = undefined;
    guarded(this.#context, this, () => this.#fromBackend(bytes));
  }

  heardStranger(): void {
    this.#context.host.dropped(this.flow.listener, 'unknown-source');
  }

  #tellDialsFrom({ local }: UdpUpstream): void {
    if (local !== undefined) this.#context.host.dialsFrom(this.flow, local);
  }

  kernelDropped(count: number): void {
    this.#context.host.dropped(this.flow.listener, 'backend-receive-buffer-full', count);
  }

  #dialFailed(error: Pick<NodeJS.ErrnoException, 'code'>): void {
    const { way } = this.#upstream!;
    this.#upstream!.close();
    this.#upstream = undefined;
    if (this.#takesSocketOfAnother(error.code)) {
      this.#upstream = this.#dial(way.target);
      if (this.#upstream !== undefined) return;
    }
    this.#context.host.dialFailed(this.flow, dialFailureOf(error.code, false));
    if (!this.#isOver()) this.#route();
  }

  /** Once, where no socket or no source port was to be had: another conversation that may have to make room has one. */
  #takesSocketOfAnother(code: string | undefined): boolean {
    if (this.#hasTakenSocket || code === undefined || !lackOfSocket.has(code)) return false;
    this.#hasTakenSocket = true;
    const { nowMs, order } = this.#context;
    return order.evictBeside(this, nowMs());
  }

  #dialed(): void {
    this.#phase = 'open';
    this.#preface = this.flow.opening?.send;
    this.#movedAtMs = this.#context.nowMs();
    this.#context.deadlines.watch(this);
    this.#context.host.dialed(this.flow);
    this.#sendWaiting();
  }

  #hasNewWay(): boolean {
    if (this.#waysVersion === this.#context.waysVersion) return false;
    const { target } = this.#context.host.backendNow(this.flow);
    const { way } = this.#next ?? this.#upstream!;
    return !isSameWay(way, { target, upstream: this.flow.upstream });
  }

  /** Begins to go on by its backend's new way, if there is one; what the client sends meanwhile waits. */
  #follow(): void {
    if (!this.#hasNewWay()) {
      this.#waysVersion = this.#context.waysVersion;
      return;
    }
    const { target } = this.#context.host.backendNow(this.flow);
    const next = this.#dial(target);
    if (next === undefined) return;
    this.#next?.close();
    this.#next = next;
  }

  /** Answers under way still come to the former socket. */
  #followed(upstream: UdpUpstream): void {
    this.#former?.close();
    this.#former = this.#upstream;
    this.#former?.linger();
    this.#upstream = upstream;
    this.#next = undefined;
    this.#preface = this.flow.opening?.send;
    this.#sendWaiting();
  }

  /** Stays with what it has; the next datagram tries again. */
  #notFollowed(error: Pick<NodeJS.ErrnoException, 'code'>): void {
    this.#next?.close();
    this.#next = undefined;
    this.#waysVersion = -1;
    if (dialFailureOf(error.code, false) !== 'local-fault') this.#context.host.unreachable(this.flow);
    this.#sendWaiting();
  }

  #sendWaiting(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const bytes of waiting) if (!this.#isOver()) this.#sendUp(bytes, true);
  }

  /** @param mayRepeat whether a report about an earlier datagram, which takes this one's place, lets it try again */
  #sendUp(bytes: Buffer, mayRepeat: boolean): void {
    const upstream = this.#upstream!;
    const isTaken = upstream.send(this.#preface, bytes, (error) => {
      if (this.#isOver()) return;
      guarded(this.#context, this, () => {
        if (error === null) {
          this.flow.bytesIn += bytes.length;
          this.flow.datagramsIn++;
          return;
        }
        this.failed(upstream, error as NodeJS.ErrnoException);
        if (this.#isOver()) return;
        // It may have waited in the socket (udp(7)): the kernel has not looked at this datagram then.
        if (mayRepeat) this.#sendUp(bytes, false);
        else this.#dropped(sendOutcomeOf(error));
      });
    });
    if (!isTaken) this.#dropped('queue-full');
  }

  /** An error the socket had in store: perhaps an ICMP message about an earlier datagram. */
  #onError(error: Pick<NodeJS.ErrnoException, 'code'>): void {
    if (!speaksOfPeer(error.code) || this.#next !== undefined || this.#hasNewWay()) return;
    // Who is there again after that knows nothing of this client.
    this.#preface = this.flow.opening?.send;
    this.#context.host.unreachable(this.flow);
  }

  #fromBackend(bytes: Buffer): void {
    this.#movedAtMs = this.#context.nowMs();
    if (!this.#hasReplied) {
      this.#hasReplied = true;
      this.#context.order.answered(this);
      this.#context.host.replied(this.flow);
      if (this.#isOver()) return;
    }
    if (this.flow.learnsIds) this.#context.host.answered(this.flow, bytes);
    if (this.flow.mayPass?.(false, bytes.length) === false)
      return this.#context.host.dropped(this.flow.listener, 'rate');
    if (this.candidate?.isAnswered === false) {
      this.candidate.isAnswered = true;
      const { address, port } = this.#candidateAt!;
      this.candidate.via.send(bytes, address, port, () => {});
    }
    this.#via!.send(bytes, this.#clientIp, this.#clientPort, (outcome) => {
      if (this.#isOver()) return;
      if (outcome === 'sent') {
        this.flow.bytesOut += bytes.length;
        this.flow.datagramsOut++;
        if (isAnswered(this.flow)) this.end('expired');
      } else this.#dropped(outcome);
    });
  }

  #dropped(outcome: Exclude<SendOutcome, 'sent'>): void {
    this.#context.host.dropped(this.flow.listener, outcome);
  }

  /** A method, because the compiler does not see that a call of the host may have ended it. */
  #isOver(): boolean {
    return this.#phase === 'over';
  }
}
