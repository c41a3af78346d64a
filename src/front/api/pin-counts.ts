/**
 * How many clients are pinned to each backend: counted by a walk through the whole table, a portion in a turn of the loop, and only while
 * somebody asks. A walk is followed by a rest of many times as long, so that counting a million pins takes little of this thread.
 */
import type { PinTable } from '../../core/pins/table.ts';
import { portionsOf, turnOfTheLoop } from '../../pins/walk.ts';

const restMsMin = 2_000;
const restPerWalk = 20;
/** Who asks when nothing was counted yet waits so long for the first count. */
const firstCountWithinMs = 250;

/** By the table's number of the pool (or group), then by what a pin holds for the backend. */
export type PinCounts = ReadonlyMap<number, ReadonlyMap<number, number>>;

export class PinCounter {
  private readonly pins: Pick<PinTable, 'slotCount' | 'entries'>;
  private readonly nowMs: () => number;
  private counts: PinCounts | undefined;
  private counting: Promise<void> | undefined;
  private mayBeginAtMs = 0;

  /** @param nowMs the clock that the pin table is used with */
  constructor(pins: Pick<PinTable, 'slotCount' | 'entries'>, nowMs: () => number) {
    this.pins = pins;
    this.nowMs = nowMs;
  }

  /** The last count, and a new one begun if that is old. Undefined: the first one takes longer than anybody should wait. */
  async now(): Promise<PinCounts | undefined> {
    if (this.counting === undefined && performance.now() >= this.mayBeginAtMs) {
      this.counting = this.count().finally(() => {
        this.counting = undefined;
      });
    }
    if (this.counting !== undefined) {
      // A small table is counted at once, and then the count is of now.
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, this.counts === undefined ? firstCountWithinMs : 0);
      });
      await Promise.race([this.counting, late]);
      clearTimeout(timer);
    }
    return this.counts;
  }

  private async count(): Promise<void> {
    const startMs = performance.now();
    const counts = new Map<number, Map<number, number>>();
    for await (const portion of portionsOf(this.pins, this.nowMs, turnOfTheLoop)) {
      for (const { poolId, backendId } of portion) {
        const pool = counts.get(poolId) ?? new Map<number, number>();
        counts.set(poolId, pool);
        pool.set(backendId, (pool.get(backendId) ?? 0) + 1);
      }
    }
    const endMs = performance.now();
    this.counts = counts;
    this.mayBeginAtMs = endMs + Math.max(restMsMin, (endMs - startMs) * restPerWalk);
  }
}
