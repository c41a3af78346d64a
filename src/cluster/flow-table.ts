/**
 * This instance's rows of the connection table: flows older than a second, told as differences (a row when a flow
 * appears, changes its backend or ends; byte counts along with it, refreshed every few seconds). The rows share one lease:
 * when the instance dies they vanish together. The lease outlasts the time from one telling to the next; rows that
 * are gone all the same (evicted, deleted) are told anew.
 */
import { flowRowBytesMax } from '../core/limits.ts';

export interface ClusterFlow {
  /** Unique in its instance and stable for the flow's life. */
  readonly id: string;
  readonly client: string;
  readonly listener: string;
  readonly pool: string;
  readonly backend: string;
  readonly ageMs: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** A row as read back: by which instance, and how long ago by the reader's reckoning it was written. */
export interface ClusterFlowRow extends Omit<ClusterFlow, 'id' | 'ageMs'> {
  readonly instance: string;
  /** ISO 8601 by its instance's clock: for people. */
  readonly since: string;
}

export interface FlowTableStore {
  /** @returns false if there were no rows of this instance before, or no longer */
  putFlows(set: ReadonlyMap<string, string>, gone: readonly string[]): Promise<boolean>;
  dropFlows(): Promise<void>;
}

/** Beats from one telling to the next: listing many flows costs the workers time. */
export const beatsPerFlowTable = 5;
const ageMsMin = 1_000;
/** Every how many rounds the bytes of a flow that goes on are told anew. */
const bytesRounds = 10;

export class FlowTable {
  /** Flows that did not fit into the table. */
  untold = 0;
  private readonly store: FlowTableStore;
  private readonly rowsMax: number;
  private readonly wallNowMs: () => number;
  private told = new Map<string, { backend: string; round: number }>();
  private round = 0;
  private isFresh = false;

  constructor(store: FlowTableStore, rowsMax: number, wallNowMs: () => number) {
    this.store = store;
    this.rowsMax = rowsMax;
    this.wallNowMs = wallNowMs;
  }

  get size(): number {
    return this.told.size;
  }

  /** What was told is gone with the connection or the lease: everything is told anew next time. */
  reset(): void {
    this.isFresh = false;
  }

  /** Tells what has changed since the last time. Rejects when Redis does not answer. */
  async publish(flows: readonly ClusterFlow[]): Promise<void> {
    if (await this.tell(flows)) return;
    this.reset();
    await this.tell(flows);
  }

  /** @returns false if what the differences are to is gone */
  private async tell(flows: readonly ClusterFlow[]): Promise<boolean> {
    this.round++;
    const old = flows.filter((flow) => flow.ageMs >= ageMsMin);
    this.untold = Math.max(0, old.length - this.rowsMax);
    const told = new Map<string, { backend: string; round: number }>();
    const set = new Map<string, string>();
    for (const flow of old.slice(0, this.rowsMax)) {
      const before = this.isFresh ? this.told.get(flow.id) : undefined;
      const isDue =
        before === undefined || before.backend !== flow.backend || this.round - before.round >= bytesRounds;
      told.set(flow.id, isDue ? { backend: flow.backend, round: this.round } : before);
      if (isDue) set.set(flow.id, this.row(flow));
    }
    const gone = this.isFresh ? [...this.told.keys()].filter((id) => !told.has(id)) : [];
    const mustBeThere = this.isFresh && this.told.size > 0;
    if (!this.isFresh) await this.store.dropFlows();
    this.isFresh = false;
    const wereThere = await this.store.putFlows(set, gone);
    this.told = told;
    this.isFresh = true;
    return wereThere || !mustBeThere;
  }

  private row({ client, listener, pool, backend, ageMs, bytesIn, bytesOut }: ClusterFlow): string {
    const since = new Date(this.wallNowMs() - ageMs).toISOString();
    return JSON.stringify([1, client, listener, pool, backend, since, bytesIn, bytesOut]);
  }
}

/** @returns undefined if it is not a row. */
export function parseFlowRow(instance: string, text: string): ClusterFlowRow | undefined {
  if (text.length > flowRowBytesMax) return undefined;
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!Array.isArray(raw) || raw[0] !== 1 || raw.length !== 8) return undefined;
  const [, client, listener, pool, backend, since, bytesIn, bytesOut] = raw;
  if (![client, listener, pool, backend, since].every((word) => typeof word === 'string')) return undefined;
  if (!Number.isFinite(bytesIn) || !Number.isFinite(bytesOut)) return undefined;
  return { instance, client, listener, pool, backend, since, bytesIn, bytesOut };
}
