/**
 * Numbered places for things with a life, each number with a generation.
 *
 * What the kernel hands back with an event is (slot, generation). A place that was given up, or given to another
 * since the event was fetched, has another generation, so a stale event finds nothing. Generations wrap after
 * 2^31 uses of one place; an event does not live that long.
 */

export class SlotTable<T> {
  #items: (T | undefined)[] = [];
  #generations = new Int32Array(1024);
  #free = new Int32Array(1024);
  #freeCount = 0;

  /** Places in use. */
  get size(): number {
    return this.#items.length - this.#freeCount;
  }

  /** Gives `item` a place. Grows as needed; the bound is that of the descriptors. */
  take(item: T): number {
    if (this.#freeCount > 0) {
      const slot = this.#free[--this.#freeCount]!;
      this.#items[slot] = item;
      return slot;
    }
    const slot = this.#items.length;
    this.#items.push(item);
    if (slot >= this.#generations.length) {
      this.#generations = grown(this.#generations);
      this.#free = grown(this.#free);
    }
    return slot;
  }

  /** Gives the place up: from now on its present generation finds nothing. */
  release(slot: number): void {
    if (this.#items[slot] === undefined) throw new Error(`slot ${slot} is not in use`);
    this.#items[slot] = undefined;
    this.#generations[slot] = (this.#generations[slot]! + 1) | 0;
    this.#free[this.#freeCount++] = slot;
  }

  generation(slot: number): number {
    return this.#generations[slot]!;
  }

  /** What holds `slot` in `generation`, or undefined if that is over. */
  find(slot: number, generation: number): T | undefined {
    return this.#generations[slot] === generation ? this.#items[slot] : undefined;
  }

  /** Everything in the table now; made for shutdown, not for the loop. */
  all(): T[] {
    return this.#items.filter((item) => item !== undefined);
  }
}

function grown(from: Int32Array): Int32Array<ArrayBuffer> {
  const to = new Int32Array(from.length * 2);
  to.set(from);
  return to;
}
