/**
 * One TCP (or unix) connection from accept to close.
 *
 *    routing --> dialing --> relaying --> over
 *      |  ^---------+  (dial failed)       ^
 *      +--> waiting --(proceed)--> routing |
 *      any ------------- end --------------+
 *
 * The client is not read before the dial has succeeded, so the kernel holds what it sent. A side that ends in
 * order is passed on as an end; everything else is passed on as a reset, so that nobody takes a stream that was
 * cut short for a complete one. Two things node:net cannot do: notice a reset on a side that is not being read
 * (the flow ends when reading resumes, or idle), and reset a unix socket (the peer sees an end).
 */
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Flow } from '../../core/flow.ts';
import type { Bind } from '../../core/plan.ts';
import { isSelfConnection } from '../../core/self-connection.ts';
import type { TerminationCode } from '../../core/termination.ts';
import type { DialFailure } from '../engine.ts';
import { highWaterMark } from './bounds.ts';
import { breakOff } from './break-off.ts';
import { confirmEnd } from './confirm-end.ts';
import { type Carried, type Context, guarded, reportClosed } from './context.ts';
import type { Watched } from './deadlines.ts';
import { dialFailureOf } from './dial-failure.ts';
import { relay } from './relay.ts';
import { socketAddress } from './socket-address.ts';

type Phase = 'routing' | 'waiting' | 'dialing' | 'relaying' | 'over';

const socketOptions: SocketConstructorOpts & { highWaterMark: number } = {
  allowHalfOpen: true,
  highWaterMark,
};

export class TcpFlow implements Carried, Watched {
  readonly flow: Flow;
  wheelSlot = -1;
  readonly #context: Context;
  readonly #client: Socket;
  #backend: Socket | undefined;
  #phase: Phase = 'routing';
  /** When the dial began, or bytes last moved. */
  #movedAtMs = 0;
  /** Bytes neither side had taken when bytes last moved. */
  #pendingBytes = 0;
  /** Who ended first; the flow is half closed from then on. */
  #endedFirst: 'client-closed' | 'backend-closed' | undefined;
  /** Directions whose end has been delivered. */
  #delivered = 0;

  constructor(context: Context, flow: Flow, client: Socket) {
    this.#context = context;
    this.flow = flow;
    this.#client = client;
    flow.engineState = this;
    context.carried.add(this);
    confirmEnd(client);
    client.on('error', () => this.end('client-reset'));
    guarded(context, this, () => this.#route());
  }

  get deadlineMs(): number {
    const { connectMs, idleMs, halfCloseMs } = this.flow.listener.plan.timeouts;
    switch (this.#phase) {
      case 'dialing':
        return this.#movedAtMs + connectMs;
      case 'relaying':
        return this.#movedAtMs + (this.#endedFirst === undefined ? idleMs : Math.min(idleMs, halfCloseMs));
      default:
        return Number.POSITIVE_INFINITY;
    }
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
      if (this.#phase === 'dialing') this.#dialFailed('backend-timeout');
      else if (this.#pending() !== this.#pendingBytes) this.#moved();
      else {
        const { idleMs, halfCloseMs } = this.flow.listener.plan.timeouts;
        const isHalfClosed = this.#endedFirst !== undefined && halfCloseMs <= idleMs;
        this.end(isHalfClosed ? 'half-close-timeout' : 'idle');
      }
    });
    // Not over: the deadline has moved.
    if (this.#phase !== 'over') this.#context.deadlines.watch(this);
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
      if (answer.target !== undefined) {
        this.#dial(answer.target);
        return;
      }
      host.dialFailed(this.flow, 'backend-unreachable');
      if (this.#isOver()) return;
    }
  }

  #dial(target: Bind): void {
    const backend = new Socket(socketOptions);
    confirmEnd(backend);
    this.#backend = backend;
    this.#movedAtMs = this.#context.nowMs();
    backend.on('error', (error: NodeJS.ErrnoException) => {
      if (this.#backend !== backend || this.#isOver()) return;
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
      const from = this.#context.sources.next(this.flow.listener.plan.upstream, target.ip);
      const source = from === undefined ? {} : { localAddress: from };
      backend.connect({ host: target.ip, port: target.port, ...source });
      // Node connects in the next tick: right behind it the address is known, and nobody has accepted yet.
      if (this.flow.tracesDial) process.nextTick(() => this.#tellDialsFrom(backend));
    }
    this.#context.deadlines.watch(this);
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
    if (!this.#isOver()) this.#route();
  }

  #connected(backend: Socket): void {
    if (isSelfConnection(backend)) {
      backend.resetAndDestroy();
      return this.#dialFailed('backend-refused');
    }
    const { noDelay, keepAliveMs } = this.flow.listener.plan.tcp;
    backend.setNoDelay(noDelay);
    backend.setKeepAlive(keepAliveMs > 0, keepAliveMs);
    this.#phase = 'relaying';
    this.#movedAtMs = this.#context.nowMs();
    this.#context.deadlines.watch(this);
    this.#context.host.dialed(this.flow);
    if (this.#isOver()) return;
    const { flow } = this;
    const client = this.#client;
    relay(client, backend, {
      moved: (bytes) => {
        flow.bytesIn += bytes;
        this.#moved();
      },
      ended: () => this.#ended('client-closed'),
      delivered: () => this.#directionDelivered(),
    });
    relay(backend, client, {
      moved: (bytes) => {
        const isFirst = flow.bytesOut === 0;
        flow.bytesOut += bytes;
        this.#moved();
        if (isFirst) guarded(this.#context, this, () => this.#context.host.replied(flow));
      },
      ended: () => this.#ended('backend-closed'),
      delivered: () => this.#directionDelivered(),
    });
  }

  #moved(): void {
    this.#movedAtMs = this.#context.nowMs();
    this.#pendingBytes = this.#pending();
  }

  /** Less than before means that a slow reader has taken something, though nothing new was read. */
  #pending(): number {
    return this.#client.writableLength + (this.#backend?.writableLength ?? 0);
  }

  #ended(side: 'client-closed' | 'backend-closed'): void {
    if (this.#isOver()) return;
    this.#endedFirst ??= side;
    this.#moved();
    this.#context.deadlines.watch(this);
  }

  #directionDelivered(): void {
    if (this.#isOver() || ++this.#delivered < 2) return;
    this.#leave();
    this.#client.destroy();
    this.#backend?.destroy();
    reportClosed(this.#context, this.flow, this.#endedFirst ?? 'client-closed');
  }

  #leave(): void {
    this.#phase = 'over';
    this.#context.deadlines.forget(this);
    this.#context.carried.delete(this);
  }

  /** A method, because the compiler does not see that a call of the host may have ended the flow. */
  #isOver(): boolean {
    return this.#phase === 'over';
  }
}
