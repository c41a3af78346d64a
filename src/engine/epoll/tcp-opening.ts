/**
 * What a backend hears before the client's bytes, and what it has to answer (`flow.opening`), for one dial.
 *
 *    connected --> say --> (all told) --> listen --> (expected, and not a byte more) --> the relay begins
 *
 * Where no answer is waited for the client's first bytes go out with it, in one segment.
 */
import type { Opening } from '../../core/opening.ts';
import { EAGAIN } from '../../linux/errno.ts';
import { receive, send } from '../../linux/libc.ts';
import type { DialFailure } from '../engine.ts';
import type { Context } from './context.ts';
import { dialFailure } from './sockets.ts';
import type { TcpSide } from './tcp-side.ts';

export class TcpOpening {
  readonly #context: Context;
  readonly #opening: Opening;
  #toldBytes = 0;
  #heardBytes = 0;

  constructor(context: Context, opening: Opening) {
    this.#context = context;
    this.#opening = opening;
  }

  get isTold(): boolean {
    return this.#toldBytes === this.#opening.send.length;
  }

  /** The client's bytes have to wait for an answer. */
  get awaitsAnswer(): boolean {
    return this.#opening.expect !== undefined;
  }

  /**
   * Says what is left, and behind it what is held of the client.
   * @returns how many of the client's bytes were taken, or a negative errno
   */
  say(backend: TcpSide, client: TcpSide): number {
    const { shared } = this.#context;
    const left = this.#opening.send.length - this.#toldBytes;
    shared.bytes.set(this.#opening.send.subarray(this.#toldBytes));
    let follows = 0;
    if (!this.awaitsAnswer && client.chunk !== undefined) {
      follows = Math.min(client.heldEnd - client.heldStart, shared.length - left);
      const { bytes } = client.chunk;
      shared.bytes.set(bytes.subarray(client.heldStart, client.heldStart + follows), left);
    }
    const sent = send(backend.fd, shared, 0, left + follows);
    if (sent < 0) return sent;
    this.#toldBytes += Math.min(sent, left);
    return Math.max(0, sent - left);
  }

  /** Reads as much of the answer as there is, and nothing behind it. Undefined: it has come. */
  listen(backend: TcpSide): 'more' | DialFailure | undefined {
    const { expect } = this.#opening;
    const { shared } = this.#context;
    while (expect !== undefined && this.#heardBytes < expect.length) {
      if (!backend.readable) return 'more';
      const left = expect.length - this.#heardBytes;
      const length = receive(backend.fd, shared, 0, left);
      if (length === -EAGAIN) backend.readable = false;
      else if (length < 0) return dialFailure(length, 0);
      else if (length === 0) return 'backend-refused';
      for (let i = 0; i < length; i++) {
        if (shared.bytes[i] !== expect[this.#heardBytes + i]) return 'backend-refused';
      }
      if (length > 0) this.#heardBytes += length;
    }
    return undefined;
  }
}
