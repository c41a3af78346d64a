/**
 * The director: the worker's side of the engine contract. It decides for each flow (may it come in, which
 * backend, what a failure means) and accounts for it; it touches no socket and keeps no timer. `tick` does what
 * is not owed to one event: reports, ending flows a few at a time, keeping the pins of open flows alive.
 */
import type { Address } from '../core/address.ts';
import { formatAddress } from '../core/address-text.ts';
import type { BackendStates } from '../core/backend-states.ts';
import { Chooser, pinIdOf } from '../core/choose.ts';
import type { Counters } from '../core/counters.ts';
import type { DialTable } from '../core/dial-table.ts';
import { targetAt } from '../core/dial-target.ts';
import { type ChoiceReason, Flow } from '../core/flow.ts';
import type { Identity } from '../core/identity.ts';
import { keyOf } from '../core/key.ts';
import {
  accountedWithinMs,
  evictionsPerTurnMax,
  oneWayDatagramsMin,
  oneWayMsMin,
  turnAwayAfterMs,
  unconfirmedPinTtlMs,
  waitingFlowsMax,
} from '../core/limits.ts';
import type { PinTable } from '../core/pins/table.ts';
import type { Bind, ListenerPlan, UpstreamPlan } from '../core/plan.ts';
import { createPolicy, samePolicy } from '../core/policy/create.ts';
import { mustTell } from '../core/proxy-peers.ts';
import type { RouteFound } from '../core/routes.ts';
import { ServerAddresses } from '../core/server-addresses.ts';
import type { BackendView, ListenerView, PoolView, Snapshot } from '../core/snapshot.ts';
import type { TerminationCode } from '../core/termination.ts';
import { isSameTarget, isSameWay, type Way } from '../core/way.ts';
import type { Identifier } from '../engine/arrival.ts';
import type { DialFailure, DropReason, EarlyBreak, Engine, EngineHost, Preface } from '../engine/engine.ts';
import { isTooOld } from './connection-age.ts';
import { Endings } from './endings.ts';
import { FlowLimits } from './flow-limits.ts';
import { FlowPins } from './flow-pins.ts';
import { FlowRegistry } from './flow-registry.ts';
import { FlowReports } from './flow-reports.ts';
import { matcher, wayOf } from './flow-selector.ts';
import { Gate } from './gate.ts';
import { clientOfDatagram, prefaceOf } from './identify/datagram-header.ts';
import { identifierOf } from './identify/identify.ts';
import { withWords } from './identify/payload.ts';
import { type Led, Routing } from './identify/routing.ts';
import type { MessageFromWorker, WayCount } from './messages-from-worker.ts';
import type { FlowSelector } from './messages-to-worker.ts';
import { openingOf, withoutUntold } from './opening.ts';
import { QuicIds } from './quic-ids.ts';
import { Rebinding } from './rebinding.ts';
import { Refusals } from './refusals.ts';
import { ReturningFlows } from './returning-flows.ts';
import { SecondLooks, type TakeFreed } from './second-looks.ts';
import { sendersTo } from './senders.ts';
import { SuspectBackends } from './suspects.ts';
import { UdpReplies } from './udp-replies.ts';

export interface DirectorOptions {
  /** Number of the worker, from 0. */
  readonly worker: number;
  readonly pins: PinTable;
  readonly states: BackendStates;
  readonly counters: Counters;
  readonly dials: DialTable;
  readonly nowMs: () => number;
  readonly post: (message: MessageFromWorker, transfer?: ArrayBuffer[]) => void;
}

const visitMsMax = 1_000;

const dropCounter = {
  'queue-full': 'droppedQueueFull',
  'too-long': 'droppedTooLong',
  'waiting-full': 'droppedWaiting',
  'unknown-source': 'droppedUnknown',
  shutdown: 'droppedShutdown',
  rate: 'droppedRate',
  'receive-buffer-full': 'droppedReceiveBuffer',
  'backend-receive-buffer-full': 'droppedBackendBuffer',
} as const;

export class Director implements EngineHost {
  /** Set once, right after the engine has been made with this director as its host. */
  engine!: Engine;
  readonly registry = new FlowRegistry();
  private readonly options: DirectorOptions;
  private readonly gate = new Gate();
  private readonly limits: FlowLimits;
  private readonly flowPins: FlowPins;
  private readonly reports: FlowReports;
  private readonly refusals: Refusals;
  private readonly suspects: SuspectBackends;
  private readonly returning: ReturningFlows;
  private snapshot: Snapshot | undefined;
  private choosers = new Map<number, Chooser>();
  private poolsByName = new Map<string, PoolView>();
  private readonly routing = new Routing();
  private readonly servers = new ServerAddresses();
  /** A pool has a backend that may lead back to us. */
  private mayLeadBack = false;
  /** They are told a moment later. */
  private readonly turnedAway = new Set<Flow>();
  private readonly toldLeadingBack = new Set<number>();
  /** They have no place yet. */
  private readonly secondLooks = new SecondLooks();
  private readonly endings: Endings;
  /** A pool bounds the age of its connections. */
  private someGrowTooOld = false;
  /** Flows that wait for the shared table's word on their client's pin. */
  private readonly waiting = new Map<number, Flow>();
  private readonly rebinding = new Rebinding();
  private readonly quicIds: QuicIds;
  private nextFlowId = 1;
  /** Of ids that are unlike those of other workers and instances. */
  private readonly idPrefix: string;
  private pinsKeptAtMs = 0;
  /** Time between two visits to open flows, and how many it takes to have seen all: no pin or byte count is older. */
  private visitMs = visitMsMax;
  private visitsPerRound = 1;
  /** Given up while they were waited for, to make room: they go on at the next turn. */
  private readonly settled: Flow[] = [];
  private throwInNextFlow = false;

