/**
 * Counters of the pin table in shared memory: a row per writer, written by that thread alone, added up by
 * whoever asks. Rows are whole cache lines, so counting costs no traffic between cores.
 *
 * They are 64-bit floating point, exact to 2^53, and not atomic: one writer per row needs no more, and a
 * reader on a 64-bit machine sees the value before or after an increment. They are for people, not decisions.
 */
import { countersPerWriter, type PinLayout, writersMax } from './layout.ts';

/** Place of each counter in a row. */
export const pinCounter = {
  hits: 0, // touches that found a pin
  misses: 1,
  claims: 2, // pins made
  confirms: 3,
  moves: 4,
  slides: 5, // expiries moved
  removals: 6,
  remotes: 7, // pins set or removed on a peer's word
  evictions: 8, // live pins that made room for others
  expired: 9, // expired pins swept or replaced
  notStored: 10, // pins not written: the lock's holder was gone, or no pin of the group could be spared
  blockedReads: 11, // lookups that found nothing because a writer was always faster
  ringOverflows: 12, // changes that went by rescan
  reported: 13, // changes handed to control
} as const;
export type PinCounterName = keyof typeof pinCounter;

export class PinCounters {
  readonly #all: Float64Array;
  readonly #row: number;

  constructor(buffer: SharedArrayBuffer, layout: PinLayout, writerIndex: number) {
    this.#all = new Float64Array(buffer, layout.countersAt * 8, writersMax * countersPerWriter);
    this.#row = writerIndex * countersPerWriter;
  }

  /** @param counter a value of {@link pinCounter}. */
  count(counter: number): void {
    const at = this.#row + counter;
    this.#all[at] = this.#all[at]! + 1;
  }

  /** Totals over all writers since the table was made. */
  totals(): Record<PinCounterName, number> {
    const total = (counter: number): number => {
      let sum = 0;
      for (let row = 0; row < writersMax; row++) sum += this.#all[row * countersPerWriter + counter]!;
      return sum;
    };
    return Object.fromEntries(
      Object.entries(pinCounter).map(([name, counter]) => [name, total(counter)]),
    ) as Record<PinCounterName, number>;
  }
}
