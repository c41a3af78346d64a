/**
 * Who may open one more flow. Totals over all workers are exact (core/places.ts); what one client holds and
 * how fast flows come is known per worker, and each worker enforces its share of a rate. With several
 * workers a client's connections are spread over them by the kernel, so `flows_per_client` is exact with one worker and
 * an upper bound of workers x limit with more.
 */
import type { Address } from '../core/address.ts';
import type { Counters } from '../core/counters.ts';
import type { Flow } from '../core/flow.ts';
import { evictionTriesMax } from '../core/limits.ts';
import type { FlowLimit } from '../core/places.ts';
import type { ListenerView, Snapshot } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import type { Engine } from '../engine/engine.ts';
import { Evictions } from './evictions.ts';

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

  private readonly evictions: Evictions;
  private snapshot: Snapshot | undefined;
  private limits = new Map<number, FlowLimit>();

  constructor(counters: Counters) {
    this.counters = counters;
    this.evictions = new Evictions(counters.places, counters.evictable);
  }

  useSnapshot(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.evictions.useListeners(snapshot.listeners);
    this.limits = new Map(
      snapshot.listeners.map((view, i) => [
        view.id,
        limitOf(view, snapshot, snapshot.shares.reserves[i] ?? 0),
      ]),
    );
  }

  /**
   * Takes a place for one more flow, which `closed` gives back.
   * What the client may do by itself comes first: one that may not come in must not make others leave.
   * @param engine asked to make room when a total is reached
   * @returns the code of the limit that is reached, or undefined: come in.
   */
  admit(listener: ListenerView, client: Address, nowMs: number, engine: Engine): TerminationCode | undefined {
    return (
      this.clientRefusal(listener, client) ??
      this.rateRefusal(listener, client, nowMs) ??
      this.takePlace(listener, engine)
    );
  }

  /**
   * {@link admit} again, for one that was refused: what was in its way may have ended.
   * @param isCounted it has been counted in the rates
   */
  admitLater(flow: Flow, isCounted: boolean, nowMs: number, engine: Engine): TerminationCode | undefined {
    const { listener, client } = flow;
    const rate = isCounted ? () => undefined : () => this.rateRefusal(listener, client, nowMs);
    return this.clientRefusal(listener, client) ?? rate() ?? this.takePlace(listener, engine);
  }

  /** The same for a place that somebody has left: nobody is made to leave for it. */
  admitFreed({ listener, client }: Flow, isCounted: boolean, nowMs: number): TerminationCode | undefined {
    const rate = isCounted ? () => undefined : () => this.rateRefusal(listener, client, nowMs);
    return (
      this.clientRefusal(listener, client) ?? rate() ?? this.counters.places.takeFlow(this.limitOf(listener))
    );
  }

  private clientRefusal(listener: ListenerView, client: Address): TerminationCode | undefined {
    const { flowsPerClient } = listener.plan.limits;
    if (flowsPerClient === 0) return undefined;
    const open = this.flowsOfClient.get(clientKey(listener, client)) ?? 0;
    return open >= flowsPerClient ? 'limit-client' : undefined;
  }

  private takePlace(listener: ListenerView, engine: Engine): TerminationCode | undefined {
    const limit = this.limitOf(listener);
    let reached = this.counters.places.takeFlow(limit);
    for (let tries = 0; reached !== undefined && tries < evictionTriesMax; tries++) {
      if (!this.evictions.makeRoomFor(listener, reached, engine)) return reached;
      reached = this.counters.places.takeFlow(limit);
    }
    return reached;
  }

  private limitOf(listener: ListenerView): FlowLimit {
    // One that the plan in use does not have any more takes who was in its queue, and has nothing of its own.
    return this.limits.get(listener.id) ?? limitOf(listener, this.snapshot!, 0);
  }

  opened(flow: Flow): void {
    if (flow.listener.plan.protocol === 'udp') this.counters.evictable.add(flow.listener.id);
    if (flow.listener.plan.limits.flowsPerClient === 0) return;
    const key = clientKey(flow.listener, flow.client);
    this.flowsOfClient.set(key, (this.flowsOfClient.get(key) ?? 0) + 1);
  }

  /** Somebody has proved to be behind a UDP conversation. @returns false: others have taken all such places over */
  proved(flow: Flow): boolean {
    flow.isProved ||= this.counters.evictable.prove(flow.listener.id);
    return flow.isProved;
  }

  /** Ends conversations whose places others have taken over. @returns whether more is to be done */
  payOthers(engine: Engine, most: number): boolean {
    return this.evictions.pay(engine, most);
  }

  closed(flow: Flow): void {
    const { places, evictable } = this.counters;
    const { id, plan } = flow.listener;
    if (plan.protocol === 'udp' && evictable.pay(id, flow.isProved)) places.disown(id);
    else places.giveFlow(id);
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

function limitOf({ id, plan }: ListenerView, { flowsMax, shares }: Snapshot, reserve: number): FlowLimit {
  const { flows } = plan.limits;
  const { commonMax, udpCommonMax } = shares;
  const listenerMax = flows === 0 ? Number.POSITIVE_INFINITY : flows;
  return {
    listenerId: id,
    isUdp: plan.protocol === 'udp',
    listenerMax,
    reserve,
    flowsMax,
    commonMax,
    udpCommonMax,
  };
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
