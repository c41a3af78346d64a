/**
 * The backends that are left out for a while because they failed real clients: since when, why, until when, and how often in a row.
 * Whether one may be is its table's business (backends.ts), and for how long core/ejection.ts's.
 */
import { type Fault, nextEjection, type PastEjections } from '../core/ejection.ts';
import type { PoolPlan } from '../core/plan.ts';
import { formatDuration } from '../core/quantities.ts';

interface Ejection {
  readonly fault: Fault;
  readonly times: number;
  readonly untilMs: number;
  readonly why: string;
  readonly timer: NodeJS.Timeout;
}

export interface EjectionStatus {
  readonly why: string;
  /** In a row. */
  readonly times: number;
  readonly leftMs: number;
}

/** Why one that fails clients is not left out: nobody else takes new clients, or enough of its pool are left out already. */
export type SparedFor = 'last' | 'share';

export interface SparedStatus {
  readonly for: SparedFor;
  /** What clients met. */
  readonly why: string;
}

interface Spared {
  readonly totals: Record<SparedFor, number>;
  readonly last: SparedStatus;
  /** So long it would have been left out, the first time. */
  readonly untilMs: number;
}

const noneSpared: Readonly<Record<SparedFor, number>> = { last: 0, share: 0 };

export class Ejections {
  private readonly nowMs: () => number;
  private readonly over: (backendId: number) => void;
  private readonly current = new Map<number, Ejection>();
  private readonly past = new Map<number, PastEjections>();
  /** Of each backend, as long as it is in the table. */
  private readonly totals = new Map<number, number>();
  private readonly sparings = new Map<number, Spared>();

  /** @param over the time of one is over, and it is not ejected any more */
  constructor(nowMs: () => number, over: (backendId: number) => void) {
    this.nowMs = nowMs;
    this.over = over;
  }

  get areAny(): boolean {
    return this.current.size > 0;
  }

  has(backendId: number): boolean {
    return this.current.has(backendId);
  }

  faultOf(backendId: number): Fault | undefined {
    return this.current.get(backendId)?.fault;
  }

  /** Why it is ejected, and for how long; undefined: it is not. */
  whyOf(backendId: number): string | undefined {
    return this.current.get(backendId)?.why;
  }

  /** Ejections so far. */
  total(backendId: number): number {
    return this.totals.get(backendId) ?? 0;
  }

  /** Clients fail there, and it is not left out. */
  spare(backendId: number, { ejectMs }: PoolPlan['passive'], { why }: Fault, because: SparedFor): void {
    const before = this.sparedTotals(backendId);
    const totals = { ...before, [because]: before[because] + 1 };
    this.sparings.set(backendId, { totals, last: { for: because, why }, untilMs: this.nowMs() + ejectMs });
  }

  spared(backendId: number): SparedStatus | null {
    const spared = this.sparings.get(backendId);
    return spared !== undefined && !this.has(backendId) && this.nowMs() < spared.untilMs ? spared.last : null;
  }

  /** How often it was. */
  sparedTotals(backendId: number): Readonly<Record<SparedFor, number>> {
    return this.sparings.get(backendId)?.totals ?? noneSpared;
  }

  status(backendId: number): EjectionStatus | null {
    const ejection = this.current.get(backendId);
    if (ejection === undefined) return null;
    const { fault, times, untilMs } = ejection;
    return { why: fault.why, times, leftMs: Math.max(0, Math.round(untilMs - this.nowMs())) };
  }

  begin(backendId: number, passive: PoolPlan['passive'], fault: Fault): void {
    const nowMs = this.nowMs();
    const { times, forMs } = nextEjection(this.past.get(backendId), passive, nowMs);
    const again = times === 1 ? '' : `, time ${times} in a row`;
    const timer = setTimeout(() => {
      this.end(backendId);
      this.over(backendId);
    }, forMs);
    this.current.set(backendId, {
      fault,
      times,
      untilMs: nowMs + forMs,
      why: `${fault.why}; left out for ${formatDuration(forMs)}${again}`,
      timer,
    });
    this.totals.set(backendId, this.total(backendId) + 1);
  }

  /** Before its time. The next one will be longer all the same. @returns whether it was ejected */
  end(backendId: number): boolean {
    const ejection = this.current.get(backendId);
    if (ejection === undefined) return false;
    clearTimeout(ejection.timer);
    this.current.delete(backendId);
    this.past.set(backendId, { times: ejection.times, endedAtMs: this.nowMs() });
    return true;
  }

  /** It is another server now. @returns whether it was ejected */
  forgive(backendId: number): boolean {
    const was = this.end(backendId);
    this.past.delete(backendId);
    return was;
  }

  /** It is gone. */
  remove(backendId: number): void {
    this.forgive(backendId);
    this.totals.delete(backendId);
    this.sparings.delete(backendId);
  }

  stop(): void {
    for (const { timer } of this.current.values()) clearTimeout(timer);
  }
}
