/**
 * Distributions of times in shared memory, as Prometheus's histograms have them: each value is counted in one bucket of a
 * few, and added to a sum. Counting is a short loop and two additions: no message and no memory for it, however many flows end.
 *
 *   block of writer w: | connect: pool rows | flow: listener rows | check: pool rows | turn: one row |
 *   row:               | count in each bucket | count above the last bound | sum of all, in milliseconds |
 *
 * Each worker writes to a block of its own, and control to the one after theirs, as in counters.ts.
 */
import { listenersMax, poolIdsMax } from './limits.ts';

/** Upper bounds of the buckets, in milliseconds; a value that is equal to a bound is below it, as in Prometheus. */
const histogramBoundsMs = {
  /** TCP: from the client's arrival until a backend had accepted. */
  connect: [0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000],
  /** From the client's arrival to the end of the flow. */
  flow: [
    10, 50, 100, 500, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000,
    86_400_000,
  ],
  check: [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000],
  /** The longest turn of a worker's loop since the last one that is counted. */
  turn: [0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000],
} as const satisfies Readonly<Record<string, readonly number[]>>;

export type HistogramName = keyof typeof histogramBoundsMs;

const rowsOf: Readonly<Record<HistogramName, number>> = {
  connect: poolIdsMax + 1,
  flow: listenersMax,
  check: poolIdsMax + 1,
  turn: 1,
};

interface Section {
  readonly offset: number;
  readonly bounds: readonly number[];
  readonly rowWords: number;
}

let blockWords = 0;

function section(name: HistogramName): Section {
  const bounds: readonly number[] = histogramBoundsMs[name];
  const rowWords = bounds.length + 2;
  const offset = blockWords;
  blockWords += rowsOf[name] * rowWords;
  return { offset, bounds, rowWords };
}

const sections: Readonly<Record<HistogramName, Section>> = {
  connect: section('connect'),
  flow: section('flow'),
  check: section('check'),
  turn: section('turn'),
};

export interface Distribution {
  /** Upper bounds in milliseconds, and how many values were at most that much: all counts of before included. */
  readonly buckets: readonly { readonly boundMs: number; readonly count: number }[];
  /** All values. */
  readonly count: number;
  readonly sumMs: number;
}

export class Histograms {
  private readonly words: Float64Array;
  private readonly writers: number;
  private readonly base: number;

  /** @param writer whose block `observe` writes to: the worker's number. A reader may leave it at 0 and must not write. */
  constructor(buffer: SharedArrayBuffer, writer = 0) {
    this.words = new Float64Array(buffer);
    this.writers = this.words.length / blockWords;
    this.base = writer * blockWords;
  }

  static bufferOf(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer((workers + 1) * blockWords * 8);
  }

  /** @param row of the pool or listener; 0 for `turn` */
  observe(name: HistogramName, row: number, valueMs: number): void {
    this.add(this.base, name, row, valueMs);
  }

  /** Control only, which reads with a worker's number: into the block after those of the workers. */
  observeAsControl(name: HistogramName, row: number, valueMs: number): void {
    this.add((this.writers - 1) * blockWords, name, row, valueMs);
  }

  private add(base: number, name: HistogramName, row: number, valueMs: number): void {
    const { offset, bounds, rowWords } = sections[name];
    const at = base + offset + row * rowWords;
    let bucket = 0;
    while (bucket < bounds.length && valueMs > bounds[bucket]!) bucket++;
    this.words[at + bucket]! += 1;
    this.words[at + rowWords - 1]! += valueMs;
  }

  /** Over all writers. */
  read(name: HistogramName, row: number): Distribution {
    return this.distribution(name, row, 0, this.writers);
  }

  /** What one writer has counted. */
  readOf(writer: number, name: HistogramName, row: number): Distribution {
    return this.distribution(name, row, writer, writer + 1);
  }

  private distribution(name: HistogramName, row: number, from: number, to: number): Distribution {
    const { offset, bounds, rowWords } = sections[name];
    const counts = new Array<number>(rowWords).fill(0);
    for (let writer = from; writer < to; writer++) {
      const at = writer * blockWords + offset + row * rowWords;
      for (let i = 0; i < rowWords; i++) counts[i]! += this.words[at + i]!;
    }
    let count = 0;
    const buckets = bounds.map((boundMs, i) => {
      count += counts[i]!;
      return { boundMs, count };
    });
    return { buckets, count: count + counts[bounds.length]!, sumMs: counts[bounds.length + 1]! };
  }
}
