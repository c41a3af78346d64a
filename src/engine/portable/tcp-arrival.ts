/**
 * A client that is being identified (../arrival.ts): reads it until its identifier knows, and makes it a flow.
 */
import type { Socket } from 'node:net';
import type { Address } from '../../core/address.ts';
import type { Flow } from '../../core/flow.ts';
import type { ListenerView } from '../../core/snapshot.ts';
import type { TerminationCode } from '../../core/termination.ts';
import {
  Arrival,
  type Crowded,
  type Heard,
  type Hearing,
  type Identified,
  type Identifier,
} from '../arrival.ts';
import { refusalWay } from '../refuse.ts';
import { breakOff } from './break-off.ts';
import type { Context } from './context.ts';
import type { Watched } from './deadlines.ts';
import { TcpFlow } from './tcp-flow.ts';

const nothing = new Uint8Array(0);

export class TcpArrival implements Crowded, Watched {
  wheelSlot = -1;
  readonly #context: Context;
  /** Whose view may change. */
  readonly #listener: { readonly view: ListenerView };
  readonly #socket: Socket;
  readonly #peer: Address;
  readonly #arrival: Arrival;
  #isOver = false;

  /** @param socket paused, its end confirmed */
  constructor(
    context: Context,
    listener: { readonly view: ListenerView },
    socket: Socket,
    peer: Address,
    identifier: Identifier,
  ) {
    this.#context = context;
    this.#listener = listener;
    this.#socket = socket;
    this.#peer = peer;
    this.#arrival = new Arrival(identifier, context.nowMs());
    socket.on('data', this.#onData).on('end', this.#onEnd).on('error', this.#onError).resume();
    context.deadlines.watch(this);
    context.arrivals.add(this);
  }

  get deadlineMs(): number {
    return this.#arrival.deadlineMs;
  }

  expire(): void {
    this.#hear(nothing, 'late');
  }

  giveUp(): void {
    this.end('limit-arrivals');
  }

  /** It will be no flow. Nothing if that is over. */
  end(code: TerminationCode): void {
    if (this.#isOver) return;
    this.#leave();
    breakOff(this.#socket);
    this.#context.host.unidentified(this.#listener.view, this.#peer, code);
  }

  readonly #onData = (bytes: Buffer): void => this.#hear(bytes, 'open');
  readonly #onEnd = (): void => this.#hear(nothing, 'ended');
  readonly #onError = (): void => this.end('client-reset');

  #hear(bytes: Uint8Array, hearing: Exclude<Hearing, 'full'>): void {
    if (this.#isOver) return;
    try {
      this.#act(this.#arrival.hear(bytes, hearing, (answer) => this.#socket.write(answer)));
    } catch (error) {
      this.#context.host.fault(error, undefined);
      this.end('worker-error');
    }
  }

  #act(heard: Heard): void {
    if (typeof heard === 'object') this.#open(heard.identified, heard.rest);
    else if (heard !== 'more') this.end(heard);
  }

  #open({ identity, client, local }: Identified, rest: Uint8Array): void {
    const { host } = this.#context;
    this.#leave();
    let answer: Flow | TerminationCode | undefined;
    try {
      answer = host.open(this.#listener.view, client, local, identity);
    } catch (error) {
      host.fault(error, undefined);
    }
    if (typeof answer !== 'object')
      return this.#context.silenced.refuse(this.#socket, refusalWay(this.#listener.view, answer));
    const said = rest.length === 0 ? [] : [Buffer.from(rest)];
    new TcpFlow(this.#context, answer, this.#socket, said);
    this.#socket.off('error', this.#onError);
  }

  /** The listener of errors stays: the socket is never without one. */
  #leave(): void {
    this.#isOver = true;
    this.#socket.pause().off('data', this.#onData).off('end', this.#onEnd);
    this.#context.deadlines.forget(this);
    this.#context.arrivals.remove(this);
  }
}
