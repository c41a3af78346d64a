/**
 * A hashed timing wheel (Varghese and Lauck, 1987) for very many deadlines that are nearly always moved back.
 *
 * Lazy: activity does not touch the wheel. An entry sits at the tick it was set for; when the hand comes by, its
 * `onTimer` looks at the true deadline and sets itself anew if that has moved. So a byte costs one store, and an
 * idle flow one visit per rotation at most. A deadline further away than one rotation is visited early for the
 * same reason, which is harmless. Deadlines are met at most one tick late, never early by the entry's own check.
 */

export interface Timed {
  /** The wheel's own; undefined and -1 while not set. */
  timerNext: Timed | undefined;
  timerPrevious: Timed | undefined;
  timerTick: number;
  /** Called once per `set`, unset already, when its time has come or a rotation is over. */
  onTimer(nowMs: number): void;
}

export class TimerWheel {
  readonly #tickMs: number;
  readonly #heads: (Timed | undefined)[];
  readonly #originMs: number;
  #size = 0;
  /** The last tick whose entries were visited. */
  #hand = 0;

  /** @param buckets ticks of one rotation */
  constructor(nowMs: number, tickMs: number, buckets: number) {
    this.#originMs = nowMs;
    this.#tickMs = tickMs;
    this.#heads = new Array<Timed | undefined>(buckets).fill(undefined);
  }

  get size(): number {
    return this.#size;
  }

  /** Sets or moves `entry` so that it is visited at `deadlineMs`. O(1). */
  set(entry: Timed, deadlineMs: number): void {
    if (entry.timerTick >= 0) this.clear(entry);
    const due = Math.ceil((deadlineMs - this.#originMs) / this.#tickMs);
    const latest = this.#hand + this.#heads.length - 1;
    const tick = Math.max(this.#hand + 1, Math.min(due, latest));
    const bucket = tick % this.#heads.length;
    const head = this.#heads[bucket];
    entry.timerTick = tick;
    entry.timerNext = head;
    entry.timerPrevious = undefined;
    if (head !== undefined) head.timerPrevious = entry;
    this.#heads[bucket] = entry;
    this.#size++;
  }

  /** Takes `entry` out; nothing happens if it is not in. O(1). */
  clear(entry: Timed): void {
    if (entry.timerTick < 0) return;
    const { timerNext: next, timerPrevious: previous } = entry;
    if (next !== undefined) next.timerPrevious = previous;
    if (previous !== undefined) previous.timerNext = next;
    else this.#heads[entry.timerTick % this.#heads.length] = next;
    entry.timerTick = -1;
    entry.timerNext = undefined;
    entry.timerPrevious = undefined;
    this.#size--;
  }

  /**
   * Visits what is due at `nowMs`. What `onTimer` throws goes to `fault` and the rest are visited all the same.
   */
  advance(nowMs: number, fault: (error: unknown, entry: Timed) => void): void {
    const target = Math.floor((nowMs - this.#originMs) / this.#tickMs);
    while (this.#hand < target) {
      this.#hand = this.#size === 0 ? target : this.#hand + 1;
      const bucket = this.#hand % this.#heads.length;
      // Taken one by one: a visit may clear any other entry. `set` never adds to the bucket under the hand.
      for (let entry = this.#heads[bucket]; entry !== undefined; entry = this.#heads[bucket]) {
        this.clear(entry);
        try {
          entry.onTimer(nowMs);
        } catch (error) {
          fault(error, entry);
        }
      }
    }
  }

  /** Milliseconds until something may be due, at most `mostMs`. Looks at `mostMs / tick` buckets. */
  untilNextMs(nowMs: number, mostMs: number): number {
    if (this.#size === 0) return mostMs;
    const sinceMs = nowMs - this.#originMs;
    const last = Math.min(Math.ceil((sinceMs + mostMs) / this.#tickMs), this.#hand + this.#heads.length - 1);
    for (let tick = this.#hand + 1; tick <= last; tick++) {
      if (this.#heads[tick % this.#heads.length] !== undefined) {
        return Math.min(mostMs, Math.max(0, Math.ceil(tick * this.#tickMs - sinceMs)));
      }
    }
    return mostMs;
  }
}
