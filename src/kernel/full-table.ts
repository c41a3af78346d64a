/**
 * Whether the kernel's table of connections is full (net.netfilter.nf_conntrack_max): by the packets that it drops because they can have
 * no entry. The health checks' own connections are among these, so while it lasts a backend that is held for down may be none.
 *
 * Does not know whose packets they were, nor that a table is nearly full.
 */
import { fullTableLookEveryMs, fullTableMs } from '../core/limits.ts';

export interface FullTableOptions {
  /** So far, modulo 2^32; undefined: not known. */
  readonly drops: () => number | undefined;
  /** So many more. */
  readonly dropped: (count: number) => void;
  readonly nowMs: () => number;
}

export class FullTable {
  private readonly options: FullTableOptions;
  private lookedAtMs = Number.NEGATIVE_INFINITY;
  private droppedAtMs = Number.NEGATIVE_INFINITY;
  private known: number | undefined;

  constructor(options: FullTableOptions) {
    this.options = options;
  }

  /** Call it often. */
  turn(): void {
    const { drops, dropped, nowMs } = this.options;
    if (nowMs() - this.lookedAtMs < fullTableLookEveryMs) return;
    this.lookedAtMs = nowMs();
    const now = drops();
    if (now === undefined) return;
    const more = (now - (this.known ?? now)) | 0;
    this.known = now;
    if (more <= 0) return;
    this.droppedAtMs = nowMs();
    dropped(more);
  }

  /** It is, or was a moment ago. */
  isFull(): boolean {
    return this.options.nowMs() - this.droppedAtMs < fullTableMs;
  }
}