  constructor(options: DirectorOptions) {
    this.options = options;
    this.idPrefix = `${Math.floor(Math.random() * 2 ** 48).toString(36)}-${options.worker}`;
    this.limits = new FlowLimits(options.counters, options.nowMs);
    this.flowPins = new FlowPins(options.pins);
    this.quicIds = new QuicIds(options.pins, this.flowPins, this.rebinding);
    this.reports = new FlowReports(options.worker, options.post);
    this.refusals = new Refusals(options.post);
    const replies = new UdpReplies(this.registry, (id) => options.counters.ownBackend(id, 'datagramsOut'));
    this.suspects = new SuspectBackends(options.post, replies);
    this.endings = new Endings({
      registry: this.registry,
      end: (flow, code) => this.end(flow, code),
      nowMs: options.nowMs,
      random: Math.random,
    });
    this.returning = new ReturningFlows(options.counters.shared.workers, ({ listener }, backend) =>
      options.post({ type: 'loop-seen', backendId: backend.id, listener: listener.plan.name }),
    );
  }

  useSnapshot(snapshot: Snapshot): void {
    const { states, counters, pins } = this.options;
    const previous = this.choosers;
    this.choosers = new Map(
      snapshot.pools.map((pool) => {
        const kept = previous.get(pool.id);
        if (kept?.pool.version === pool.version) return [pool.id, kept];
        for (const { id, target } of pool.backends) {
          if (!isSameTarget(kept?.backend(id)?.target, target)) this.suspects.moved(id);
        }
        const hasPolicy = kept !== undefined && samePolicy(kept.pool, pool);
        const policy = hasPolicy ? kept.policy : createPolicy(pool, Math.random);
        return [pool.id, new Chooser(pool, policy, states, counters, pins)];
      }),
    );
    this.snapshot = snapshot;
    this.poolsByName = new Map(snapshot.pools.map((pool) => [pool.plan.name, pool]));
    this.limits.useSnapshot(snapshot);
    this.secondLooks.most = snapshot.secondLooksMax;
    const ttlMsMin = Math.min(...snapshot.listeners.map((listener) => listener.plan.affinity.ttlMs));
    this.visitMs = Math.min(visitMsMax, ttlMsMin / 4);
    this.visitsPerRound = Math.max(1, Math.min(10, Math.floor(ttlMsMin / 4000)));
    const isCountedSoon = snapshot.pools.some(({ plan }) => plan.passive.noReply !== undefined);
    if (isCountedSoon) this.visitMs = Math.min(this.visitMs, accountedWithinMs / 2 / this.visitsPerRound);
    this.reports.log = snapshot.flowLog;
    if (this.servers.learn(snapshot)) this.endServers();
    this.returning.learn(snapshot);
    this.mayLeadBack = snapshot.pools.some(({ backends }) =>
      backends.some(({ loop }) => loop === 'may-lead-back'),
    );
    this.toldLeadingBack.clear();
    if (this.gate.useListeners(snapshot.listeners)) this.endDenied();
    this.someGrowTooOld = snapshot.pools.some(({ plan }) => plan.maxConnectionAgeMs > 0);
  }

  /** An address of a UDP listener has been bound, with the port it really has. */
  listens(listenerId: number, door: string, bind: Bind): void {
    this.servers.listens(listenerId, door, bind);
    this.endServers();
  }

  /** Addresses of a listener are given up; undefined: all of them. */
  unlistens(listenerId: number, doors: readonly string[] | undefined): void {
    this.servers.unlistens(listenerId, doors);
  }

  listener(id: number): ListenerView | undefined {
    return this.snapshot?.listeners.find((listener) => listener.id === id);
  }

  // ---- the engine's questions -------------------------------------------------------------------------------

  identify(listener: ListenerView, peer: Address, local: Address): Identifier | undefined {
    const mayComeIn = (client: Address): boolean =>
      listener.access === undefined || !this.gate.denies(listener, client);
    const identifier = identifierOf(listener.plan, peer, local, this.routing, mayComeIn);
    if (identifier !== undefined) this.options.counters.addListener(listener.id, 'arrivals', 1);
    return identifier;
  }

  preface({ id, plan }: ListenerView, peer: Address, datagram: Uint8Array): Preface | 'dropped' | undefined {
    const preface = plan.proxyProtocol && prefaceOf(plan.proxyProtocol, peer, datagram);
    if (preface !== 'proxy-header') return preface;
    this.options.counters.addListener(id, 'droppedProxyHeader', 1);
    return 'dropped';
  }

  continues(
    listener: ListenerView,
    peer: Address,
    local: Address,
    datagram: Uint8Array,
  ): Flow | 'dropped' | undefined {
    const { proxyProtocol } = listener.plan;
    // A proxy's address is nobody's client's.
    if (proxyProtocol !== undefined && mustTell(proxyProtocol, peer, false)) return undefined;
    const flow = this.rebinding.find(listener, local, datagram);
    if (flow === undefined || this.servers.has(peer, local)) return undefined;
    if (listener.access !== undefined && this.gate.denies(listener, peer)) return undefined;
    const mayTry = this.rebinding.mayTry(listener, this.options.nowMs());
    this.options.counters.addListener(listener.id, mayTry ? 'rebindTries' : 'droppedRebind', 1);
    return mayTry ? flow : 'dropped';
  }

  moved(flow: Flow, client: Address): void {
    flow.movedTo = client;
    this.options.counters.addListener(flow.listener.id, 'rebinds', 1);
  }

  answered(flow: Flow, reply: Uint8Array): void {
    this.quicIds.answered(flow, reply, this.options.nowMs());
  }

  unidentified(listener: ListenerView, peer: Address, code: TerminationCode): void {
    this.options.counters.addListener(listener.id, 'arrivalsOver', 1);
    this.options.counters.addEnd(listener.id, code);
    // Who connects and leaves again (a check of whether we are there) was not refused.
    if (code !== 'client-closed' && code !== 'client-reset')
      this.refused(listener, code, peer, this.options.nowMs());
  }

