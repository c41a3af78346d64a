/**
 * The socket of a conversation towards the address its backend had before. Answers under way when the address changed still
 * come to it, and the client gets them; errors of that address say nothing about the new one and are only taken.
 *
 * For some seconds, a resolver's patience. Nothing is sent through it any more, so a stranger who is given the address
 * meanwhile learns nothing of the client but its port here.
 */
import { formerAddressMs } from '../../core/limits.ts';
import { EAGAIN } from '../../linux/errno.ts';
import { close, type Descriptor, dropsOf, noDescriptor, receive } from '../../linux/libc.ts';
import type { Handler } from '../../linux/reactor.ts';
import type { Timed } from '../../linux/timer-wheel.ts';
import type { Context } from './context.ts';
import type { UdpConversation } from './udp-conversation.ts';
import { replyBytesMax } from './udp-replies.ts';

/** Datagrams taken in one turn before others have theirs. */
const readsMax = 32;

export class FormerSocket implements Handler, Timed {
  slot = -1;
  queued = false;
  timerNext: Timed | undefined = undefined;
  timerPrevious: Timed | undefined = undefined;
  timerTick = -1;
  readonly #context: Context;
  readonly #conversation: UdpConversation;
  readonly #drops: number;
  #fd: Descriptor;

  /** @param drops what the kernel had dropped there when it was asked last */
  constructor(context: Context, conversation: UdpConversation, fd: Descriptor, drops: number) {
    this.#drops = drops;
    this.#context = context;
    this.#conversation = conversation;
    this.#fd = fd;
  }

  /** From now on the descriptor is this one's to close. */
  linger(): void {
    const { reactor } = this.#context;
    reactor.wheel.set(this, reactor.nowMs + formerAddressMs);
  }

  onEvents(): void {
    const { replies } = this.#context;
    for (let i = 0; i < readsMax && this.#fd >= 0; i++) {
      const place = replies.place(this.#conversation.listener);
      const { batch } = replies;
      const length = receive(this.#fd, batch.payloads, batch.offset(place), replyBytesMax);
      if (length === -EAGAIN) return;
      if (length >= 0) this.#conversation.heard(length);
    }
  }

  onAgain(): void {
    this.onEvents();
  }

  onTimer(): void {
    this.close();
  }

  close(): void {
    if (this.#fd < 0) return;
    const fresh = dropsOf(this.#fd) - this.#drops;
    if (fresh > 0) this.#conversation.listener.dropped('backend-receive-buffer-full', fresh);
    this.#context.reactor.wheel.clear(this);
    this.#context.reactor.remove(this);
    close(this.#fd);
    this.#fd = noDescriptor;
  }
}
