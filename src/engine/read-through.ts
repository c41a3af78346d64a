/**
 * Up to which moment a socket's queue has been read. A deadline that passed while this process did not run says nothing
 * about a client whose datagrams wait in the kernel: who is to expire asks here first.
 *
 * A queue that is found empty has been read up to now. One that never is (more comes than is read) has been read up to a
 * moment once as many datagrams were read since as it can hold at all: the kernel hands them out in order.
 */

/** The least the kernel books for one datagram: its sk_buff and the smallest room for data. Measured 768. Bytes. */
const bookedBytesMin = 512;

export class ReadThrough {
  /** All that had come by then has been read. */
  atMs: number;
  readonly #queuedMax: number;
  #sinceMs: number;
  #count = 0;

  /** @param receiveBufferBytes what was asked of the kernel, which doubles it (socket(7)) */
  constructor(nowMs: number, receiveBufferBytes: number) {
    this.atMs = nowMs;
    this.#sinceMs = nowMs;
    this.#queuedMax = (2 * receiveBufferBytes) / bookedBytesMin;
  }

  /** So many were read, and more may wait. */
  read(count: number, nowMs: number): void {
    this.#count += count;
    if (this.#count < this.#queuedMax) return;
    this.atMs = this.#sinceMs;
    this.#sinceMs = nowMs;
    this.#count = 0;
  }

  /** Nothing was left at `nowMs`. */
  emptied(nowMs: number): void {
    this.atMs = nowMs;
    this.#sinceMs = nowMs;
    this.#count = 0;
  }
}