  open(
    listener: ListenerView,
    client: Address,
    local: Address,
    identity?: Identity,
    first?: Uint8Array,
  ): Flow | TerminationCode {
    const { counters } = this.options;
    const { proxyProtocol } = listener.plan;
    const told = first && proxyProtocol && clientOfDatagram(proxyProtocol, client, local, first);
    if (told === undefined) {
      const flow = this.admit(listener, client, local, identity, first);
      const isFound = first !== undefined && listener.plan.rebind !== undefined;
      if (isFound && typeof flow !== 'string') this.rebinding.opened(flow, first);
      // Not before it is counted as a flow: a shutdown waits for both.
      if (identity !== undefined) counters.addListener(listener.id, 'arrivalsOver', 1);
      return flow;
    }
    if (told === 'proxy-header') {
      counters.addListener(listener.id, 'droppedProxyHeader', 1);
      return told;
    }
    const words = first!.subarray(told.consumed);
    const flow = this.admit(listener, told.client, told.local, told.identity, words);
    if (typeof flow === 'string') return flow;
    flow.consumed = told.consumed;
    if (proxyProtocol?.udp !== 'every') flow.preface = new Uint8Array(first!.subarray(0, told.consumed));
    return flow;
  }

  /** @param words UDP: what the client says in its first datagram */
  private admit(
    listener: ListenerView,
    client: Address,
    local: Address,
    identity: Identity | undefined,
    words: Uint8Array | undefined,
  ): Flow | TerminationCode {
    const { counters } = this.options;
    const { peer, peerLocal } = identity ?? { peer: client, peerLocal: local };
    if (listener.plan.protocol === 'udp' && this.servers.has(peer, peerLocal)) {
      counters.addListener(listener.id, 'droppedServerSource', 1);
      return 'loop';
    }
    const nowMs = this.options.nowMs();
    const { plan } = listener;
    const isDenied = listener.access !== undefined && this.gate.denies(listener, client);
    const led =
      plan.routes === undefined || isDenied ? undefined : this.led(listener, client, identity, words, nowMs);
    const poolId = led === undefined ? listener.poolId : (this.poolCalled(led.route?.pool)?.id ?? 0);
    // Nobody is made to leave for one who finds no backend.
    const refusal =
      // The order to end its flows has been carried out by now.
      (identity !== undefined && this.listener(listener.id) === undefined ? 'listener-removed' : undefined) ??
      (isDenied ? 'denied' : undefined) ??
      (poolId === 0 && led?.speech === undefined ? 'no-route' : undefined) ??
      this.hopeless(plan, poolId, peer, peerLocal) ??
      this.limits.admit(listener, client, nowMs, this.engine);
    if (refusal !== undefined && !this.secondLooks.isWorthOne(listener.plan.protocol, refusal)) {
      this.refused(listener, refusal, client, nowMs);
      counters.addEnd(listener.id, refusal);
      return refusal;
    }
    const { affinity } = plan;
    const spoken = led?.spoken;
    const known = spoken === undefined ? identity : { peer, peerLocal, ...identity, spoken };
    const told = words === undefined ? known : withWords(affinity.key, peer, peerLocal, known, words);
    const isByQuicId = affinity.key === 'quic-id' && words !== undefined;
    const payload = isByQuicId ? this.quicIds.idOf(words, this.scopeOf(poolId), nowMs) : undefined;
    const key = keyOf(client, affinity, payload === undefined ? told : { peer, peerLocal, ...told, payload });
    const flow = new Flow(this.nextFlowId++, listener, client, local, key, nowMs, identity);
    if (isByQuicId) flow.learnsIds = true;
    if (led !== undefined) this.take(flow, led, nowMs);
    if (refusal === undefined) this.limits.opened(flow);
    else this.secondLooks.add(flow, refusal);
    this.registry.add(flow);
    return flow;
  }

  /** Where a client of a listener with routes belongs. */
  private led(
    { plan, poolIds = [] }: ListenerView,
    client: Address,
    identity: Identity | undefined,
    words: Uint8Array | undefined,
    nowMs: number,
  ): Led {
    const led = this.routing.lead(plan, client, identity, words);
    const saysNothing = led.speech === undefined && led.spoken === undefined;
    if (plan.affinity.key !== 'quic-id' || words === undefined || !saysNothing) return led;
    const pools = poolIds.flatMap((id) => this.choosers.get(id)?.pool ?? []);
    const pool = this.quicIds.poolOf(words, pools, nowMs);
    // Routes by `clients` keep others out, whatever id they say.
    const mayGo =
      pool !== undefined && this.routing.mayLead(plan, client, led.route?.number ?? 0, pool.plan.name);
    return mayGo ? { ...led, route: { number: 0, pool: pool.plan.name } } : led;
  }

  /** What is known of where a flow belongs. */
  private take(flow: Flow, { route, spoken, speech }: Led, nowMs: number): void {
    flow.spoken = spoken;
    if (speech === undefined) this.lead(flow, route!);
    else {
      flow.poolId = 0;
      flow.poolName = '';
      const givenUp = this.routing.wait(flow, speech, nowMs);
      if (givenUp === undefined) return;
      this.settle(...givenUp);
      // Not from within: the engine is about to open another one.
      this.settled.push(givenUp[0]);
    }
  }

  /**
   * A client whom the kernel has let in and led to this backend by itself (kernel/): it is entered as it is, whatever the limits.
   * UDP: it is served from here on. TCP: `dialed` follows, or {@link silent}.
   */
  enter(listener: ListenerView, client: Address, local: Address, pool: PoolView, backend: BackendView): Flow {
    const { counters } = this.options;
    const nowMs = this.options.nowMs();
    const key = keyOf(client, listener.plan.affinity);
    const flow = new Flow(this.nextFlowId++, listener, client, local, key, nowMs);
    flow.isCarried = true;
    flow.lead(pool);
    flow.pinScope = pool.scope?.id ?? pool.id;
    flow.backend = backend;
    flow.reason = this.pinCarried(flow, nowMs);
    flow.isCounted = true;
    counters.places.takeCarried(listener.id);
    counters.places.takeBackend(backend.id, Number.POSITIVE_INFINITY);
    counters.addListener(listener.id, 'opened', 1);
    this.registry.add(flow);
    if (listener.plan.protocol === 'udp') this.dialed(flow);
    return flow;
  }

