/**
 * Events that were fetched and wait until others have been served, in the order they came.
 *
 * Each place (slot-table.ts) is in the queue at most once: what comes for it meanwhile is added to what waits, and what is given
 * up, or given to another, meanwhile takes its events with it. Nothing is allocated but to grow, by as much as there are places.
 */
import type { SlotTable } from './slot-table.ts';

export class PostponedEvents<T> {
  /** Serial numbers in the queue: of the next one to be served, and of the next one to come. */
  first = 0;
  next = 0;
  /** The bits that `shift` has taken out last. */
  events = 0;
  readonly #slots: SlotTable<T>;
  /** By place: what waits (0: nothing), for whom, and whether the queue has an entry for it. */
  #events = new Int32Array(0);
  #generations = new Int32Array(0);
  #queued = new Uint8Array(0);
  /** Places by serial number, as many as there are at most; its length is a power of two. */
  #queue = new Int32Array(0);

  constructor(slots: SlotTable<T>) {
    this.#slots = slots;
  }

  get isEmpty(): boolean {
    return this.first === this.next;
  }

  add(slot: number, generation: number, events: number): void {
    if (slot >= this.#queue.length) this.#grow(slot);
    // What waited for a former one in this place is nobody's.
    this.#events[slot] = this.#generations[slot] === generation ? this.#events[slot]! | events : events;
    this.#generations[slot] = generation;
    if (this.#queued[slot] !== 0) return;
    this.#queued[slot] = 1;
    this.#queue[this.next++ & (this.#queue.length - 1)] = slot;
  }

  /** What waits for `slot` waits no longer. @returns its bits, 0 for none */
  take(slot: number, generation: number): number {
    if (slot >= this.#queue.length || this.#generations[slot] !== generation) return 0;
    const events = this.#events[slot]!;
    this.#events[slot] = 0;
    return events;
  }

  /** The next one; its bits are in `events`. Undefined: that one was given up, or taken, or there is none. */
  shift(): T | undefined {
    if (this.isEmpty) return undefined;
    const slot = this.#queue[this.first++ & (this.#queue.length - 1)]!;
    this.#queued[slot] = 0;
    this.events = this.#events[slot]!;
    this.#events[slot] = 0;
    return this.events === 0 ? undefined : this.#slots.find(slot, this.#generations[slot]!);
  }

  #grow(slot: number): void {
    let length = Math.max(1024, this.#queue.length);
    while (length <= slot) length *= 2;
    const queue = new Int32Array(length);
    for (let at = this.first; at < this.next; at++) {
      queue[at & (length - 1)] = this.#queue[at & (this.#queue.length - 1)]!;
    }
    this.#queue = queue;
    this.#events = copied(this.#events, new Int32Array(length));
    this.#generations = copied(this.#generations, new Int32Array(length));
    this.#queued = copied(this.#queued, new Uint8Array(length));
  }
}

function copied<A extends Int32Array | Uint8Array>(from: A, to: A): A {
  to.set(from);
  return to;
}
