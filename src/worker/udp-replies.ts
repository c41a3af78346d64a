/**
 * Replies of open conversations, by backend: a server that answers some of its clients is not gone, whatever ICMP says to others (a
 * firewall that rejects one of them, a router on the way of one). Engines tell a conversation's first reply only, so the later ones
 * are counted here, over all open flows, when somebody asks; at most four times a second, however much fails.
 */
import type { Flow } from '../core/flow.ts';
import type { FlowRegistry } from './flow-registry.ts';

const countEveryMs = 250;

export class UdpReplies {
  private readonly registry: Pick<FlowRegistry, 'select'>;
  private readonly accounted: (backendId: number) => number;
  /** Of those that open flows have had replies from that are not accounted for yet. */
  private totals = new Map<number, number>();
  private countedAtMs = Number.NEGATIVE_INFINITY;

  /** @param accounted what this worker has put into the shared counters so far */
  constructor(registry: Pick<FlowRegistry, 'select'>, accounted: (backendId: number) => number) {
    this.registry = registry;
    this.accounted = accounted;
  }

  /** All replies of a backend to this worker, as they were a moment ago. Never less than before. */
  of(backendId: number, nowMs: number): number {
    if (nowMs - this.countedAtMs >= countEveryMs) this.count(nowMs);
    return this.totals.get(backendId) ?? this.accounted(backendId);
  }

  private count(nowMs: number): void {
    const totals = new Map<number, number>();
    this.registry.select(({ backend, datagramsOut, accounted }: Flow) => {
      const fresh = datagramsOut - accounted.datagramsOut;
      if (backend !== undefined && fresh > 0)
        totals.set(backend.id, (totals.get(backend.id) ?? this.accounted(backend.id)) + fresh);
      return false;
    }, 1);
    this.totals = totals;
    this.countedAtMs = nowMs;
  }
}
