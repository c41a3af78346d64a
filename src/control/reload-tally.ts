/** What became of reloads since the start. It hears control's events. */
import type { ControlEvent } from './events.ts';

export interface ReloadStatus {
  readonly applied: number;
  readonly refused: number;
  /** The last one was refused. */
  readonly lastRefused: boolean;
  /** ISO 8601, when the last one was applied; null: the configuration is that of the start. */
  readonly appliedAt: string | null;
}

export class ReloadTally {
  status: ReloadStatus = { applied: 0, refused: 0, lastRefused: false, appliedAt: null };
  private readonly now: () => Date;

  constructor(now: () => Date = () => new Date()) {
    this.now = now;
  }

  note({ event }: Pick<ControlEvent, 'event'>): void {
    const { status } = this;
    if (event === 'reloaded')
      this.status = {
        ...status,
        applied: status.applied + 1,
        lastRefused: false,
        appliedAt: this.now().toISOString(),
      };
    else if (event === 'reload-refused')
      this.status = { ...status, refused: status.refused + 1, lastRefused: true };
  }
}
