/**
 * One TCP (or unix) connection from accept to close.
 *
 *    routing --> dialing --> relaying --> over
 *      |  ^---------+----------+           ^      (dial failed, or the backend broke before its first byte)
 *      +--> waiting --(proceed)--> routing |
 *      any ------------- end --------------+
 *
 * The client is not read before the dial has succeeded, so the kernel holds what it sent. A side that ends in
 * order is passed on as an end; everything else is passed on as a reset, so that nobody takes a stream that was
 * cut short for a complete one. What was said before a side broke, or before the flow was idle, is passed on first
 * (tcp-ending.ts). What the client has said is kept until the backend's first byte, to be said again to another one. Two things node:net cannot do: notice a reset on a side that is not being read
 * (the flow ends when reading resumes, or idle), and reset a unix socket (the peer sees an end).
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import { targetAt } from '../../core/dial-target.ts';
import type { Flow } from '../../core/flow.ts';
import { saidBytesMax } from '../../core/limits.ts';
import type { Bind } from '../../core/plan.ts';
import { isSelfConnection } from '../../core/self-connection.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { DrainWatch } from '../drain-watch.ts';
import type { DialFailure, EarlyBreak } from '../engine.ts';
import { highWaterMark } from './bounds.ts';
import { breakOff } from './break-off.ts';
import { confirmEnd } from './confirm-end.ts';
import { type Context, guarded, reportClosed } from './context.ts';
import type { Watched } from './deadlines.ts';
import { dialFailureOf } from './dial-failure.ts';
import { sayOpening } from './opening.ts';
import { outliveFailure } from './outlive.ts';
import { Direction } from './relay.ts';
import { socketAddress } from './socket-address.ts';
import { type Ended, TcpEnding } from './tcp-ending.ts';

type Phase = 'routing' | 'waiting' | 'dialing' | 'relaying' | 'over';

const socketOptions: SocketConstructorOpts & { highWaterMark: number } = {
  allowHalfOpen: true,
  highWaterMark,
};

export class TcpFlow implements Ended, Watched {
  readonly flow: Flow;
  wheelSlot = -1;
  readonly #context: Context;
  readonly #client: Socket;
  #backend: Socket | undefined;
  #phase: Phase = 'routing';
  #up: Direction | undefined;
  #down: Direction | undefined;
  /** When the dial began, or bytes last moved. */
  #movedAtMs = 0;
  /** What the kernels have been seen to take since then puts the deadline off until here. */
  #quietUntilMs = 0;
  #drain: DrainWatch | undefined;
  #ending: TcpEnding | undefined;
  /** Who ended first; the flow is half closed from then on. */
  #endedFirst: 'client-closed' | 'backend-closed' | undefined;
  /** The backend has said nothing yet, and not for long: if it breaks now, another one may be tried. */
  #isEarly = false;
  #earlyUntilMs = 0;
  #replied = false;
  /** All the client has said; undefined: not all of it is kept any more. */
  #said: Buffer[] | undefined;
  /** An early write to the backend failed; it may have said something before: reading it tells. */
  #refusal: NodeJS.ErrnoException | undefined;
  /** Directions whose end has been delivered. */
  #delivered = 0;

  /**
   * @param client paused, its end confirmed
   * @param said what was read of it already
   */
  constructor(context: Context, flow: Flow, client: Socket, said: Buffer[] = []) {
    this.#context = context;
    this.flow = flow;
    this.#client = client;
    this.#said = said;
    flow.engineState = this;
    context.carried.add(this);
    outliveFailure(client, (error) => this.#broke('client', error), context.ends);
    client.on('error', () => this.end('client-reset'));
    guarded(context, this, () => this.#route());
  }

  get deadlineMs(): number {
    if (this.#ending !== undefined) return this.#ending.deadlineMs;
    switch (this.#phase) {
      case 'dialing':
        return this.#movedAtMs + this.flow.listener.plan.timeouts.connectMs;
      case 'relaying':
        return this.#isEarly ? Math.min(this.#earlyUntilMs, this.#quietDeadlineMs) : this.#quietDeadlineMs;
      default:
        return Number.POSITIVE_INFINITY;
    }
  }

  get #quietDeadlineMs(): number {
    return Math.max(this.#movedAtMs + this.#quietMsMax, this.#quietUntilMs);
  }

  /** How long nothing may move. */
  get #quietMsMax(): number {
    const { idleMs, halfCloseMs } = this.flow.listener.plan.timeouts;
    return this.#endedFirst === undefined ? idleMs : Math.min(idleMs, halfCloseMs);
  }

  get isOver(): boolean {
    return this.#phase === 'over';
  }

  get up(): Direction {
    return this.#up!;
  }

  get down(): Direction {
    return this.#down!;
  }

  get movedAtMs(): number {
    return this.#movedAtMs;
  }

  proceed(): void {
    if (this.#phase === 'waiting') guarded(this.#context, this, () => this.#route());
  }

  abandonDial(): void {
    if (this.#phase === 'dialing')
      guarded(this.#context, this, () => this.#dialFailed('backend-unreachable'));
  }

  expire(): void {
    guarded(this.#context, this, () => {
      if (this.#ending !== undefined) this.#ending.look();
      else if (this.#phase === 'dialing') this.#dialFailed('backend-timeout');
      else if (this.#isEarly && this.#context.nowMs() < this.#quietDeadlineMs) {
        this.#settle();
        this.#tellRefusal();
        if (!this.isOver) this.watch();
      } else this.#onQuiet();
    });
  }

  watch(): void {
    this.#context.deadlines.watch(this);
  }

  /** The relay has moved nothing for as long as it may; a kernel may have. */
  #onQuiet(): void {
    const { movedAtMs } = this;
    const up = this.#up;
    const heldBytes = this.#heldBytes;
    this.#context.queues.ask([this.#client, this.#backend!], (kernelBytes) => {
      // It may have gone to another backend meanwhile.
      if (this.isOver || this.#ending !== undefined || this.#up !== up) return;
      // What was handed to the kernel after the question may be missing in the answer.
      const isHanded = this.#heldBytes < heldBytes;
      if (this.up.isHeld || this.down.isHeld || isHanded) this.#moved();
      if (this.#movedAtMs !== movedAtMs) this.watch();
      else guarded(this.#context, this, () => this.#judgeQuiet(kernelBytes));
    });
  }

  /** Of both directions. */
  get #heldBytes(): number {
    return this.up.heldBytes + this.down.heldBytes;
  }

  #judgeQuiet(kernelBytes: number): void {
    const queuedBytes = kernelBytes + this.#heldBytes;
    this.#drain ??= new DrainWatch();
    const nowMs = this.#context.nowMs();
    const nextMs = this.#drain.look(nowMs, this.#movedAtMs, this.#quietMsMax, queuedBytes);
    if (nextMs !== undefined) {
      this.#quietUntilMs = nextMs;
      return this.watch();
    }
    const { idleMs, halfCloseMs } = this.flow.listener.plan.timeouts;
    const isHalfClosed = this.#endedFirst !== undefined && halfCloseMs <= idleMs;
    const code = isHalfClosed ? 'half-close-timeout' : 'idle';
    if (queuedBytes === 0) this.end(code);
    else this.#endLater(code, undefined);
  }

  /** Resets both sides. */
  end(code: TerminationCode): void {
    if (this.#phase === 'over') return;
    this.#leave();
    breakOff(this.#client);
    if (this.#backend !== undefined) breakOff(this.#backend);
    reportClosed(this.#context, this.flow, code);
  }

  #route(): void {
    const { host } = this.#context;
    // A loop: dials that fail on the spot must not pile up on the stack.
    for (;;) {
      this.#phase = 'routing';
      const answer = host.route(this.flow);
      if (this.isOver) return;
      if (answer === 'wait') {
        this.#phase = 'waiting';
        return;
      }
      if (typeof answer === 'string') {
        this.end(answer);
        return;
      }
      this.#phase = 'dialing';
      const target = answer.target && targetAt(answer.target, this.flow.local.port);
      if (target !== undefined) {
        this.#dial(target);
        return;
      }
      host.dialFailed(this.flow, 'backend-unreachable');
      if (this.isOver) return;
    }
  }

  #dial(target: Bind): void {
    const backend = new Socket(socketOptions);
    const { ends } = this.#context;
    confirmEnd(backend, ends);
    outliveFailure(backend, (error) => this.#backend === backend && this.#broke('backend', error), ends);
    this.#backend = backend;
    this.#movedAtMs = this.#context.nowMs();
    backend.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#backend !== backend || this.isOver) return;
      guarded(this.#context, this, () => {
        if (this.#phase === 'relaying') this.end('backend-reset');
        else this.#dialFailed(dialFailureOf(error.code, target.kind === 'unix'));
      });
    });
    backend.once('connect', () => {
      if (this.#backend === backend && this.#phase === 'dialing')
        guarded(this.#context, this, () => this.#connected(backend));
    });
    if (target.kind === 'unix') backend.connect({ path: target.path });
    else {
      const from = this.#context.sources.next(this.flow.upstream, target.ip);
      const source = from === undefined ? {} : { localAddress: from };
      backend.connect({ host: target.ip, port: target.port, ...source });
      // Node connects in the next tick: right behind it the address is known, and nobody has accepted yet.
      if (this.flow.tracesDial) process.nextTick(() => this.#tellDialsFrom(backend));
    }
    this.watch();
  }

  #tellDialsFrom(backend: Socket): void {
    if (this.#backend !== backend || this.#phase !== 'dialing') return;
    const local = socketAddress(backend.localAddress, backend.localPort);
    if (local !== undefined)
      guarded(this.#context, this, () => this.#context.host.dialsFrom(this.flow, local));
  }

  #dialFailed(failure: DialFailure): void {
    this.#context.deadlines.forget(this);
    this.#backend?.destroy();
    this.#backend = undefined;
    this.#context.host.dialFailed(this.flow, failure);
    if (!this.isOver) this.#route();
  }

  #connected(backend: Socket): void {
    if (isSelfConnection(backend)) {
      backend.resetAndDestroy();
      return this.#dialFailed('backend-refused');
    }
    const { opening } = this.flow;
    if (opening === undefined) return this.#opened(backend);
    sayOpening(backend, opening, (isExpected) => {
      if (this.#backend !== backend || this.#phase !== 'dialing') return;
      guarded(this.#context, this, () => {
        if (isExpected) this.#opened(backend);
        else this.#dialFailed('backend-refused');
      });
    });
  }

  #opened(backend: Socket): void {
    const { noDelay, keepAliveMs } = this.flow.listener.plan.tcp;
    backend.setNoDelay(noDelay);
    backend.setKeepAlive(keepAliveMs > 0, keepAliveMs);
    this.#phase = 'relaying';
    this.#movedAtMs = this.#context.nowMs();
    this.#isEarly = true;
    this.#earlyUntilMs = this.#movedAtMs + this.flow.listener.plan.timeouts.connectMs;
    this.watch();
    this.#context.host.dialed(this.flow);
    if (!this.isOver) this.#relay(backend);
  }

  #relay(backend: Socket): void {
    const { flow } = this;
    const { pace } = flow;
    const said = this.#said ?? [];
    this.#said = this.#said === undefined ? undefined : [];
    this.#up = new Direction(this.#client, backend);
    this.#down = new Direction(backend, this.#client);
    this.#up.start(
      {
        moved: (bytes) => {
          flow.bytesIn += bytes.length;
          if (this.#isEarly) this.#keep(bytes);
          this.#moved();
          pace?.charge(true, bytes.length);
        },
        passesEnd: () => true,
        ended: () => this.#ended('client-closed'),
        delivered: () => this.#directionDelivered(),
        ...(pace === undefined ? {} : { waitMs: () => pace.waitMs(true) }),
      },
      said,
    );
    this.#down.start({
      moved: (bytes) => {
        flow.bytesOut += bytes.length;
        this.#moved();
        pace?.charge(false, bytes.length);
        if (!this.#replied) guarded(this.#context, this, () => this.#firstReply());
      },
      passesEnd: () => !this.#leftAtEnd(),
      ended: () => this.#ended('backend-closed'),
      delivered: () => this.#directionDelivered(),
      ...(pace === undefined ? {} : { waitMs: () => pace.waitMs(false) }),
    });
  }

  #keep(bytes: Buffer): void {
    if (this.#said === undefined) return;
    if (this.flow.keepsSaid && this.flow.bytesIn <= saidBytesMax) this.#said.push(bytes);
    else this.#said = undefined;
  }

  /** Whatever happens from here on, this backend is the one. */
  #settle(): void {
    this.#isEarly = false;
    this.#said = undefined;
  }

  #firstReply(): void {
    this.#replied = true;
    this.#settle();
    this.#context.host.replied(this.flow);
    this.#tellRefusal();
  }

  /** A write to the backend failed early, and it is the one: what was held back is treated as it would have been at once. */
  #tellRefusal(): void {
    const refusal = this.#refusal;
    this.#refusal = undefined;
    if (refusal !== undefined && !this.isOver) this.#broke('backend', refusal);
  }

  /** The client waits for an answer, and the backend has not said anything. */
  get #mayLeave(): boolean {
    if (!this.#isEarly || this.#ending !== undefined || this.#phase !== 'relaying') return false;
    return this.#endedFirst === undefined || this.flow.bytesIn > 0;
  }

  /** @returns false: the flow ends here. True: the backend is left for another one, or the flow is over */
  #goElsewhere(how: EarlyBreak): boolean {
    const { host, deadlines } = this.#context;
    if (!host.brokeEarly(this.flow, how, this.#said !== undefined)) {
      this.#settle();
      return false;
    }
    if (this.isOver) return true;
    this.up.detach();
    this.down.detach();
    this.#up = undefined;
    this.#down = undefined;
    const backend = this.#backend;
    this.#backend = undefined;
    // Nobody takes what was said so far for all that was to be said.
    if (backend !== undefined) breakOff(backend);
    deadlines.forget(this);
    this.#isEarly = false;
    this.#refusal = undefined;
    this.#endedFirst = undefined;
    this.#delivered = 0;
    this.#route();
    return true;
  }

  /** The backend has ended; is it left for that? */
  #leftAtEnd(): boolean {
    if (!this.#mayLeave) return false;
    const refusal = this.#refusal;
    this.#refusal = undefined;
    let isLeft = false;
    guarded(this.#context, this, () => {
      isLeft = this.#goElsewhere(refusal === undefined || refusal.code === 'EPIPE' ? 'end' : 'reset');
    });
    if (!isLeft && refusal !== undefined && !this.isOver) this.#broke('backend', refusal);
    return isLeft || this.isOver;
  }

  /**
   * A read or a write of the backend failed early.
   * @returns true: the flow has left it, or what it said before will tell
   */
  #leftBroken(error: NodeJS.ErrnoException): boolean {
    if (!this.#mayLeave) return false;
    if (error.syscall !== 'read') {
      this.#refusal ??= error;
      return true;
    }
    this.#refusal = undefined;
    let isLeft = false;
    guarded(this.#context, this, () => {
      isLeft = this.#goElsewhere(error.code === 'EPIPE' ? 'end' : 'reset');
    });
    return isLeft || this.isOver;
  }

  #moved(): void {
    this.#movedAtMs = this.#context.nowMs();
    this.#quietUntilMs = 0;
  }

  /**
   * A read or a write of a side failed: it takes nothing more.
   * @returns false: the flow has not begun to relay, there is nothing to pass on
   */
  #broke(side: 'client' | 'backend', error: NodeJS.ErrnoException): boolean {
    if (this.#up === undefined || this.#down === undefined || this.isOver) return false;
    if (side === 'backend' && this.#leftBroken(error)) return true;
    this.#settle();
    if (side === 'client') this.#tellRefusal();
    if (this.isOver) return true;
    const { code, syscall } = error;
    const words = side === 'client' ? this.#up : this.#down;
    const isFirst = side === 'client' ? !this.#down.isDeaf : !this.#up.isDeaf;
    // A stream that had ended before it broke gives EPIPE, any other its own error (tcp_reset in Linux).
    if (syscall === 'read' || code !== 'EPIPE') words.isCut = true;
    if (syscall === 'read') words.isOver = true;
    guarded(this.#context, this, () => {
      if (!isFirst) this.#ending?.conclude();
      else if (this.#ending === undefined) this.#endLater(`${side}-reset`, words);
      else this.end(this.#ending.code);
    });
    return true;
  }

  #endLater(code: TerminationCode, words: Direction | undefined): void {
    this.#ending = new TcpEnding(this.#context, this, code, words);
    this.#ending.conclude();
    if (this.isOver) return;
    // Nothing has moved for a while: the kernel is asked at once, or a chain of balancers would fall by a tick for each of them.
    if (this.#ending.deadlineMs <= this.#context.nowMs()) this.#ending.look();
    else this.watch();
  }

  #ended(side: 'client-closed' | 'backend-closed'): void {
    if (this.isOver) return;
    this.#endedFirst ??= side;
    this.#moved();
    if (this.#ending === undefined) this.watch();
    else this.#ending.conclude();
  }

  #directionDelivered(): void {
    if (this.isOver) return;
    if (this.#ending !== undefined) this.#ending.conclude();
    else if (++this.#delivered === 2) this.finish(this.#endedFirst ?? 'client-closed');
  }

  finish(code: TerminationCode): void {
    this.#leave();
    this.#client.destroy();
    this.#backend?.destroy();
    reportClosed(this.#context, this.flow, code);
  }

  #leave(): void {
    this.#phase = 'over';
    this.#up?.release();
    this.#down?.release();
    this.#context.deadlines.forget(this);
    this.#context.carried.delete(this);
  }
}