  /** Its client's pin is where the kernel has led it, unless it has one that is followed: the kernel hears of that one a moment later. */
  private pinCarried({ listener, pinScope, poolId, key, backend }: Flow, nowMs: number): ChoiceReason {
    const { pins } = this.options;
    const { affinity } = listener.plan;
    if (affinity.key === 'none') return 'policy';
    const id = pinIdOf(backend!);
    const claimTtlMs = Math.min(affinity.ttlMs, unconfirmedPinTtlMs);
    const pinnedId = pins.touch(pinScope, key, claimTtlMs, nowMs);
    if (pinnedId === id) return 'pin';
    const chooser = this.choosers.get(poolId);
    const pinned = chooser?.pinned(pinnedId);
    if (pinnedId === 0) {
      // Over TCP nobody is there until the handshake is done ({@link dialed}): a SYN with a forged source makes no pin.
      if (listener.plan.protocol === 'udp') pins.claim(pinScope, key, id, claimTtlMs, nowMs, 'policy');
    } else if (
      chooser?.isElsewhere(pinnedId) !== true &&
      (pinned === undefined || !chooser!.follows(pinned, []))
    )
      pins.move(pinScope, key, pinnedId, id, claimTtlMs, nowMs, 'policy');
    return 'policy';
  }

  /** Clients whom the kernel has turned away by itself. */
  turnedAwayByKernel({ id }: ListenerView, code: TerminationCode, count: number): void {
    this.options.counters.addListener(id, 'refused', count);
    this.options.counters.addEnd(id, code, count);
  }

  /** The backend to which the kernel has led a flow refuses it, or says nothing for too long. The flow stays until it is closed. */
  silent(flow: Flow, failure: 'backend-refused' | 'backend-timeout'): void {
    flow.lastFailure = failure;
    this.options.counters.addBackend(flow.backend!.id, 'dialFailures', 1);
    this.suspect(flow, flow.backend!, 'dial');
  }

  private lead(flow: Flow, { number, pool: name }: RouteFound): void {
    const pool = this.poolCalled(name);
    flow.routeNumber = number;
    if (pool !== undefined) flow.lead(pool);
  }

  /** Where the pins of a pool are; 0: it is not known yet which one it is. */
  private scopeOf(poolId: number): number {
    return this.choosers.get(poolId)?.scopeId ?? 0;
  }

  private poolCalled(name: string | undefined): PoolView | undefined {
    return name === undefined ? undefined : this.poolsByName.get(name);
  }

  heard(flow: Flow, datagram: Uint8Array): void {
    const route = this.routing.hearings.hear(flow, datagram);
    if (route !== undefined) this.goOn(flow, route);
  }

  /** It has said where it belongs, or is waited for no longer. */
  private goOn(flow: Flow, route: RouteFound): void {
    this.settle(flow, route);
    this.engine.proceed(flow);
  }

  private settle(flow: Flow, route: RouteFound): void {
    const { affinity } = flow.listener.plan;
    if (affinity.key === 'server-name' && flow.spoken !== undefined) {
      const { peer, peerLocal, identity, spoken } = flow;
      flow.key = keyOf(flow.client, affinity, { peer, peerLocal, ...identity, spoken });
    }
    this.lead(flow, route);
  }

  route(flow: Flow): BackendView | 'wait' | TerminationCode {
    const answer = this.lookAgain(flow) ?? this.routed(flow);
    if (typeof answer === 'string') {
      // A TCP flow whose dials failed has something to tell: whom it tried, and for how long.
      const hasTried = flow.lastFailure !== undefined && flow.listener.plan.protocol === 'tcp';
      flow.isTurnedAway = answer !== 'wait' && !hasTried;
    } else if (!flow.isCounted) {
      flow.isCounted = true;
      this.options.counters.addListener(flow.listener.id, 'opened', 1);
    }
    return answer;
  }

  private readonly takeFreed: TakeFreed = (flow, counted) => {
    const reached = this.limits.admitFreed(flow, counted, this.options.nowMs());
    if (reached === undefined) this.limits.opened(flow);
    return reached;
  };

  /** @returns undefined: it has its place now */
  private lookAgain(flow: Flow): 'wait' | TerminationCode | undefined {
    const look = this.secondLooks.of(flow);
    if (look === undefined) return undefined;
    if (!look.isDue) return 'wait';
    const reached = this.limits.admitLater(flow, look.counted, this.options.nowMs(), this.engine);
    if (reached !== undefined) return reached;
    this.secondLooks.remove(flow);
    this.limits.opened(flow);
    return undefined;
  }

  private routed(flow: Flow): BackendView | 'wait' | TerminationCode {
    if (this.throwInNextFlow) {
      this.throwInNextFlow = false;
      throw new Error('thrown on request, to test that one flow at fault is given up alone');
    }
    const chooser = this.choosers.get(flow.poolId);
    if (chooser === undefined)
      return flow.isHeard ? 'wait' : flow.poolId === 0 ? 'no-route' : 'backend-removed';
    if (this.mustAsk(flow) && this.ask(flow, chooser)) return 'wait';
    if (flow.failed.length >= chooser.pool.plan.tries) return flow.lastFailure ?? 'no-backend';
    const { affinity } = flow.listener.plan;
    // A fault of our own says nothing about the backend, so it must not cost a client its pin.
    const pinned = affinity.key !== 'none' && !flow.hadLocalFault;
    const nowMs = this.options.nowMs();
    const choice = chooser.choose(
      {
        key: flow.key,
        pinTtlMs: pinned ? affinity.ttlMs : 0,
        claimTtlMs: Math.min(affinity.ttlMs, unconfirmedPinTtlMs),
        failed: flow.failed,
        candidateId: flow.askedBackendId,
      },
      nowMs,
    );
    if (choice === undefined && chooser.leadsBack) return this.turnAway(flow);
    if (choice === undefined) return flow.lastFailure ?? 'no-backend';
    const verdict = this.returning.admit(flow, choice.backend, nowMs);
    if (verdict !== 'go') return this.holdBack(flow, choice.backend, verdict);
    flow.pinScope = chooser.scopeId;
    flow.backend = choice.backend;
    flow.upstream = chooser.pool.plan.upstream;
    const { proxyProtocol } = chooser.pool.plan;
    flow.opening = openingOf(flow, proxyProtocol, this.idPrefix);
    if (flow.identity !== undefined) flow.identity = withoutUntold(flow.identity, proxyProtocol);
    flow.reason = choice.reason;
    flow.keepsSaid = mayReplay(chooser.pool, flow);
    // In a loop all but the first come from this machine: only theirs are worth a system call each.
    flow.tracesDial =
      choice.backend.loop === 'may-lead-back' && this.servers.isOfMachine(flow.peer, flow.peerLocal);
    return choice.backend;
  }

