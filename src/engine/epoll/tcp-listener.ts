/**
 * A listening socket, TCP or unix: accepts and begins flows, or arrivals (tcp-arrival.ts) where clients have to be identified first.
 *
 * Level-triggered, because accepting stops early on purpose: as many are accepted per turn as came in the last
 * one, doubling while there are more, so that under load nearly no call finds the queue empty and other work
 * has its turn. Out of descriptors, accepting pauses (a level-triggered event would spin) until there are some again
 * (tcp-shortage.ts). Each flow that ends then makes room for another, so the host is told of pauses in quick succession
 * as of one.
 */
import { type Address, noAddress } from '../../core/address.ts';
import type { Flow } from '../../core/flow.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import { EPOLLIN, SOCK_CLOEXEC, SOCK_NONBLOCK } from '../../linux/constants.ts';
import { ECONNABORTED } from '../../linux/errno.ts';
import { accept, close, type Descriptor, socketName } from '../../linux/libc.ts';
import type { Handler } from '../../linux/reactor.ts';
import type { Timed } from '../../linux/timer-wheel.ts';
import { decodeAddress } from '../../wire/sockaddr.ts';
import type { Identifier } from '../arrival.ts';
import { refusalWay } from '../refuse.ts';
import type { Context } from './context.ts';
import { closeWithReset, isExhausted, keepUrgentInline, removeSocketFile } from './sockets.ts';
import { TcpArrival } from './tcp-arrival.ts';
import { TcpFlow } from './tcp-flow.ts';
import type { Starved } from './tcp-shortage.ts';

const acceptsMax = 64;
/** Accepting has gone on for so long when the host hears that it resumed. */
const calmMs = 1_000;
/** A bound for what is accepted at once before the socket is closed. */
const lastAcceptsMax = 4096;

export class TcpListener implements Handler, Timed, Starved {
  slot = -1;
  queued = false;
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  view: ListenerView;
  readonly local: Address;
  readonly #context: Context;
  readonly #fd: Descriptor;
  readonly #unixPath: string | undefined;
  /** Others have the socket too: its path is theirs, and whoever waits there at the end. */
  readonly isPassed: boolean;
  #accepts = 1;
  #paused = false;
  /** The host has heard of a pause and not of its end. */
  #pauseTold = false;
  #closed = false;
  /** The last accept found no descriptor or memory. */
  #exhausted = false;

  /** @param fd bound and listening; the listener owns it */
  constructor(context: Context, view: ListenerView, fd: Descriptor, isPassed = false) {
    this.#context = context;
    this.view = view;
    this.#fd = fd;
    const { bind } = view.plan;
    this.isPassed = isPassed;
    this.#unixPath = bind.kind === 'unix' ? bind.path : undefined;
    socketName(fd, context.name);
    this.local = decodeAddress(context.name.view, 0) ?? noAddress;
  }

  /** Starts to accept. 0 or a negative errno. */
  open(): number {
    return this.#context.reactor.add(this.#fd, this, EPOLLIN);
  }

  onEvents(): void {
    const most = this.#accepts;
    let accepted = 0;
    while (accepted < most && !this.#isShort() && this.#acceptOne()) accepted++;
    if (this.#isShort()) return this.#pause();
    if (accepted === most) this.#accepts = Math.min(most * 2, acceptsMax);
    else this.#accepts = Math.max(1, accepted);
  }

  onAgain(): void {
    this.onEvents();
  }

  /**
   * Stops accepting. Connections the kernel has completed already are taken first, because closing would reset
   * them, unless all is stopping or they are left to others. A path is given up before all: once the socket is closed a successor may bind it, and
   * we would unlink theirs.
   */
  close(takesNobody: boolean): void {
    if (this.#closed) return;
    if (this.#unixPath !== undefined && !this.#unixPath.startsWith('@') && !this.isPassed)
      removeSocketFile(this.#unixPath);
    if (!takesNobody) for (let i = 0; i < lastAcceptsMax && this.#acceptOne(); i++);
    this.#closed = true;
    this.#context.shortage.remove(this);
    this.#context.reactor.wheel.clear(this);
    if (this.isPassed) this.#context.reactor.removeShared(this.#fd, this);
    else this.#context.reactor.remove(this);
    close(this.#fd);
    if (this.#pauseTold) this.#context.host.acceptPaused(this.view, false);
  }

  /** The calm after a pause has lasted. */
  onTimer(): void {
    this.#pauseTold = false;
    this.#context.host.acceptPaused(this.view, false);
  }

  tryAgain(): boolean {
    const { reactor } = this.#context;
    // accept4 takes the descriptor number first, so even an empty queue tells whether there is one.
    this.#acceptOne();
    if (this.#isShort()) return false;
    this.#paused = false;
    reactor.modify(this.#fd, this, EPOLLIN);
    reactor.wheel.set(this, reactor.nowMs + calmMs);
    return true;
  }

  /** No descriptor for one more client, or a client that is here already needs it more. */
  #isShort(): boolean {
    return this.#exhausted || this.#context.shortage.hasFlows;
  }

  /** False: nothing (more) to accept now. */
  #acceptOne(): boolean {
    const { name } = this.#context;
    const fd = accept(this.#fd, name, SOCK_NONBLOCK | SOCK_CLOEXEC);
    this.#exhausted = fd < 0 && isExhausted(fd);
    if (fd >= 0) {
      this.#begin(fd);
      return true;
    }
    // One that was gone before we came; whatever else is wrong, the level-triggered event comes again.
    return fd === -ECONNABORTED;
  }

  #begin(fd: Descriptor): void {
    const flow = this.#open(fd);
    if (flow === undefined) return;
    const tcpFlow = new TcpFlow(this.#context, flow, fd, this.#unixPath !== undefined);
    try {
      tcpFlow.begin();
    } catch (error) {
      tcpFlow.onFault(error);
    }
  }

  /** Undefined: turned away, and `fd` is closed; or it is being identified. */
  #open(fd: Descriptor): Flow | undefined {
    const { host, name } = this.#context;
    try {
      const client = decodeAddress(name.view, 0) ?? noAddress;
      let { local } = this;
      if (local.isWildcard && local !== noAddress && socketName(fd, name) === 0) {
        local = decodeAddress(name.view, 0) ?? local;
      }
      if (this.#unixPath !== undefined) keepUrgentInline(fd);
      const identifier = this.view.identifies === true ? host.identify(this.view, client, local) : undefined;
      if (identifier === undefined) {
        const answer = host.open(this.view, client, local);
        if (typeof answer !== 'string') return answer;
        this.#context.silenced.refuse(fd, refusalWay(this.view, answer));
      } else if (typeof identifier !== 'string') {
        this.#identify(fd, client, identifier);
      } else closeWithReset(fd);
    } catch (error) {
      host.fault(error, undefined);
      closeWithReset(fd);
    }
    return undefined;
  }

  #identify(fd: Descriptor, peer: Address, identifier: Identifier): void {
    const arrival = new TcpArrival(this.#context, this, fd, this.#unixPath !== undefined, peer, identifier);
    try {
      arrival.begin();
    } catch (error) {
      arrival.onFault(error);
    }
  }

  #pause(): void {
    if (this.#paused) return;
    const { host, reactor, shortage } = this.#context;
    this.#paused = true;
    reactor.modify(this.#fd, this, 0);
    reactor.wheel.clear(this);
    shortage.addListener(this);
    if (this.#pauseTold) return;
    this.#pauseTold = true;
    host.acceptPaused(this.view, true);
  }
}
