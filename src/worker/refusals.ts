/**
 * Clients that were turned away, summed up for control by listener and code: the first is told at once, then once a
 * second how many more there were. A flood of them must cost an addition each, not a record each.
 */
import type { Address } from '../core/address.ts';
import { refusalsToldEveryMs } from '../core/limits.ts';
import type { ListenerView } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import { clientText } from './flow-records.ts';
import type { MessageFromWorker } from './messages-from-worker.ts';

interface Refusal {
  readonly listener: string;
  readonly code: TerminationCode;
  /** Since it was told last. */
  count: number;
  /** The first of those. */
  client: Address;
  toldAtMs: number;
}

export class Refusals {
  private readonly post: (message: MessageFromWorker) => void;
  private readonly byListener = new Map<number, Map<TerminationCode, Refusal>>();
  private readonly untold = new Set<Refusal>();

  constructor(post: (message: MessageFromWorker) => void) {
    this.post = post;
  }

  add({ id, plan }: ListenerView, code: TerminationCode, client: Address, nowMs: number): void {
    const refusal = this.find(id, code) ?? this.put(id, plan.name, code, client);
    if (refusal.count++ === 0) refusal.client = client;
    if (nowMs - refusal.toldAtMs >= refusalsToldEveryMs) this.tell(refusal, nowMs);
    else this.untold.add(refusal);
  }

  /** Call it often: tells what is due. */
  flush(nowMs: number): void {
    for (const refusal of this.untold) {
      if (nowMs - refusal.toldAtMs >= refusalsToldEveryMs) this.tell(refusal, nowMs);
    }
  }

  private find(listenerId: number, code: TerminationCode): Refusal | undefined {
    return this.byListener.get(listenerId)?.get(code);
  }

  private put(listenerId: number, listener: string, code: TerminationCode, client: Address): Refusal {
    const refusal = { listener, code, count: 0, client, toldAtMs: Number.NEGATIVE_INFINITY };
    const codes = this.byListener.get(listenerId) ?? new Map<TerminationCode, Refusal>();
    this.byListener.set(listenerId, codes.set(code, refusal));
    return refusal;
  }

  private tell(refusal: Refusal, nowMs: number): void {
    const { listener, code, count, client } = refusal;
    this.post({ type: 'refused', listener, code, count, client: clientText(client) });
    refusal.count = 0;
    refusal.toldAtMs = nowMs;
    this.untold.delete(refusal);
  }
}
