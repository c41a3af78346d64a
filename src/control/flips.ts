/** When a backend came up and went down: its last changes, for whoever asks why it flaps. */
import type { DownReason } from '../core/down-reason.ts';
import { flipsKeptMax } from '../core/limits.ts';

export interface Flip {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly isUp: boolean;
  /** null: it came up. */
  readonly reason: DownReason | null;
  readonly why: string;
}

export class Flips {
  private flips: readonly Flip[] = [];

  add(flip: Flip): void {
    this.flips = [...this.flips, flip].slice(-flipsKeptMax);
  }

  /** The oldest first. It stays as it is: another list is made for the next change. */
  list(): readonly Flip[] {
    return this.flips;
  }
}
