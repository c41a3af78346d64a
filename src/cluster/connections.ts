/** The connection table of all instances, read from Redis: one reading at a time, and each within bounds that no member moves. */
import { listedMax } from '../core/limits.ts';
import { FaultError } from './errors.ts';
import { shownMessage } from './faults.ts';
import { type ClusterFlowRow, parseFlowRow } from './flow-table.ts';

export interface ConnectionRows {
  /** Rows of an instance, at most `max`, and no page of them after `untilMs`. */
  flows(instance: string, max: number, untilMs: number): Promise<readonly string[]>;
}

/** Less than control waits for it. */
const readWithinMs = 8_000;

export class Connections {
  private readonly store: ConnectionRows;
  private readonly instances: () => Iterable<string>;
  private readonly rowsMax: number;
  private readonly nowMs: () => number;
  private last: Promise<unknown> = Promise.resolve();

  /** @param nowMs as `performance.now` */
  constructor(
    store: ConnectionRows,
    instances: () => Iterable<string>,
    rowsMax = listedMax,
    nowMs = () => performance.now(),
  ) {
    this.store = store;
    this.instances = instances;
    this.rowsMax = rowsMax;
    this.nowMs = nowMs;
  }

  /** At most `most` rows of each instance and {@link listedMax} in all, of those that were read in time. Rejects when Redis does not answer, with what may be shown. */
  list(most: number): Promise<ClusterFlowRow[]> {
    const untilMs = this.nowMs() + readWithinMs;
    const own = this.last.then(() => this.read(most, untilMs));
    this.last = own.catch(() => {});
    return own.catch((error) => {
      throw new Error(shownMessage(error));
    });
  }

  private async read(most: number, untilMs: number): Promise<ClusterFlowRow[]> {
    if (this.nowMs() >= untilMs)
      throw new FaultError('timeout', 'others read the connection table for too long');
    const rows: ClusterFlowRow[] = [];
    // Members come and go meanwhile.
    for (const instance of [...this.instances()]) {
      const room = Math.min(most, this.rowsMax - rows.length);
      if (room <= 0 || this.nowMs() >= untilMs) break;
      for (const text of await this.store.flows(instance, room, untilMs)) {
        const row = parseFlowRow(instance, text);
        if (row !== undefined) rows.push(row);
      }
    }
    return rows;
  }
}