  /** A backend that would send the flow back to us is passed over like one that does not answer. */
  private holdBack(
    flow: Flow,
    backend: BackendView,
    verdict: 'wait' | 'loop',
  ): BackendView | 'wait' | TerminationCode {
    this.options.counters.places.giveBackend(backend.id);
    flow.askedBackendId = backend.id;
    if (verdict === 'wait') return 'wait';
    flow.failed.push(backend.id);
    flow.lastFailure = 'loop';
    return this.routed(flow);
  }

  dialsFrom(flow: Flow, local: Address): void {
    this.forgetDial(flow, flow.backend!);
    flow.dialsFrom = local;
    this.options.dials.note(flow.listener.plan.protocol, local, flow.backend!.id);
  }

  dialed(flow: Flow): void {
    flow.connectedAtMs = this.options.nowMs();
    const backendId = flow.backend!.id;
    const { counters } = this.options;
    counters.addBackend(backendId, 'opened', 1);
    if (flow.listener.plan.protocol !== 'tcp') return;
    counters.histograms.observe('connect', flow.poolId, flow.connectedAtMs - flow.startedAtMs);
    // That it connected is no success yet: a port forwarder before a dead server accepts everybody, and breaks then.
    this.flowPins.arrive(flow, flow.connectedAtMs);
  }

  dialFailed(flow: Flow, failure: DialFailure): void {
    const backend = this.leave(flow, failure);
    if (this.isElsewhere(flow, backend)) return;
    flow.failed.push(backend.id);
    if (failure === 'local-fault') {
      flow.hadLocalFault = true;
      return;
    }
    // Which of the two it is told as is a matter of who looked first.
    const hasBroken = failure === 'backend-reset';
    this.options.counters.addBackend(backend.id, hasBroken ? 'earlyBreaks' : 'dialFailures', 1);
    this.suspect(flow, backend, hasBroken ? 'broke' : 'dial');
  }

  /** Its backend is given back, and it is to have another one. @returns the backend it had */
  private leave(flow: Flow, failure: TerminationCode): BackendView {
    const backend = flow.backend!;
    this.options.counters.places.giveBackend(backend.id);
    this.forgetDial(flow, backend);
    this.returning.left(flow, this.options.nowMs);
    flow.backend = undefined;
    flow.lastFailure = failure;
    return backend;
  }

  /** There nobody has failed yet. */
  private isElsewhere(flow: Flow, backend: BackendView): boolean {
    const now = this.choosers.get(flow.poolId)?.backend(backend.id);
    return now?.target !== undefined && !isSameTarget(now.target, backend.target);
  }

  /**
   * A connection is judged for as long as a dial may take: a reset later than that is no refusal (a server that is silent by
   * nature and restarts after an hour), and nothing of the client is said twice so much later.
   *
   * A reset counts as a failure of the backend, as nobody ends in order by one: its process died or drops whoever comes, or what
   * stands before it found nobody. An end in order may be meant (a client that has been quiet too long, a server that closes
   * without an answer), so it is passed on unless the pool says `retry_on: empty`. HAProxy's retry-on
   * empty-response (HTTP only, off by default) takes both together, and nginx's stream goes on after a failed dial alone. Where a
   * request that is carried out twice does harm there is `unsaid`. Even then a server that closes in order on a client
   * that says nothing is hardly to blame: clients that idle must not take it away.
   *
   * A backend that took words of the client and broke may have broken because of them. Nobody is to take backends away with
   * words they do not like: it is to blame once another one has answered the same words, or the same silence ({@link replied}).
   */
  brokeEarly(flow: Flow, how: EarlyBreak, isHeld: boolean): boolean {
    const chooser = this.choosers.get(flow.poolId);
    const backend = flow.backend!;
    const nowMs = this.options.nowMs();
    const isLate = nowMs - flow.connectedAtMs >= flow.listener.plan.timeouts.connectMs;
    if (chooser === undefined || isLate) return false;
    const { retryOn, tries } = chooser.pool.plan;
    if (how === 'end' && retryOn !== 'empty') return false;
    this.options.counters.addBackend(backend.id, 'earlyBreaks', 1);
    const isElsewhere = this.isElsewhere(flow, backend);
    const hasSaid = flow.bytesIn > 0;
    const isBlamedLater = hasSaid || how === 'end';
    if (!isBlamedLater && !isElsewhere) this.suspect(flow, backend, 'broke');
    const tried = isElsewhere ? flow.failed : [...flow.failed, backend.id];
    const isWanted = isHeld && retryOn !== 'dial' && !(retryOn === 'unsaid' && hasSaid);
    if (!isWanted || tried.length >= tries || !chooser.hasOther(tried)) return false;
    this.account(flow);
    flow.bytesToRepeat += flow.bytesIn;
    flow.bytesIn = 0;
    flow.accounted.bytesIn = 0;
    this.flowPins.retreat(flow, nowMs);
    this.leave(flow, how === 'reset' ? 'backend-reset' : 'backend-closed');
    flow.connectedAtMs = 0;
    flow.failed = tried;
    if (isBlamedLater && !isElsewhere) flow.brokeBefore = [...(flow.brokeBefore ?? []), backend];
    return true;
  }

  replied(flow: Flow): void {
    flow.hasReplied = true;
    this.returning.answered(flow, flow.backend!, this.options.nowMs);
    const { protocol } = flow.listener.plan;
    this.suspects.succeeded(flow.backend!.id, protocol);
    if (flow.brokeBefore !== undefined) {
      for (const backend of flow.brokeBefore)
        if (!this.isElsewhere(flow, backend)) this.suspect(flow, backend, 'broke');
      flow.brokeBefore = undefined;
    }
    if (protocol === 'udp') this.flowPins.confirm(flow, this.options.nowMs());
  }

  proved(flow: Flow): boolean {
    return this.limits.proved(flow);
  }

  unreachable(flow: Flow): void {
    const backend = flow.backend!;
    this.options.counters.addBackend(backend.id, 'unreachable', 1);
    this.suspect(flow, backend, 'unreachable');
  }

