/**
 * Replies that a listener's socket did not take: its send buffer is full, because a client is behind a slower network than its
 * backend. They wait here in order, up to a bound, and leave when the socket is writable. Copied, for the places they were
 * received into are needed by others; where the network keeps up nothing ever comes here.
 */
import { replyQueueBytesMax } from '../../core/limits.ts';
import type { MessageBatch } from '../../linux/message-batch.ts';
import type { Addressee } from './udp-replies.ts';

interface Reply {
  readonly addressee: Addressee;
  readonly bytes: Uint8Array;
}

/** Places of replies that have gone from which on the list is moved up, if they are half of it. */
const gonePlacesMin = 1_024;
/** What a reply costs besides its payload, so that empty ones are bounded too. Bytes. */
const replyCostBytes = 256;

export class UdpBacklog {
  /** Those before the first one have gone, and their bytes with them. */
  #replies: (Reply | undefined)[] = [];
  #first = 0;
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#first === this.#replies.length;
  }

  /** @param bytes are copied. @returns false: there is no room */
  add(addressee: Addressee, bytes: Uint8Array): boolean {
    const cost = bytes.length + replyCostBytes;
    if (this.#bytes + cost > replyQueueBytesMax) return false;
    this.#bytes += cost;
    this.#replies.push({ addressee, bytes: bytes.slice() });
    return true;
  }

  /** Writes the first ones to `batch`, as many as it takes. @returns their number */
  fill(batch: MessageBatch): number {
    const count = Math.min(batch.count, this.#replies.length - this.#first);
    for (let place = 0; place < count; place++) {
      const { addressee, bytes } = this.#replies[this.#first + place]!;
      batch.payloads.bytes.set(bytes, batch.offset(place));
      addressee.address(batch, place);
      batch.prepare(place, addressee.nameBytes, bytes.length);
    }
    return count;
  }

  /** The first `count` are gone. The list may never be empty where clients keep asking: it is moved up now and then. */
  drop(count: number): void {
    for (let i = 0; i < count; i++) {
      this.#bytes -= this.#replies[this.#first]!.bytes.length + replyCostBytes;
      this.#replies[this.#first++] = undefined;
    }
    const isMostGone = this.#first >= gonePlacesMin && 2 * this.#first >= this.#replies.length;
    if (!isMostGone && !this.isEmpty) return;
    this.#replies.splice(0, this.#first);
    this.#first = 0;
  }
}
