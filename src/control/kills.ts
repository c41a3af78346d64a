/**
 * Open flows that an operator ends: over the time their pools give (`close_over`), or another one. UDP conversations end at once:
 * the next datagram of their client begins a new one.
 */
import type { FlowFilter } from '../core/flow-filter.ts';
import { groupScopes } from '../core/pin-scopes.ts';
import type { Plan } from '../core/plan.ts';
import { Waiting } from '../rooms/waiting.ts';
import type { FlowSelector, MessageToWorker } from '../worker/messages-to-worker.ts';

const answerWithinMs = 1_000;

export interface KillsOptions {
  readonly plan: () => Pick<Plan, 'listeners' | 'pools'>;
  /** How many there are. */
  readonly workers: number;
  readonly post: (worker: number, message: MessageToWorker) => boolean;
}

export interface Killed {
  /** Flows that are ended now, or will be. */
  readonly connections: number;
  /** The longest of the pools' times. */
  readonly overMs: number;
}

export class Kills {
  private readonly options: KillsOptions;
  private readonly counts = new Waiting<number>();

  constructor(options: KillsOptions) {
    this.options = options;
  }

  /**
   * @param overMs undefined: as each pool says
   * @param openedBeforeMs on the shared clock; undefined: all that are open now
   * A worker that does not answer in time ends them as well, and counts as none.
   */
  async kill(filter: FlowFilter, overMs: number | undefined, openedBeforeMs?: number): Promise<Killed> {
    const byTime = new Map<number, string[]>();
    const plan = this.options.plan();
    const scopes = groupScopes(plan);
    for (const { name, backends, closeOverMs } of plan.pools) {
      if (filter.pool !== undefined && filter.pool !== name && filter.pool !== scopes.get(name)) continue;
      if (filter.movedTo !== undefined && !backends.some((backend) => backend.name === filter.movedTo))
        continue;
      const ms = overMs ?? closeOverMs;
      const names = byTime.get(ms) ?? [];
      names.push(name);
      byTime.set(ms, names);
    }
    const counts = [...byTime].flatMap(([ms, pools]) =>
      Array.from({ length: this.options.workers }, (_, worker) =>
        this.order(worker, { by: 'operator', filter, pools, openedBeforeMs }, ms),
      ),
    );
    const connections = (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
    return { connections, overMs: Math.max(0, ...byTime.keys()) };
  }

  counted(requestId: number, flows: number): void {
    this.counts.answer(requestId, flows);
  }

  private order(worker: number, select: FlowSelector, overMs: number): Promise<number> {
    return this.counts.wait(answerWithinMs, 0, (requestId) =>
      this.options.post(worker, {
        type: 'end-flows',
        select,
        code: 'operator',
        overMs,
        requestId,
      }),
    );
  }
}
