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
  /** The oldest first. */
  private readonly flips: Flip[] = [];

  add(flip: Flip): void {
    this.flips.push(flip);
    if (this.flips.length > flipsKeptMax) this.flips.shift();
  }

  list(): readonly Flip[] {
    return this.flips;
  }
}
