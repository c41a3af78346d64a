/**
 * Replies on their way to clients. They are received straight into the places of a batch and leave together at the end of the turn
 * with one sendmmsg of the listener's socket, earlier when the batch is full or another listener's turn comes. What the socket
 * does not take waits in the listener's backlog.
 */
import { EAGAIN, EMSGSIZE, ENOBUFS } from '../../linux/errno.ts';
import { type MessageBatch, payloadBytes } from '../../linux/message-batch.ts';
import type { Reactor, TurnEnd } from '../../linux/reactor.ts';
import type { UdpListener } from './udp-listener.ts';

/** Batches sent in one turn when a socket is writable again, before others have theirs. */
const releasesMax = 16;

/** Whom a reply is for. */
export interface Addressee {
  readonly nameBytes: number;
  /** Writes where it goes, and leaves from, to a place of a batch. */
  address(batch: MessageBatch, place: number): void;
  onReplySent(length: number): void;
}

export class UdpReplies implements TurnEnd {
  readonly batch: MessageBatch;
  readonly #reactor: Reactor;
  readonly #addressees: (Addressee | undefined)[];
  #listener: UdpListener | undefined = undefined;
  #count = 0;
  #asked = false;

  constructor(reactor: Reactor, batch: MessageBatch) {
    this.#reactor = reactor;
    this.batch = batch;
    this.#addressees = new Array<Addressee | undefined>(batch.count).fill(undefined);
  }

  /** The place the next reply of `listener` is to be received into. */
  place(listener: UdpListener): number {
    if (this.#count === this.batch.count || this.#listener !== listener) {
      this.flush();
      this.#listener = listener;
      this.batch.useControl(listener.isWildcard);
    }
    return this.#count;
  }

  /** The reply in the place given last is for this one. */
  commit(addressee: Addressee, length: number): void {
    const { batch } = this;
    const place = this.#count++;
    this.#addressees[place] = addressee;
    addressee.address(batch, place);
    batch.prepare(place, addressee.nameBytes, length);
    if (this.#asked) return;
    this.#asked = true;
    this.#reactor.atTurnEnd(this);
  }

  /** The reply committed last, which has not left yet. */
  last(length: number): Uint8Array {
    const at = this.batch.offset(this.#count - 1);
    return this.batch.payloads.bytes.subarray(at, at + length);
  }

  /** The reply committed last once more, for somebody else. */
  repeat(listener: UdpListener, addressee: Addressee, length: number): void {
    const from = this.batch.offset(this.#count - 1);
    // What has left is still where it was.
    const to = this.batch.offset(this.place(listener));
    this.batch.payloads.bytes.copyWithin(to, from, from + length);
    this.commit(addressee, length);
  }

  onTurnEnd(): void {
    this.#asked = false;
    this.flush();
  }

  /** Sends what is there, after what has waited longer. */
  flush(): void {
    const listener = this.#listener;
    const count = this.#count;
    if (listener === undefined || count === 0) return;
    // Emptied first: what the host does about a drop may come back here.
    this.#count = 0;
    for (let next = 0; next < count; ) {
      const sent = listener.backlog.isEmpty ? this.batch.send(listener.fd, next, count) : -EAGAIN;
      if (sent === -EAGAIN) return this.#keep(listener, next, count);
      const end = sent > 0 ? next + sent : sent === -ENOBUFS ? count : next + 1;
      for (; next < end; next++) {
        if (sent > 0) this.#addressees[next]!.onReplySent(this.batch.prepared(next));
        else listener.dropped(sent === -EMSGSIZE ? 'too-long' : 'queue-full');
        this.#addressees[next] = undefined;
      }
    }
  }

  /** Sends what has waited, as far as the socket takes it. The batch is free for it once it is flushed. */
  release(listener: UdpListener): void {
    this.flush();
    this.#listener = undefined;
    const { batch } = this;
    const { backlog } = listener;
    batch.useControl(listener.isWildcard);
    for (let rounds = 0; rounds < releasesMax && !backlog.isEmpty; rounds++) {
      const sent = batch.send(listener.fd, 0, backlog.fill(batch));
      if (sent === -EAGAIN) return;
      backlog.drop(Math.max(1, sent));
      if (sent < 0) listener.dropped(sent === -EMSGSIZE ? 'too-long' : 'queue-full');
    }
  }

  #keep(listener: UdpListener, first: number, end: number): void {
    const { payloads } = this.batch;
    for (let i = first; i < end; i++) {
      const addressee = this.#addressees[i]!;
      const at = this.batch.offset(i);
      const length = this.batch.prepared(i);
      this.#addressees[i] = undefined;
      if (listener.backlog.add(addressee, payloads.bytes.subarray(at, at + length)))
        addressee.onReplySent(length);
      else listener.dropped('queue-full');
    }
    listener.awaitWritable();
  }
}

/** A reply may be as long as a place. */
export const replyBytesMax = payloadBytes;