  backendNow(flow: Flow): BackendView {
    const chooser = this.choosers.get(flow.poolId);
    if (chooser !== undefined) flow.upstream = chooser.pool.plan.upstream;
    const now = chooser?.backend(flow.backend!.id);
    // One that is gone, or whose name does not resolve, is still where it was as far as anybody knows.
    if (now?.target === undefined) return flow.backend!;
    // Its pool has joined a group, or left one: there the backend has another number, and the flow no pin yet.
    if (flow.pinScope !== chooser!.scopeId) {
      this.flowPins.retreat(flow, this.options.nowMs());
      flow.pinScope = chooser!.scopeId;
    }
    flow.backend = now;
    return now;
  }

  closed(flow: Flow, code: TerminationCode): void {
    const { counters } = this.options;
    const nowMs = this.options.nowMs();
    this.registry.remove(flow);
    this.endings.forget(flow);
    if (!this.secondLooks.remove(flow)) {
      this.limits.closed(flow);
      // The place of one that was made to leave is that of the client for which it left.
      if (code !== 'evicted') this.secondLooks.seatOne(flow, this.takeFreed);
    }
    if (flow.askedBackendId !== 0) this.waiting.delete(flow.id);
    if (flow.tokens !== undefined) this.rebinding.closed(flow);
    if (flow.isHeard) this.routing.hearings.forget(flow);
    if (this.turnedAway.size > 0) this.turnedAway.delete(flow);
    this.returning.left(flow, this.options.nowMs);
    const listenerId = flow.listener.id;
    counters.addEnd(listenerId, code);
    this.account(flow);
    if (flow.backend !== undefined) {
      // To a server that is silent by nature, and took all.
      if (code === 'client-closed' && !flow.hasReplied && flow.bytesIn > 0)
        this.suspects.succeeded(flow.backend.id, 'tcp');
      counters.places.giveBackend(flow.backend.id);
      this.forgetDial(flow, flow.backend);
      this.flowPins.leave(flow, nowMs);
    }
    if (flow.isCounted) counters.histograms.observe('flow', listenerId, nowMs - flow.startedAtMs);
    if (flow.isTurnedAway) this.refused(flow.listener, code, flow.client, nowMs);
    else this.reports.ended(flow, code, nowMs);
  }

  dropped(listener: ListenerView, reason: DropReason, count = 1): void {
    this.options.counters.addListener(listener.id, dropCounter[reason], count);
  }

  acceptPaused(listener: ListenerView, paused: boolean): void {
    if (paused) this.options.counters.addListener(listener.id, 'acceptPauses', 1);
    this.options.post({ type: 'accept-paused', listenerId: listener.id, paused });
  }

  trouble({ plan }: ListenerView, flow: Flow | undefined, message: string): void {
    const of = flow === undefined ? 'listener' : 'pool';
    this.options.post({ type: 'trouble', of, name: flow?.poolName ?? plan.name, message });
  }

  fault(error: unknown, flow: Flow | undefined): void {
    const { message, stack } = error instanceof Error ? error : new Error(String(error));
    const text = flow === undefined ? '' : `${flow.listener.plan.name} ${flow.client}`;
    this.options.post({ type: 'fault', message, stack: stack ?? '', flow: text });
  }

  // ---- control's orders -------------------------------------------------------------------------------------

  /**
   * @param overMs evenly over this time; 0: at once
   * @param requestId how many are meant is answered
   */
  endFlows(select: FlowSelector, code: TerminationCode, overMs = 0, requestId?: number): void {
    const matches = matcher(select);
    // Ending takes turns. A flow that comes meanwhile, to a backend that is up again, is not meant.
    const openedBefore = this.nextFlowId;
    // A dial under way to a backend that has gone down finds that out itself and goes on to the next one.
    const isOwed = (flow: Flow): boolean => code !== 'backend-down' || flow.connectedAtMs !== 0;
    if (requestId !== undefined) {
      const flows = this.registry.select(matches, Number.POSITIVE_INFINITY).length;
      this.options.post({ type: 'ending', requestId, flows });
    }
    this.endings.add(select, (flow) => flow.id < openedBefore && matches(flow) && isOwed(flow), code, overMs);
  }

  /** Takes back what is left of orders to end the flows of a backend by this way, evenly over a time, for these codes. */
  keepFlows(backendId: number, way: Way, codes: readonly TerminationCode[]): void {
    this.endings.keep(backendId, way, codes);
  }

  /** Flows of one view and one plan are on one way: compared once, however many they are. */
  countFormer(requestId: number): void {
    const counts = new Map<BackendView, Map<UpstreamPlan | undefined, { flows: number } & WayCount>>();
    for (const flow of this.registry.select(isOpenOverTcp, Number.POSITIVE_INFINITY)) {
      const { upstream } = flow;
      const ofView = counts.get(flow.backend!) ?? new Map();
      counts.set(flow.backend!, ofView);
      const count = ofView.get(upstream) ?? { backendId: flow.backend!.id, way: wayOf(flow), flows: 0 };
      ofView.set(upstream, count);
      count.flows++;
    }
    const all = [...counts.values()].flatMap((ofView) => [...ofView.values()]);
    this.options.post({
      type: 'former-counted',
      requestId,
      counts: all.filter((count) => this.isFormer(count)),
    });
  }

  /** Which clients have sent to a backend over UDP since then? */
  countSenders(requestId: number, backendId: number, sinceMs: number, most: number): void {
    const senders = sendersTo(this.registry, backendId, sinceMs, most);
    this.options.post({ type: 'senders-counted', requestId, senders });
  }

  private isFormer({ backendId, way }: WayCount): boolean {
    for (const { pool } of this.choosers.values()) {
      const now = pool.backends.find(({ id }) => id === backendId);
      if (now !== undefined) return !isSameWay(way, { target: now.target, upstream: pool.plan.upstream });
    }
    return true;
  }

  listFlows(requestId: number, most: number): void {
    const nowMs = this.options.nowMs();
    const records = this.registry
      .select(() => true, most)
      .map((flow) => ({
        ...this.reports.record(flow, flow.poolName, nowMs),
        ...addressOf(flow),
      }));
    this.options.post({ type: 'flows', requestId, records });
  }

