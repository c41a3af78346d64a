/**
 * UDP backends that have fallen silent (`passive.no_reply`): clients send and nothing comes back, from nobody's conversation.
 *
 * Workers count datagrams for each backend; this looks at the counts once a second. That one client is not answered says
 * nothing, as a server may well ignore what it does not like; so all conversations of a backend count together, and when nothing came
 * back for long enough workers are asked how many clients sent: it takes several. And some protocols have no replies
 * (syslog, NetFlow): a pool none of whose backends has ever replied is left alone.
 */
import type { Fault } from '../core/ejection.ts';
import { accountedWithinMs } from '../core/limits.ts';
import type { PoolPlan } from '../core/plan.ts';
import { formatDuration } from '../core/quantities.ts';
import type { Ids } from './ids.ts';

const lookEveryMs = 1_000;

export interface WatchedPool {
  readonly backendIds: readonly number[];
  readonly noReply: NonNullable<PoolPlan['passive']['noReply']>;
}

export interface SilenceOptions {
  readonly nowMs: () => number;
  /** Datagrams to the backend and back, since this process began. */
  readonly datagrams: (backendId: number) => { readonly sent: number; readonly replies: number };
  /** How many clients were seen to send to it since then, counted up to `most` or a little beyond. Never rejects. */
  readonly sendersTo: (backendId: number, sinceMs: number, most: number) => Promise<number>;
  /** What was sent was not answered. */
  readonly silent: (backendId: number, fault: Fault) => void;
}

interface Seen {
  readonly replies: number;
  /** Sent when the last reply had been noticed. */
  readonly sent: number;
  /** When something was noticed that had been sent after it. */
  readonly sinceMs: number | undefined;
}

type Silence = Seen & { readonly sinceMs: number };

export class SilenceWatch {
  private readonly options: SilenceOptions;
  private pools: readonly WatchedPool[] = [];
  private readonly seen = new Map<number, Seen>();
  /** Workers are being asked about them. */
  private readonly asking = new Set<number>();
  private timer: NodeJS.Timeout | undefined;

  constructor(options: SilenceOptions) {
    this.options = options;
  }

  use(pools: readonly WatchedPool[]): void {
    this.pools = pools;
    if (pools.length === 0) this.stop();
    else this.timer ??= setInterval(() => this.look(), lookEveryMs);
    const watched = new Set(pools.flatMap(({ backendIds }) => backendIds));
    for (const id of this.seen.keys()) if (!watched.has(id)) this.seen.delete(id);
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private look(): void {
    const nowMs = this.options.nowMs();
    for (const { backendIds, noReply } of this.pools) {
      const counts = backendIds.map((id) => ({ id, ...this.options.datagrams(id) }));
      const hasReplies = counts.some(({ replies }) => replies > 0);
      for (const { id, sent, replies } of counts) {
        const before = this.seen.get(id);
        if (before === undefined || replies !== before.replies) {
          this.seen.set(id, { replies, sent, sinceMs: undefined });
          continue;
        }
        const unanswered = sent - before.sent;
        if (unanswered === 0) continue;
        const sinceMs = before.sinceMs ?? nowMs;
        // What came in just now may not be counted yet.
        const isLong = nowMs - sinceMs >= noReply.withinMs + accountedWithinMs;
        const silence: Silence = { replies: before.replies, sent: before.sent, sinceMs };
        this.seen.set(id, silence);
        if (hasReplies && isLong && unanswered >= noReply.datagrams) void this.ask(id, silence, noReply);
      }
    }
  }

  /** Whether several clients meet it. */
  private async ask(id: number, silence: Silence, noReply: WatchedPool['noReply']): Promise<void> {
    if (this.asking.has(id)) return;
    this.asking.add(id);
    const senders = await this.options.sendersTo(id, silence.sinceMs, noReply.clients);
    this.asking.delete(id);
    const { sent, replies } = this.options.datagrams(id);
    const isOver = replies !== silence.replies || this.seen.get(id)?.sinceMs !== silence.sinceMs;
    if (senders < noReply.clients || isOver || this.timer === undefined) return;
    this.seen.set(id, { replies, sent, sinceMs: undefined });
    const why = `no reply to ${sent - silence.sent} datagrams within ${formatDuration(noReply.withinMs)}`;
    this.options.silent(id, { protocol: 'udp', cause: 'silent', why });
  }
}

/** The pools that want it. */
export function watchedPools(pools: readonly PoolPlan[], ids: Pick<Ids, 'backend'>): WatchedPool[] {
  return pools.flatMap(({ name, backends, passive: { noReply } }) =>
    noReply === undefined
      ? []
      : [{ noReply, backendIds: backends.map((backend) => ids.backend(name, backend.name)) }],
  );
}
