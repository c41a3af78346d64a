/**
 * Clients come home: when a pool has somebody again who is not a backup, the flows that are open on its backups end
 * (`on_up: { close_backup: true }`). Until then they stay, and so do those of a pool that does not ask for it.
 *
 * It follows the step from nobody to somebody, not each backend that comes up: who came to a backup because all others were full
 * is not ended for the next one that is up, and would perhaps find them full again. If the others are lost again while flows
 * are being ended over a time (`close_over`), those that are left stay.
 */
import type { BackendPlan, PoolPlan } from '../core/plan.ts';

export interface BackupClosingOptions {
  /** Whether a backend takes new clients. */
  readonly servesNew: (backendId: number) => boolean;
  /** Ends what is open on a backup. */
  readonly endFlows: (backendId: number) => void;
  /** Leaves alone what has not been ended yet. */
  readonly keepFlows: (backendId: number) => void;
}

interface PlacedBackend {
  readonly id: number;
  readonly pool: PoolPlan;
  readonly plan: BackendPlan;
}

export class BackupClosing {
  private readonly options: BackupClosingOptions;
  /** Pools that close their backups' flows, and whether somebody serves there who is none. */
  private served = new Map<string, boolean>();

  constructor(options: BackupClosingOptions) {
    this.options = options;
  }

  /** After anything that may change who takes newcomers. */
  review(backends: Iterable<PlacedBackend>): void {
    const serves = new Map<string, boolean>();
    const backups: PlacedBackend[] = [];
    for (const backend of backends) {
      const { pool, plan, id } = backend;
      if (!pool.closesBackup) continue;
      if (plan.isBackup === true) backups.push(backend);
      else if (serves.get(pool.name) !== true) serves.set(pool.name, this.options.servesNew(id));
    }
    for (const { id, pool } of backups) {
      const before = this.served.get(pool.name);
      const now = serves.get(pool.name) === true;
      // A pool that nobody has looked at has nobody who waits to come home.
      if (before === undefined || before === now) continue;
      if (now) this.options.endFlows(id);
      else this.options.keepFlows(id);
    }
    this.served = serves;
  }
}
