/**
 * Which descriptors a thread holds that nobody else would close, in memory that outlives it: V8 may end a thread at any point, and
 * its successor then closes what is left. A bit for each number.
 *
 * A number is forgotten before it is closed, so that nobody closes another's. A thread that ends between the two leaves one
 * descriptor open. One beyond `heldDescriptorsMax` is not noted.
 */
import { heldDescriptorsMax } from '../core/limits.ts';
import { close, type Descriptor } from './libc.ts';

export class HeldDescriptors {
  readonly #words: Int32Array;

  /** @param memory a bit for each of `heldDescriptorsMax` */
  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
  }

  hold(fd: Descriptor): void {
    if (fd >= 0 && fd < heldDescriptorsMax) this.#words[fd >> 5]! |= 1 << (fd & 31);
  }

  /** The caller closes it next. */
  forget(fd: Descriptor): void {
    if (fd >= 0 && fd < heldDescriptorsMax) this.#words[fd >> 5]! &= ~(1 << (fd & 31));
  }

  /** Closes what a thread that is gone has left. @returns how many */
  closeLeft(): number {
    let count = 0;
    for (const [i, word] of this.#words.entries()) {
      for (let bit = 0; word !== 0 && bit < 32; bit++) {
        if ((word & (1 << bit)) === 0) continue;
        const fd = (i * 32 + bit) as Descriptor;
        this.forget(fd);
        close(fd);
        count++;
      }
    }
    return count;
  }
}
