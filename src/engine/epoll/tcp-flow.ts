/**
 * The life of one TCP connection through the relay.
 *
 *    routing --> waiting --> routing           (the host needs time)
 *       |
 *       +--> dialing --> opening --> open --> over   (a failed dial goes back to routing; `opening` where the backend
 *       |      ^                      |        ^      has to hear something first: tcp-opening.ts)
 *       +--> starved                  +--> idle+      (no descriptor for the dial: tcp-shortage.ts)
 *       ^                             |
 *       +---------- leaving <---------+               (the backend broke before its first byte)
 *
 * `over` is reached by one of two ways: `close`, when both directions have delivered everything, or `reset` from
 * any state. Both give all back before the host hears of it. Any call of the host may terminate the flow, so the
 * state is looked at after each. A flow that is `idle`, or open with a side that broke, has an ending (tcp-ending.ts), which
 * sees to what was said before.
 *
 * What the client has sent already is read before the backend is dialled and is sent right behind connect(2): on a near
 * network the connection is up by then, and the first bytes cost no wake-up.
 */
import type { Flow } from '../../core/flow.ts';
import { saidBytesMax } from '../../core/limits.ts';
import type { BackendView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import type { Region } from '../../linux/arena.ts';
import { AF_UNIX, EPOLLERR, EPOLLHUP, EPOLLOUT, SHUT_WR } from '../../linux/constants.ts';
import { EAGAIN, EINPROGRESS, EPIPE } from '../../linux/errno.ts';
import {
  close,
  type Descriptor,
  noDescriptor,
  peek,
  queuedBytes,
  receive,
  send,
  shutdown,
} from '../../linux/libc.ts';
import type { Timed } from '../../linux/timer-wheel.ts';
import { DrainWatch } from '../drain-watch.ts';
import type { DialFailure, EarlyBreak } from '../engine.ts';
import type { Context } from './context.ts';
import { setKeepAlive } from './socket-options.ts';
import { closeWithReset, dialFailure, isExhausted } from './sockets.ts';
import type { TcpArrival } from './tcp-arrival.ts';
import { TcpEnding } from './tcp-ending.ts';
import { TcpOpening } from './tcp-opening.ts';
import { TcpPacer } from './tcp-pacer.ts';
import { holds, letGo, noteShortRead, optionsSet, relay } from './tcp-relay.ts';
import { forgetSaid, keepChunk, sayAgain } from './tcp-said.ts';
import type { Starved } from './tcp-shortage.ts';
import { interestToRead, interestToWrite, TcpSide } from './tcp-side.ts';

type State = 'routing' | 'waiting' | 'starved' | 'dialing' | 'opening' | 'open' | 'leaving' | 'idle' | 'over';

export class TcpFlow implements Timed, Starved {
  readonly client = new TcpSide(this, true);
  readonly backend = new TcpSide(this, false);
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  #state: State = 'routing';
  readonly #context: Context;
  readonly #flow: Flow;
  #firstEnd: TcpSide | undefined = undefined;
  #replied = false;
  #keepAlive = false;
  #earlyRead = false;
  /** Whom it will dial once it has a descriptor. */
  #starvedFor: BackendView | undefined = undefined;
  /** When something moved last, or the dial began or would have. */
  #sinceMs: number;
  /** When its backend's connection was made. */
  #openedMs = 0;
  /** What the timer is set for. */
  #timerMs = 0;
  #drain: DrainWatch | undefined = undefined;
  #ending: TcpEnding | undefined = undefined;
  #opening: TcpOpening | undefined = undefined;

  constructor(context: Context, flow: Flow, fd: Descriptor, exact: boolean) {
    this.#context = context;
    this.#flow = flow;
    this.#sinceMs = context.reactor.nowMs;
    this.client.fd = fd;
    this.client.exact = exact;
    this.client.sends = optionsSet;
    this.client.keeps = true;
    flow.engineState = this;
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  get flow(): Flow {
    return this.#flow;
  }

  /** What the kernel holds for the sides that take something. */
  queuedBytes(): number {
    const { client, backend } = this;
    return (client.deaf ? 0 : queuedBytes(client.fd)) + (backend.deaf ? 0 : queuedBytes(backend.fd));
  }

  /** Routes and dials. Also what `proceed` does, for a flow that waits. */
  begin(): void {
    if (this.#state === 'waiting') this.#state = 'routing';
    if (this.#state === 'routing') this.#route();
    if (this.#state !== 'over' && this.client.slot < 0) this.#watch(this.client, interestToRead);
  }

  /**
   * Before `begin`: the client has been identified.
   * @param chunk what it has said beyond, `length` bytes from the start
   */
  takeOver(arrival: TcpArrival, chunk: Region | undefined, length: number): void {
    const { client } = this;
    client.chunk = chunk;
    client.heldEnd = length;
    this.#flow.pace?.charge(true, length);
    client.readable = arrival.readable;
    client.hungUp = arrival.hungUp;
    client.ended = arrival.ended;
    this.#earlyRead = true;
    if (arrival.slot < 0) return;
    client.interest = interestToRead;
    if (this.#context.reactor.pass(client.fd, arrival, client, interestToRead) < 0) this.reset('local-fault');
  }

  /** Goes on to another backend. Nothing if it is not dialling. */
  abandonDial(): void {
    if (this.#state !== 'dialing' && this.#state !== 'opening' && this.#state !== 'starved') return;
    try {
      this.#onDialFailed('backend-unreachable');
    } catch (error) {
      this.onFault(error);
    }
  }

  /** Both sides have ended and been told so. */
  close(code: TerminationCode): void {
    this.#release(close, code);
  }

  /** Both sides get a reset. Nothing if the flow is over. */
  reset(code: TerminationCode): void {
    if (this.#state === 'over') return;
    this.#release(closeWithReset, code);
  }

  /** Something was thrown on behalf of this flow. */
  onFault(error: unknown): void {
    this.#context.host.fault(error, this.#flow);
    this.reset('worker-error');
  }

  onSide(side: TcpSide, events: number): void {
    if (this.#state === 'dialing' && side === this.backend) return this.#onDial(events);
    if (this.#state === 'opening' && side === this.backend) return this.#onOpening(0);
    if (this.#state === 'leaving' && side === this.backend) return this.#goOn();
    if (this.#state === 'open') {
      const context = this.#context;
      if (side.readable) relay(context, side);
      // What this side can take now: bytes held for it, or an end not passed on.
      if ((events & EPOLLOUT) !== 0 && this.open) relay(context, side.peer);
    }
    if ((events & EPOLLERR) !== 0) this.onBroken(side, false);
    if (this.#ending !== undefined && this.open) this.#ending.conclude();
  }

  onReceived(source: TcpSide): void {
    this.#sinceMs = this.#context.reactor.nowMs;
    if (this.#replied || source.isClient) return;
    this.#replied = true;
    if (this.client.keeps) forgetSaid(this.#context, this.client);
    this.#context.host.replied(this.#flow);
  }

  onMoved(source: TcpSide, bytes: number): void {
    this.#sinceMs = this.#context.reactor.nowMs;
    if (source.isClient) this.#flow.bytesIn += bytes;
    else this.#flow.bytesOut += bytes;
  }

  /** `source` has ended and all it sent was taken. */
  onDelivered(source: TcpSide): void {
    if (source.finished || (this.#mayLeave(source) && this.#leave('end'))) return;
    const sink = source.peer;
    source.finished = true;
    if (this.#firstEnd === undefined) {
      this.#firstEnd = source;
      // An end is something that moved: the other side has its time from here, however long all was silent before.
      this.#sinceMs = this.#context.reactor.nowMs;
    }
    // Nobody to tell, or no end to tell of.
    if (source.cut || sink.deaf) return;
    if (sink.finished && this.#ending === undefined) return this.close(endCode(this.#firstEnd));
    if (shutdown(sink.fd, SHUT_WR) < 0) return this.onBroken(sink, false);
    this.#arm();
  }

  /** A write of `bytes` that came from `source` failed. */
  onRefused(source: TcpSide, result: number, bytes: number): void {
    const sink = source.peer;
    // Told once: a stream that had ended before it broke gives EPIPE, any other its own error (tcp_reset in Linux).
    if (!sink.deaf) this.onBroken(sink, result !== -EPIPE);
    this.#ending?.drop(bytes);
  }

  /**
   * `side` takes nothing more: it was reset, or its network gave up.
   * @param isCut known to have lost its end
   */
  onBroken(side: TcpSide, isCut: boolean): void {
    const code = side.isClient ? 'client-reset' : 'backend-reset';
    if (this.#state === 'leaving' && !side.isClient) return;
    if (!this.open) return this.reset(this.#ending?.code ?? code);
    if (isCut) side.cut = true;
    if (this.#mayLeave(side) && this.#leaveBroken(side)) return;
    if (side.deaf) return;
    if (this.#ending === undefined) this.#endLater(code, side);
    else this.reset(this.#ending.code);
  }

  /** `side` is a backend that has said nothing, to a client that has been told nothing and waits for an answer. */
  #mayLeave(side: TcpSide): boolean {
    if (side.isClient || this.#replied || this.#ending !== undefined || side.finished || !this.open)
      return false;
    const { client } = this;
    return !client.ended || this.#flow.bytesIn > 0 || client.saidEnd > 0 || holds(client);
  }

  /** Unless it has said something that was not read yet. */
  #leaveBroken(backend: TcpSide): boolean {
    const first = peek(backend.fd);
    if (first > 0) return false;
    // An error is told once, and this was the time.
    if (first < 0 && first !== -EAGAIN && first !== -EPIPE) backend.cut = true;
    return this.#leave(backend.cut ? 'reset' : 'end');
  }

  /** @returns false: the flow ends here. True: it goes on elsewhere, once those who still work on it have returned */
  #leave(how: EarlyBreak): boolean {
    const { host, reactor } = this.#context;
    if (!host.brokeEarly(this.#flow, how, this.client.keeps)) return false;
    if (!this.open) return true;
    this.#state = 'leaving';
    reactor.again(this.backend);
    return true;
  }

  /** The backend is left; the client says all again to the next. */
  #goOn(): void {
    const { client, backend } = this;
    this.#context.reactor.remove(backend);
    // Nobody takes what was said so far for all that was to be said.
    closeWithReset(backend.fd);
    backend.renew();
    sayAgain(this.#context, client);
    client.finished = false;
    this.#firstEnd = undefined;
    this.#keepAlive = false;
    this.#state = 'routing';
    this.#route();
  }

  tryAgain(): boolean {
    try {
      const failure = this.#dial(this.#starvedFor!);
      if (failure !== undefined) this.#onDialFailed(failure);
    } catch (error) {
      this.onFault(error);
    }
    return this.#state !== 'starved';
  }

  onTimer(nowMs: number): void {
    if (this.#ending !== undefined) {
      if (nowMs >= this.#ending.deadlineMs) this.#ending.onLook(nowMs);
      if (!this.isOver) this.#arm();
      return;
    }
    if (nowMs < this.#deadlineMs()) {
      return this.open ? this.#onVisit(nowMs) : this.#arm();
    }
    if (this.#state === 'dialing' || this.#state === 'opening') this.#onDialFailed('backend-timeout');
    else if (this.#state === 'starved') this.#onDialFailed('local-fault');
    else if (this.#state === 'leaving') this.#goOn();
    else this.#onQuiet(nowMs);
  }

  /** The first is after as long as a dial may take, from its beginning: what short-lived connections need not pay for. */
  #onVisit(nowMs: number): void {
    if (!this.#keepAlive) {
      this.#keepAlive = true;
      setKeepAlive(this.backend.fd, this.#flow.listener.plan.tcp);
    }
    // The host judges a break as early for as long from the moment the connection was made, which a slow dial puts off.
    const saidUntilMs = this.#openedMs + this.#flow.listener.plan.timeouts.connectMs;
    if (this.client.keeps && nowMs < saidUntilMs)
      return this.#armAt(Math.min(saidUntilMs, this.#deadlineMs()));
    if (this.client.keeps) forgetSaid(this.#context, this.client);
    this.#arm();
  }

  /** The relay has moved nothing for as long as it may. */
  #onQuiet(nowMs: number): void {
    if (this.client.pacer?.isWaiting === true || this.backend.pacer?.isWaiting === true) {
      this.#sinceMs = nowMs;
      return this.#arm();
    }
    const { idleMs, halfCloseMs } = this.#flow.listener.plan.timeouts;
    const isHalfClosed = this.#firstEnd !== undefined && halfCloseMs <= idleMs;
    this.#drain ??= new DrainWatch();
    const limitMs = isHalfClosed ? halfCloseMs : idleMs;
    const nextMs = this.#drain.look(nowMs, this.#sinceMs, limitMs, this.queuedBytes());
    if (nextMs !== undefined) return this.#armAt(nextMs);
    this.#state = 'idle';
    this.#endLater(isHalfClosed ? 'half-close-timeout' : 'idle', undefined);
    this.#ending?.conclude();
  }

  #endLater(code: TerminationCode, broken: TcpSide | undefined): void {
    forgetSaid(this.#context, this.client);
    this.#ending = new TcpEnding(this.#context, this, code, broken);
    this.#arm();
  }

  #route(): void {
    const { host } = this.#context;
    while (this.#state === 'routing') {
      const choice = host.route(this.#flow);
      if (this.#state !== 'routing') return;
      if (choice === 'wait') {
        this.#state = 'waiting';
        return this.#arm();
      }
      if (typeof choice === 'string') return this.reset(choice);
      if (!this.#earlyRead) this.#readEarly();
      // Look again: a reset that was found ended the flow, which the checker of types cannot know.
      if ((this.#state as State) === 'over') return;
      const failure = this.#dial(choice);
      if (failure !== undefined) host.dialFailed(this.#flow, failure);
    }
  }

  /** Bytes that are there already, into a chunk. */
  #readEarly(): void {
    const { client } = this;
    this.#earlyRead = true;
    if (this.#context.chunks.isScarce) return;
    const { pace } = this.#flow;
    const most = pace === undefined ? saidBytesMax : Math.min(saidBytesMax, pace.room(true));
    client.chunk = most === 0 ? undefined : this.#context.chunks.take(most);
    if (client.chunk === undefined) return;
    const length = receive(client.fd, client.chunk, 0, most);
    if (length > 0) {
      pace?.charge(true, length);
      client.heldEnd = length;
      client.readable = true;
      if (length < most) noteShortRead(client);
      return;
    }
    letGo(this.#context, client);
    if (length === 0) client.ended = true;
    else if (length !== -EAGAIN) this.onBroken(client, true);
  }

  /** Undefined: dialling, open already, or starved. */
  #dial(backend: BackendView): DialFailure | undefined {
    const { dialer, endpoints } = this.#context;
    const endpoint = endpoints.place(backend, this.#flow.local.port);
    if (endpoint === undefined) return 'backend-unreachable';
    const fd = dialer.dial(this.#flow, endpoint, 'stream', this.#flow.upstream);
    if (typeof fd === 'string') {
      if (!isExhausted(dialer.result)) return fd;
      this.#starve(backend);
      return undefined;
    }
    const { client, backend: side } = this;
    const early = client.heldEnd - client.heldStart;
    side.fd = fd;
    let { result } = dialer;
    const opening = this.#newOpening();
    if (opening !== undefined) result = opening.say(side, client);
    // Says at once whether the connection is up: bytes taken, not yet, or refused.
    else if (result === -EINPROGRESS && early > 0) result = send(fd, client.chunk!, client.heldStart, early);
    if (result === -EAGAIN) result = -EINPROGRESS;
    if (result < 0 && result !== -EINPROGRESS) {
      side.fd = noDescriptor;
      close(fd);
      return dialFailure(result, endpoint.family);
    }
    if (this.#flow.tracesDial) this.#context.tellDialsFrom(this.#flow, fd);
    side.exact = endpoint.family === AF_UNIX;
    const hasSent = result > 0 || (result === 0 && opening !== undefined);
    side.sends = side.exact || !this.#flow.listener.plan.tcp.noDelay ? optionsSet : hasSent ? 1 : 0;
    this.#state = 'dialing';
    this.#sinceMs = this.#context.reactor.nowMs;
    this.#arm();
    const isTold = opening === undefined || opening.isTold;
    const up = result >= 0 && isTold && (result >= early || opening?.awaitsAnswer === true);
    if (!this.#watch(side, up ? interestToRead : interestToWrite)) return undefined;
    if (result >= 0) this.#onConnected(result);
    return undefined;
  }

  #newOpening(): TcpOpening | undefined {
    const { opening } = this.#flow;
    this.#opening = opening === undefined ? undefined : new TcpOpening(this.#context, opening);
    return this.#opening;
  }

  /** It waits as long as a dial may take: to try other backends would find no descriptor either. */
  #starve(backend: BackendView): void {
    if (this.#state === 'starved') return;
    this.#state = 'starved';
    this.#starvedFor = backend;
    this.#sinceMs = this.#context.reactor.nowMs;
    this.#context.shortage.addFlow(this);
    this.#arm();
  }

  #onDial(events: number): void {
    if ((events & (EPOLLERR | EPOLLHUP)) !== 0) {
      const first = peek(this.backend.fd);
      // Accepted, answered and ended already.
      if (first > 0) this.#onConnected(0);
      else if (first < 0) this.#onDialFailed(dialFailure(first, 0));
      // Up and ended already: a connection that was accepted and reset.
      else this.#onDialFailed('backend-reset');
    } else if ((events & EPOLLOUT) !== 0) this.#onConnected(0);
  }

  /** @param sent bytes of the client the backend's socket has taken */
  #onConnected(sent: number): void {
    if (this.#opening === undefined) return this.#onOpen(sent);
    this.#state = 'opening';
    this.#onOpening(sent);
  }

  #onOpening(sent: number): void {
    const { client, backend } = this;
    const opening = this.#opening!;
    let taken = sent;
    if (!opening.isTold) {
      taken = opening.say(backend, client);
      if (taken < 0 && taken !== -EAGAIN) return this.#onDialFailed(dialFailure(taken, 0));
      // The next send is not the first on its way (tcp-relay.ts).
      if (taken >= 0 && backend.sends === 0) backend.sends = 1;
      if (!opening.isTold) return;
    }
    const answer = opening.listen(backend);
    if (answer === 'more') return;
    if (answer !== undefined) return this.#onDialFailed(answer);
    this.#opening = undefined;
    this.#onOpen(taken);
  }

  #onOpen(sent: number): void {
    const { client, backend } = this;
    this.#state = 'open';
    this.#sinceMs = this.#context.reactor.nowMs;
    this.#openedMs = this.#sinceMs;
    const { pace } = this.#flow;
    if (pace !== undefined) {
      const { paced, reactor } = this.#context;
      client.pacer ??= new TcpPacer(reactor, paced, pace, client);
      backend.pacer ??= new TcpPacer(reactor, paced, pace, backend);
    }
    this.#context.host.dialed(this.#flow);
    if (!this.open) return;
    if (sent > 0) {
      client.heldStart += sent;
      const isTaken = client.heldStart === client.heldEnd;
      if (isTaken && !keepChunk(this.#context, client)) letGo(this.#context, client);
      this.onMoved(client, sent);
    }
    this.#arm();
    if (client.readable || client.ended || client.chunk !== undefined) relay(this.#context, client);
    if (this.open && backend.readable) relay(this.#context, backend);
  }

  #onDialFailed(failure: DialFailure): void {
    const { backend } = this;
    this.#context.reactor.remove(backend);
    if (backend.fd >= 0) close(backend.fd);
    else this.#context.shortage.remove(this);
    backend.fd = noDescriptor;
    backend.readable = false;
    backend.hungUp = false;
    this.#state = 'routing';
    this.#context.host.dialFailed(this.#flow, failure);
    this.#route();
  }

  #watch(side: TcpSide, interest: number): boolean {
    side.interest = interest;
    if (this.#context.reactor.add(side.fd, side, interest) >= 0) return true;
    this.reset('local-fault');
    return false;
  }

  #deadlineMs(): number {
    const { timeouts } = this.#flow.listener.plan;
    if (this.#ending !== undefined) return this.#ending.deadlineMs;
    if (this.#state === 'dialing' || this.#state === 'opening' || this.#state === 'starved')
      return this.#sinceMs + timeouts.connectMs;
    if (this.#firstEnd === undefined) return this.#sinceMs + timeouts.idleMs;
    return this.#sinceMs + Math.min(timeouts.idleMs, timeouts.halfCloseMs);
  }

  /** Sees to a visit at the deadline; one that comes earlier than needed is left as it is. */
  #arm(): void {
    this.#armAt(this.#deadlineMs());
  }

  #armAt(deadlineMs: number): void {
    if (this.timerTick >= 0 && this.#timerMs <= deadlineMs) return;
    this.#timerMs = deadlineMs;
    this.#context.reactor.wheel.set(this, deadlineMs);
  }

  #release(closeSide: (fd: Descriptor) => void, code: TerminationCode): void {
    const { reactor, shortage } = this.#context;
    if (this.#state === 'starved') shortage.remove(this);
    this.#state = 'over';
    reactor.wheel.clear(this);
    if (this.client.keeps) forgetSaid(this.#context, this.client);
    for (let i = 0; i < 2; i++) {
      const side = i === 0 ? this.client : this.backend;
      side.pacer?.stop();
      letGo(this.#context, side);
      reactor.remove(side);
      if (side.fd >= 0) closeSide(side.fd);
      side.fd = noDescriptor;
    }
    this.#flow.engineState = undefined;
    shortage.freed();
    this.#context.host.closed(this.#flow, code);
  }
}

function endCode(firstEnd: TcpSide | undefined): TerminationCode {
  return firstEnd?.isClient === false ? 'backend-closed' : 'client-closed';
}
