/**
 * How a load generator talks to the benchmark: its settings come as JSON in the first argument, and it writes
 * one line when measuring begins and one when it ends. The benchmark reads the CPU clocks at those lines, so
 * opening sockets and warming up are outside the measurement. Written synchronously: a generator sits in its
 * own loop and never returns to Node's.
 */
import { writeSync } from 'node:fs';
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

export interface LoadSettings {
  readonly host: string;
  readonly port: number;
  /** The first of so many addresses that clients have where their address matters. */
  readonly clientHost: string;
  readonly clientAddresses: number;
  readonly warmMs: number;
  readonly measureMs: number;
}

export interface LoadResult {
  /** What was done: requests, connections, round trips. */
  readonly units: number;
  /** What went wrong: resets, refusals, wrong answers; for UDP, answers that never came. */
  readonly failures: number;
  readonly elapsedMs: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export function readSettings<T extends LoadSettings>(): T {
  return JSON.parse(process.argv[2] ?? '{}');
}

/** Counts units and failures, and tells the benchmark when the measured part begins and ends. */
export class Phases {
  readonly #latencies: RecordableHistogram = createHistogram();
  readonly #beginAt: number;
  readonly #endAt: number;
  #beganAt = 0;
  #units = 0;
  #failures = 0;

  constructor(settings: LoadSettings) {
    this.#beginAt = performance.now() + settings.warmMs;
    this.#endAt = this.#beginAt + settings.measureMs;
  }

  /** Call it often. True when the measured time is over; the result has been written then. */
  isOver(now: number): boolean {
    if (this.#beganAt === 0 && now >= this.#beginAt) {
      this.#beganAt = now;
      this.#units = 0;
      this.#failures = 0;
      this.#latencies.reset();
      writeSync(1, '{"phase":"begin"}\n');
    }
    if (now < this.#endAt) return false;
    const result: LoadResult = {
      units: this.#units,
      failures: this.#failures,
      elapsedMs: now - this.#beganAt,
      p50Us: this.#latencies.percentile(50) / 1000,
      p99Us: this.#latencies.percentile(99) / 1000,
    };
    writeSync(1, `${JSON.stringify({ phase: 'end', result })}\n`);
    return true;
  }

  done(latencyMs: number): void {
    this.#units++;
    this.#latencies.record(Math.max(1, Math.round(latencyMs * 1e6)));
  }

  failed(): void {
    this.#failures++;
  }
}
