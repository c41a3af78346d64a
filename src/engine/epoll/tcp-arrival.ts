/**
 * A client that is being identified (../arrival.ts): reads it until its identifier knows, and makes it a flow.
 *
 * The first read is at accept: a client whose first segment says all is a flow at once, without having been watched.
 */
import type { Address } from '../../core/address.ts';
import type { RefusalWay } from '../../core/plan.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import { EPOLLERR, EPOLLHUP, EPOLLPRI, EPOLLRDHUP } from '../../linux/constants.ts';
import { EAGAIN } from '../../linux/errno.ts';
import { type Descriptor, noDescriptor, receive, send } from '../../linux/libc.ts';
import type { Handler } from '../../linux/reactor.ts';
import type { Timed } from '../../linux/timer-wheel.ts';
import { Arrival, type Crowded, type Heard, type Identified, type Identifier } from '../arrival.ts';
import { refusalWay } from '../refuse.ts';
import { type Context, readBytes } from './context.ts';
import { TcpFlow } from './tcp-flow.ts';
import { interestToRead } from './tcp-side.ts';

const nothing = new Uint8Array(0);

export class TcpArrival implements Handler, Timed, Crowded {
  slot = -1;
  queued = false;
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  // As in tcp-side.ts, for the client's side of the flow.
  fd: Descriptor;
  readable = true;
  hungUp = false;
  exact: boolean;
  ended = false;
  readonly #context: Context;
  /** Whose view may change. */
  readonly #listener: { readonly view: ListenerView };
  readonly #peer: Address;
  readonly #arrival: Arrival;
  #isBroken = false;
  readonly #say = (answer: Uint8Array): void => {
    const { shared } = this.#context;
    shared.bytes.set(answer);
    // Nothing else waits in this socket: what it does not take is not taken for long.
    if (send(this.fd, shared, 0, answer.length) !== answer.length) this.#isBroken = true;
  };

  constructor(
    context: Context,
    listener: { readonly view: ListenerView },
    fd: Descriptor,
    exact: boolean,
    peer: Address,
    identifier: Identifier,
  ) {
    this.#context = context;
    this.#listener = listener;
    this.fd = fd;
    this.exact = exact;
    this.#peer = peer;
    this.#arrival = new Arrival(identifier, context.reactor.nowMs);
  }

  begin(): void {
    const { arrivals, reactor } = this.#context;
    this.#read();
    if (this.fd < 0) return;
    if (reactor.add(this.fd, this, interestToRead) < 0) return this.end('local-fault');
    reactor.wheel.set(this, this.#arrival.deadlineMs);
    arrivals.add(this);
  }

  onEvents(events: number): void {
    this.readable = true;
    if ((events & (EPOLLPRI | EPOLLERR)) !== 0) this.exact = true;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) !== 0) this.hungUp = true;
    this.#read();
  }

  onAgain(): void {
    this.#read();
  }

  onTimer(nowMs: number): void {
    if (nowMs < this.#arrival.deadlineMs) this.#context.reactor.wheel.set(this, this.#arrival.deadlineMs);
    else this.#act(this.#arrival.hear(nothing, 'late', this.#say));
  }

  giveUp(): void {
    this.end('limit-arrivals');
  }

  /** It will be no flow. Nothing if that is over. */
  end(code: TerminationCode): void {
    if (this.fd < 0) return;
    this.#leave();
    this.#close();
    this.#context.host.unidentified(this.#listener.view, this.#peer, code);
  }

  onFault(error: unknown): void {
    this.#context.host.fault(error, undefined);
    this.end('worker-error');
  }

  #read(): void {
    while (this.fd >= 0 && this.readable) {
      const room = Math.min(this.#arrival.room, readBytes);
      const length = receive(this.fd, this.#context.shared, 0, room);
      if (length === -EAGAIN) this.readable = false;
      else if (length < 0) this.end('client-reset');
      else this.#hear(length, length < room);
    }
  }

  /** @param isShort fewer bytes than there was room for: see tcp-side.ts */
  #hear(length: number, isShort: boolean): void {
    if (isShort && !this.exact) {
      this.readable = false;
      if (this.hungUp) this.ended = true;
    }
    if (length === 0) this.ended = true;
    const piece = this.#context.shared.bytes.subarray(0, length);
    this.#act(this.#arrival.hear(piece, this.ended ? 'ended' : 'open', this.#say));
  }

  #act(heard: Heard): void {
    if (this.#isBroken) this.end('client-reset');
    else if (typeof heard === 'object') this.#open(heard.identified, heard.rest);
    else if (heard !== 'more') this.end(heard);
  }

  #open({ identity, client, local }: Identified, rest: Uint8Array): void {
    const { chunks, host } = this.#context;
    // The host comes last: what it does in return may read into the shared buffer, where `rest` is.
    const chunk = rest.length === 0 ? undefined : chunks.take(rest.length);
    if (chunk === undefined && rest.length > 0) return this.end('limit-memory');
    chunk?.bytes.set(rest);
    this.#leave();
    let flow: TcpFlow | undefined;
    let way: RefusalWay = 'reset';
    try {
      const answer = host.open(this.#listener.view, client, local, identity);
      if (typeof answer === 'string') way = refusalWay(this.#listener.view, answer);
      else flow = new TcpFlow(this.#context, answer, this.fd, this.exact);
    } catch (error) {
      host.fault(error, undefined);
    }
    if (flow === undefined) {
      if (chunk !== undefined) chunks.release(chunk);
      return this.#close(way);
    }
    try {
      flow.takeOver(this, chunk, rest.length);
      this.fd = noDescriptor;
      flow.begin();
    } catch (error) {
      flow.onFault(error);
    }
  }

  #leave(): void {
    this.#context.arrivals.remove(this);
    this.#context.reactor.wheel.clear(this);
  }

  #close(way: RefusalWay = 'reset'): void {
    this.#context.reactor.remove(this);
    this.#context.silenced.refuse(this.fd, way);
    this.fd = noDescriptor;
    this.#context.shortage.freed();
  }
}
