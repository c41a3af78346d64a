/** Counts what goes wrong with Redis by kind, and says each kind at most once a minute. */
import { faultOf, type RedisFault, redisFaults } from './errors.ts';
import type { ClusterWatcher } from './events.ts';
import { withoutPasswords } from './redis/secrets.ts';

const quietMs = 60_000;
/** Characters of what a server said. */
const messageCharactersMax = 200;

/** What went wrong, as it may be shown: short, and without the passwords that were sent. */
export function shownMessage(error: unknown): string {
  return withoutPasswords(error instanceof Error ? error.message : String(error)).slice(
    0,
    messageCharactersMax,
  );
}

export class Faults {
  readonly counts = Object.fromEntries(redisFaults.map((fault) => [fault, 0])) as Record<RedisFault, number>;
  last: { readonly fault: RedisFault; readonly message: string } | undefined;
  private readonly watch: ClusterWatcher;
  private readonly nowMs: () => number;
  private readonly said = new Map<RedisFault, { atMs: number; times: number }>();

  constructor(watch: ClusterWatcher, nowMs: () => number) {
    this.watch = watch;
    this.nowMs = nowMs;
  }

  note(error: unknown): RedisFault {
    const fault = faultOf(error);
    const message = shownMessage(error);
    this.counts[fault]++;
    this.last = { fault, message };
    const nowMs = this.nowMs();
    const before = this.said.get(fault);
    if (before !== undefined && nowMs - before.atMs < quietMs) {
      before.times++;
      return fault;
    }
    this.said.set(fault, { atMs: nowMs, times: 0 });
    this.watch({ event: 'cluster-fault', fault, message, times: (before?.times ?? 0) + 1 });
    return fault;
  }
}
