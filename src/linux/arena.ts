/**
 * Memory the kernel may write to: an ArrayBuffer made once, cut into regions.
 *
 * A Region is the only form in which memory reaches libc.ts, and this file is the only one that makes Regions,
 * so an address is always that of live memory and comes with its true length. An ArrayBuffer's memory lies
 * outside V8's heap and does not move; the Region holds the buffer, so the memory lives as long as anything that
 * could pass its address on. Nothing is freed piecemeal. It does not protect from a Region's `bytes.buffer` being
 * transferred to another thread, which would detach it: no code may do that.
 */
import { addressOf } from './libc.ts';

/** A piece of an arena. `address` is read by src/linux/ only, and nothing outside can turn a number back into one. */
export class Region {
  readonly bytes: Uint8Array;
  /** The same memory as 32-bit words in host order. Signed, so that every value is a small integer to V8. */
  readonly words: Int32Array;
  readonly view: DataView;
  readonly address: number;
  readonly length: number;

  private constructor(buffer: ArrayBuffer, start: number, length: number, address: number) {
    this.bytes = new Uint8Array(buffer, start, length);
    this.words = new Int32Array(buffer, start, length >>> 2);
    this.view = new DataView(buffer, start, length);
    this.address = address;
    this.length = length;
  }

  /** Only for {@link Arena}: `start` and `length` are inside `buffer`, whose memory begins at `base`. */
  static readonly cut = (buffer: ArrayBuffer, base: number, start: number, length: number): Region => {
    if (start < 0 || length < 0 || start + length > buffer.byteLength)
      throw new RangeError('outside the arena');
    return new Region(buffer, start, length, base + start);
  };
}

/** Regions start on a cache line, so that no two share one. Bytes. */
const alignment = 64;

export class Arena {
  readonly #buffer: ArrayBuffer;
  readonly #base: number;
  #used: number;

  /** @param sizeBytes the whole; untouched pages cost no memory */
  constructor(sizeBytes: number) {
    this.#buffer = new ArrayBuffer(sizeBytes + alignment);
    this.#base = addressOf(this.#buffer);
    this.#used = (alignment - (this.#base % alignment)) % alignment;
  }

  /** Cuts the next `length` bytes, zeroed. Throws RangeError when the arena is used up: its size is a sum known beforehand. */
  cut(length: number): Region {
    const start = this.#used;
    const region = Region.cut(this.#buffer, this.#base, start, length);
    this.#used = start + Math.ceil(length / alignment) * alignment;
    return region;
  }
}