  /** The shared table's answer (or the deadline) has come: what it said of the pin is in the pin table. */
  claimed(flowId: number): void {
    const flow = this.waiting.get(flowId);
    if (flow === undefined) return;
    this.waiting.delete(flowId);
    this.engine.proceed(flow);
  }

  breakNextFlow(): void {
    this.throwInNextFlow = true;
  }

  /**
   * Work that is due. Call it often: at least every 100 ms, and again at once while it returns true (more flows
   * are to be ended, and others deserve their turn first).
   */
  tick(): boolean {
    const nowMs = this.options.nowMs();
    const endsMore = this.endings.turn(nowMs);
    if (nowMs - this.pinsKeptAtMs >= this.visitMs) this.visitFlows(nowMs);
    for (const flow of this.returning.due(nowMs)) this.engine.proceed(flow);
    for (const [flow, route] of this.routing.hearings.due(nowMs)) this.goOn(flow, route);
    for (const flow of this.settled.splice(0)) this.engine.proceed(flow);
    for (const flow of this.secondLooks.turn(this.takeFreed)) this.engine.proceed(flow);
    for (const flow of [...this.turnedAway]) {
      if (nowMs - flow.startedAtMs >= turnAwayAfterMs) this.engine.proceed(flow);
    }
    this.suspects.turn(nowMs);
    this.reports.flush();
    this.refusals.flush(nowMs);
    const owesMore = this.limits.payOthers(this.engine, evictionsPerTurnMax);
    return owesMore || endsMore;
  }

  /** A part of them, going round. */
  private visitFlows(nowMs: number): void {
    this.pinsKeptAtMs = nowMs;
    const old = new Map<number, Flow[]>();
    this.registry.visitSlice(Math.ceil(this.registry.size / this.visitsPerRound), (flow) => {
      const hasSent = flow.datagramsIn > flow.accounted.datagramsIn;
      this.account(flow);
      if (hasSent) flow.sentAtMs = nowMs;
      if (hasSent && !flow.hasReplied) this.reviewOneWay(flow, nowMs);
      if (!flow.hasReplied && !flow.hasLasted) this.reviewMute(flow, nowMs);
      this.flowPins.keep(flow, nowMs);
      if (this.someGrowTooOld) this.noteOld(flow, old, nowMs);
    });
    // The age is that of the connection to the backend: one that has another one by then is young.
    const isStillOld = (flow: Flow): boolean => this.isOld(flow, this.options.nowMs());
    const order = { matches: isStillOld, code: 'max-age' } as const;
    for (const [overMs, flows] of old) this.endings.spread(flows, order, overMs, nowMs);
  }

  /** By the pool as it is now: a reload is about connections that are open, too. */
  private isOld(flow: Flow, nowMs: number): boolean {
    const maxMs = this.choosers.get(flow.poolId)?.pool.plan.maxConnectionAgeMs ?? 0;
    return maxMs > 0 && isTooOld(flow, maxMs, nowMs);
  }

  private noteOld(flow: Flow, old: Map<number, Flow[]>, nowMs: number): void {
    const plan = this.choosers.get(flow.poolId)?.pool.plan;
    if (plan === undefined || !this.isOld(flow, nowMs)) return;
    const same = old.get(plan.closeOverMs);
    if (same === undefined) old.set(plan.closeOverMs, [flow]);
    else same.push(flow);
  }

  /** A flow that still dials a backend that is gone has lost nothing yet: another one may take it. */
  private end(flow: Flow, code: TerminationCode): void {
    const isDialing = flow.connectedAtMs === 0 && flow.listener.plan.protocol === 'tcp';
    const isWorthAnother =
      code === 'backend-removed' || code === 'address-changed' || code === 'backup-closed';
    if (isWorthAnother && isDialing) this.engine.abandonDial(flow);
    else this.engine.terminate(flow, code);
  }

  private mustAsk(flow: Flow): boolean {
    const { affinity } = flow.listener.plan;
    return (
      affinity.claim === 'before-dial' &&
      affinity.key !== 'none' &&
      flow.askedBackendId === 0 &&
      this.snapshot?.isShared === true &&
      this.waiting.size < waitingFlowsMax
    );
  }

  /** Asks for the pin of a client that has none here. @returns false if there is nothing to ask */
  private ask(flow: Flow, chooser: Chooser): boolean {
    const { affinity, protocol } = flow.listener.plan;
    const { scopeId } = chooser;
    if (this.options.pins.lookup(scopeId, flow.key, this.options.nowMs()) !== 0) return false;
    const candidate = chooser.candidate(flow.key, flow.failed);
    // A pin to one that is down is nobody's wish: it is tried in a panic alone.
    if (candidate === undefined || !chooser.isUp(candidate)) return false;
    flow.askedBackendId = candidate.id;
    this.waiting.set(flow.id, flow);
    const { kind, w0, w1, w2, w3, port } = flow.key;
    this.options.post({
      type: 'claim',
      flowId: flow.id,
      poolId: scopeId,
      kind,
      words: { w0, w1, w2, w3, port },
      backendId: pinIdOf(candidate),
      claimTtlMs: Math.min(affinity.ttlMs, unconfirmedPinTtlMs),
      deadlineMs: affinity.claimTimeoutMs,
      publish: protocol === 'tcp',
    });
    return true;
  }

  /**
   * Adds what has moved since the last time: counts of a long flow must not wait for its end. What is said once more to another
   * backend has come from the client once, and each of the backends has been sent it.
   */
  private account(flow: Flow): void {
    if (flow.bytesIn !== flow.accounted.bytesIn) this.accountOne(flow, 'bytesIn');
    if (flow.bytesOut !== flow.accounted.bytesOut) this.accountOne(flow, 'bytesOut');
    if (flow.datagramsIn !== flow.accounted.datagramsIn) this.accountOne(flow, 'datagramsIn');
    if (flow.datagramsOut !== flow.accounted.datagramsOut) this.accountOne(flow, 'datagramsOut');
  }

