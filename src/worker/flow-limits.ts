/**
 * Who may open one more flow. Totals over all workers are exact (core/places.ts); what one client holds and
 * how fast flows come is known per worker, and each worker enforces its share of a rate. With several
 * workers a client's connections are spread over them by the kernel, so `flows_per_client` is exact with one worker and
 * an upper bound of workers x limit with more.
 */
import type { Address } from '../core/address.ts';
import type { Counters } from '../core/counters.ts';
import type { Flow } from '../core/flow.ts';
import type { ListenerView } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import type { RoomMaker } from '../engine/engine.ts';

/** A bucket that fills at `rate` tokens a second up to one second's worth. */
interface Bucket {
  tokens: number;
  filledAtMs: number;
}

/** Clients whose rate is remembered, of all listeners together; the longest unseen is forgotten first. */
const bucketsMax = 65_536;

export class FlowLimits {
  private readonly counters: Counters;
  private readonly flowsOfClient = new Map<string, number>();
  private readonly clientBuckets = new Map<string, Bucket>();
  private readonly listenerBuckets = new Map<number, Bucket>();

  constructor(counters: Counters) {
    this.counters = counters;
  }

  /**
   * Takes a place for one more flow, which `closed` gives back.
   * What the client may do by itself comes first: one that may not come in must not make others leave.
   * @param room asked to make room when a total is reached
   * @returns the code of the limit that is reached, or undefined: come in.
   */
  admit(
    listener: ListenerView,
    client: Address,
    flowsMax: number,
    nowMs: number,
    room: RoomMaker | undefined,
  ): TerminationCode | undefined {
    const { flowsPerClient } = listener.plan.limits;
    if (flowsPerClient > 0) {
      const open = this.flowsOfClient.get(clientKey(listener, client)) ?? 0;
      if (open >= flowsPerClient) return 'limit-client';
    }
    const refusal = this.rateRefusal(listener, client, nowMs);
    if (refusal !== undefined) return refusal;
    const total = this.take(listener, flowsMax);
    if (total === undefined || room?.makeRoom(total) !== true) return total;
    return this.take(listener, flowsMax);
  }

  private take({ id, plan }: ListenerView, flowsMax: number): 'limit-flows' | 'limit-listener' | undefined {
    const { flows } = plan.limits;
    return this.counters.places.takeFlow(id, flows === 0 ? Number.POSITIVE_INFINITY : flows, flowsMax);
  }

  opened(flow: Flow): void {
    if (flow.listener.plan.limits.flowsPerClient === 0) return;
    const key = clientKey(flow.listener, flow.client);
    this.flowsOfClient.set(key, (this.flowsOfClient.get(key) ?? 0) + 1);
  }

  closed(flow: Flow): void {
    this.counters.places.giveFlow(flow.listener.id);
    if (flow.listener.plan.limits.flowsPerClient === 0) return;
    const key = clientKey(flow.listener, flow.client);
    const open = (this.flowsOfClient.get(key) ?? 1) - 1;
    if (open > 0) this.flowsOfClient.set(key, open);
    else this.flowsOfClient.delete(key);
  }

  private rateRefusal(listener: ListenerView, client: Address, nowMs: number): TerminationCode | undefined {
    const { newFlowsPerSecond, newFlowsPerClientPerSecond } = listener.plan.limits;
    const workers = this.counters.shared.workers;
    if (newFlowsPerClientPerSecond > 0) {
      const key = clientKey(listener, client);
      // A client stays on one worker only by chance; its own rate is small, so it is not divided.
      if (!take(this.clientBuckets, key, newFlowsPerClientPerSecond, nowMs)) return 'limit-rate';
      if (this.clientBuckets.size > bucketsMax)
        this.clientBuckets.delete(this.clientBuckets.keys().next().value!);
    }
    if (newFlowsPerSecond > 0) {
      const share = Math.max(1, newFlowsPerSecond / workers);
      if (!take(this.listenerBuckets, listener.id, share, nowMs)) return 'limit-rate';
    }
    return undefined;
  }
}

function clientKey(listener: ListenerView, client: Address): string {
  return `${listener.id} ${client.ip}`;
}

function take<K>(buckets: Map<K, Bucket>, key: K, rate: number, nowMs: number): boolean {
  const bucket = buckets.get(key) ?? { tokens: rate, filledAtMs: nowMs };
  bucket.tokens = Math.min(rate, bucket.tokens + ((nowMs - bucket.filledAtMs) / 1000) * rate);
  bucket.filledAtMs = nowMs;
  const allowed = bucket.tokens >= 1;
  if (allowed) bucket.tokens -= 1;
  // Set anew so that the map's order is the order of last use.
  buckets.delete(key);
  buckets.set(key, bucket);
  return allowed;
}
