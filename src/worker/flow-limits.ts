/**
 * Who may open one more flow. All counts and rates are exact over all workers: totals are core/places.ts's, what a client and its
 * network have and how fast flows come core/client-table.ts's, which also knows what other instances have where a limit is summed. A limit that a reload brings counts flows opened from then on.
 */
import type { Address } from '../core/address.ts';
import { flowsReached, rateReached, untracked } from '../core/client-table.ts';
import type { Counters } from '../core/counters.ts';
import type { Flow } from '../core/flow.ts';
import { FlowPace } from '../core/flow-pace.ts';
import { maskAddress } from '../core/key.ts';
import { evictionTriesMax } from '../core/limits.ts';
import type { FlowLimit } from '../core/places.ts';
import type { BandwidthPlan } from '../core/plan.ts';
import type { ListenerView, Snapshot } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import type { Engine } from '../engine/engine.ts';
import { Evictions } from './evictions.ts';
import type { Counted } from './second-looks.ts';

export class FlowLimits {
  private readonly counters: Counters;
  private readonly evictions: Evictions;
  private snapshot: Snapshot | undefined;
  /** Where the client that was let in last, and its network, are counted. */
  private clientSlot = untracked;
  private subnetSlot = untracked;
  private readonly nowMs: () => number;
  private limits = new Map<number, FlowLimit>();

  constructor(counters: Counters, nowMs: () => number) {
    this.counters = counters;
    this.nowMs = nowMs;
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
    return this.judge(listener, client, 0, nowMs, engine);
  }

  /**
   * {@link admit} again, for one that was refused: what was in its way may have ended.
   * @param counted in which rates it has been counted
   */
  admitLater(flow: Flow, counted: Counted, nowMs: number, engine: Engine): TerminationCode | undefined {
    const { listener, client } = flow;
    return this.judge(listener, client, counted, nowMs, engine);
  }

  /** The same for a place that somebody has left: nobody is made to leave for it. */
  admitFreed({ listener, client }: Flow, counted: Counted, nowMs: number): TerminationCode | undefined {
    return this.judge(listener, client, counted, nowMs, undefined);
  }

  /** @param engine undefined: nobody is made to leave */
  private judge(
    listener: ListenerView,
    client: Address,
    counted: Counted,
    nowMs: number,
    engine: Engine | undefined,
  ): TerminationCode | undefined {
    const { clients } = this.counters;
    const { newFlowsPerSecond } = listener.plan.limits;
    this.clientSlot = untracked;
    this.subnetSlot = untracked;
    const isRated = counted < 2 && newFlowsPerSecond > 0;
    const refusal =
      this.clientRefusal(listener, client, counted === 0, nowMs) ??
      this.subnetRefusal(listener, client, counted < 2, nowMs) ??
      (isRated && !clients.passNewFlow(listener.id, newFlowsPerSecond, nowMs) ? 'limit-rate' : undefined) ??
      this.takePlace(listener, engine);
    if (refusal === undefined) return undefined;
    clients.give(this.clientSlot);
    clients.give(this.subnetSlot);
    return refusal;
  }

  private clientRefusal(
    { id, plan: { limits, bandwidth } }: ListenerView,
    client: Address,
    isNew: boolean,
    nowMs: number,
  ): TerminationCode | undefined {
    const { flowsPerClient, newFlowsPerClientPerSecond, datagramsPerClientPerSecond = 0 } = limits;
    const isCounted = flowsPerClient + newFlowsPerClientPerSecond + datagramsPerClientPerSecond > 0;
    if (!isCounted && bandwidth?.perClient === undefined) return undefined;
    const isSummed = limits.scope === 'cluster';
    const most = { flows: flowsPerClient, newFlowsPerSecond: newFlowsPerClientPerSecond, isSummed };
    const slot = this.counters.clients.take(id, 'client', client, most, isNew, nowMs);
    if (slot >= 0) this.clientSlot = slot;
    return slot === flowsReached ? 'limit-client' : slot === rateReached ? 'limit-rate' : undefined;
  }

  private subnetRefusal(
    { id, plan }: ListenerView,
    client: Address,
    isNew: boolean,
    nowMs: number,
  ): TerminationCode | undefined {
    const { perSubnet, scope } = plan.limits;
    if (perSubnet === undefined) return undefined;
    const { flows, newFlowsPerSecond } = perSubnet;
    const most = { flows, newFlowsPerSecond, isSummed: scope === 'cluster' };
    const subnet = maskAddress(client, perSubnet.prefixV4, perSubnet.prefixV6);
    const slot = this.counters.clients.take(id, 'subnet', subnet, most, isNew, nowMs);
    if (slot >= 0) this.subnetSlot = slot;
    return slot === flowsReached ? 'limit-subnet' : slot === rateReached ? 'limit-rate' : undefined;
  }

  private takePlace(listener: ListenerView, engine: Engine | undefined): TerminationCode | undefined {
    const limit = this.limitOf(listener);
    let reached = this.counters.places.takeFlow(limit);
    if (engine === undefined) return reached;
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

  /** It was let in just now. */
  opened(flow: Flow): void {
    flow.clientSlot = this.clientSlot;
    flow.subnetSlot = this.subnetSlot;
    const { id, plan } = flow.listener;
    const pace = plan.bandwidth && this.paceOf(flow, plan.bandwidth);
    if (plan.protocol === 'tcp') {
      flow.pace = pace;
      return;
    }
    this.counters.evictable.add(id);
    const { datagramsPerClientPerSecond: ofClient = 0, perSubnet, scope } = plan.limits;
    const ofSubnet = perSubnet?.datagramsPerSecond ?? 0;
    if (ofClient + ofSubnet === 0 && pace === undefined) return;
    const { clients } = this.counters;
    // Instances come and go while the flow is open.
    const own = scope === 'cluster' ? (rate: number) => clients.share(rate) : (rate: number) => rate;
    flow.mayPass = (isUp, bytes) => {
      const nowMs = this.nowMs();
      return (
        (!isUp || ofClient === 0 || clients.passDatagram(flow.clientSlot, own(ofClient), nowMs)) &&
        (!isUp || ofSubnet === 0 || clients.passDatagram(flow.subnetSlot, own(ofSubnet), nowMs)) &&
        (pace === undefined || pace.passes(isUp, bytes))
      );
    };
  }

  private paceOf({ listener, clientSlot }: Flow, bandwidth: BandwidthPlan): FlowPace {
    const shared = { clients: this.counters.clients, listenerId: listener.id, clientSlot };
    return new FlowPace(bandwidth, shared, this.nowMs);
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
    if (flow.isCarried) return places.giveCarried(id);
    if (plan.protocol === 'udp' && evictable.pay(id, flow.isProved)) places.disown(id);
    else places.giveFlow(id);
    this.counters.clients.give(flow.clientSlot);
    this.counters.clients.give(flow.subnetSlot);
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