  private accountOne(flow: Flow, counter: keyof Flow['accounted']): void {
    const { counters } = this.options;
    const { accounted } = flow;
    const amount = flow[counter] - accounted[counter];
    accounted[counter] = flow[counter];
    const repeated = counter === 'bytesIn' ? Math.min(flow.bytesToRepeat, amount) : 0;
    flow.bytesToRepeat -= repeated;
    counters.addListener(flow.listener.id, counter, amount - repeated);
    if (flow.backend !== undefined) counters.addBackend(flow.backend.id, counter, amount);
  }

  private refused(listener: ListenerView, code: TerminationCode, client: Address, nowMs: number): void {
    this.options.counters.addListener(listener.id, 'refused', 1);
    this.refusals.add(listener, code, client, nowMs);
  }

  /**
   * UDP: the client has sent since the last visit, and never had an answer. One that goes on is no forged source, which cannot
   * know that it should: from some time on it is served like one that was answered.
   */
  private reviewOneWay(flow: Flow, nowMs: number): void {
    if (flow.isOneWay || flow.connectedAtMs === 0 || flow.datagramsIn < 2) return;
    const { pins } = this.options;
    const { affinity } = flow.listener.plan;
    const { ttlMs } = affinity;
    if (nowMs - flow.startedAtMs < oneWayMsMin || flow.datagramsIn < oneWayDatagramsMin) {
      if (affinity.key !== 'none')
        pins.prolong(flow.pinScope, flow.key, Math.min(ttlMs, unconfirmedPinTtlMs), nowMs);
      return;
    }
    flow.isOneWay = true;
    this.engine.trust(flow);
    // Its pin may have run out while it sent seldom: then it gets one.
    this.flowPins.arrive(flow, nowMs);
  }

  /** TCP: some servers never say anything. One that has not broken within its time serves. */
  private reviewMute(flow: Flow, nowMs: number): void {
    const { plan } = flow.listener;
    if (plan.protocol !== 'tcp' || flow.connectedAtMs === 0) return;
    if (nowMs - flow.connectedAtMs < plan.timeouts.connectMs) return;
    flow.hasLasted = true;
    this.suspects.succeeded(flow.backend!.id, 'tcp');
  }

  private suspect(flow: Flow, backend: BackendView, cause: 'dial' | 'broke' | 'unreachable'): void {
    const passive = this.choosers.get(flow.poolId)?.pool.plan.passive;
    if (passive === undefined || passive.failures === 0) return;
    const { protocol } = flow.listener.plan;
    this.suspects.failed(backend.id, protocol, cause, passive, this.options.nowMs());
  }

  /** The code of a client that cannot be served, whatever room there is. */
  private hopeless(
    plan: ListenerPlan,
    poolId: number,
    client: Address,
    local: Address,
  ): TerminationCode | undefined {
    if (this.mayLeadBack && this.isOwnDial(plan, client, local)) return 'loop';
    const chooser = this.choosers.get(poolId);
    if (chooser === undefined || chooser.mayServe()) return undefined;
    if (!chooser.leadsBack) return 'no-backend';
    return plan.protocol === 'udp' ? 'loop' : undefined;
  }

  /**
   * Whether the client is the other end of a dial of this instance. Only a client on this machine can be: the table keeps a
   * part of the IP, and nobody elsewhere may take a backend away by an address that looks alike.
   */
  private isOwnDial(plan: ListenerPlan, client: Address, local: Address): boolean {
    const backendId = this.options.dials.backendOf(plan.protocol, client);
    if (backendId === 0 || !this.servers.isOfMachine(client, local)) return false;
    // The source of a datagram proves nothing: nobody may take a backend away by forging one.
    if (plan.protocol === 'tcp' && !this.toldLeadingBack.has(backendId)) {
      this.toldLeadingBack.add(backendId);
      this.options.post({ type: 'backend-leads-back', backendId, listener: plan.name });
    }
    return true;
  }

  /** Not at once: who is in a loop and tries again would be back as fast as it is refused. */
  private turnAway(flow: Flow): 'wait' | 'loop' {
    if (this.turnedAway.delete(flow)) return 'loop';
    this.turnedAway.add(flow);
    return 'wait';
  }

  private forgetDial(flow: Flow, backend: BackendView): void {
    if (flow.dialsFrom === undefined) return;
    this.options.dials.clear(flow.listener.plan.protocol, flow.dialsFrom, backend.id);
    flow.dialsFrom = undefined;
  }

  private readonly isOfServer = ({ listener, movedTo, peer, peerLocal }: Flow): boolean =>
    listener.plan.protocol === 'udp' && this.servers.has(movedTo ?? peer, peerLocal);

  /** Conversations of those that turn out to be servers end: whatever both say goes to and fro. */
  private endServers(): void {
    if (this.registry.size === 0) return;
    this.endings.addOnce(this.isOfServer, 'loop');
  }

  private hasMovedToDenied({ listener, movedTo }: Flow): boolean {
    return movedTo !== undefined && this.gate.denies(listener, movedTo);
  }

  private readonly isDenied = (flow: Flow): boolean =>
    this.gate.denies(flow.listener, flow.client) || this.hasMovedToDenied(flow);

  /** A list is another one: flows of clients that it denies end, as their pool paces it. */
  private endDenied(): void {
    if (this.registry.size === 0) return;
    const closeOverMs = ({ poolId }: Flow): number => this.choosers.get(poolId)?.pool.plan.closeOverMs ?? 0;
    const times = [...this.choosers.values()].map(({ pool }) => pool.plan.closeOverMs);
    for (const overMs of new Set([0, ...times])) {
      this.endings.add(undefined, this.isDenied, 'denied', overMs, (flow) => closeOverMs(flow) === overMs);
    }
  }
}

/** Whether this flow may have to say its words again to another backend: nobody keeps them for nothing. */
function mayReplay({ backends, plan: { retryOn, tries } }: PoolView, { failed }: Flow): boolean {
  return (
    (retryOn === 'reset' || retryOn === 'empty') &&
    failed.length + 1 < tries &&
    failed.length + 1 < backends.length
  );
}

function isOpenOverTcp({ backend, listener }: Flow): boolean {
  return backend !== undefined && listener.plan.protocol === 'tcp';
}

function addressOf({ backend, local }: Flow): { readonly address?: string } {
  const target = backend?.target && targetAt(backend.target, local.port);
  return target === undefined ? {} : { address: formatAddress(target) };
}
