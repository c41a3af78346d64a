/**
 * Control: the main thread's owner of every decision that is not per flow. It holds the plan, the backends and
 * the workers; all of them call it on one thread, so its methods need no locks. Start-up is a reload from an
 * empty plan.
 *
 *    resolve, add --> backends     bind --> workers     change, remove --> backends     snapshot --> workers
 *
 * What may refuse a plan comes before what changes or removes something that is in use.
 */
import { availableParallelism } from 'node:os';
import { ChecksClient } from '../checks/client.ts';
import type { ClusterClient } from '../cluster/client.ts';
import { readBackendList } from '../config/backend-list.ts';
import { diffPlans } from '../config/diff.ts';
import { unhonoured } from '../config/unhonoured.ts';
import { bindKey, bindsOf } from '../core/binds.ts';
import { type Fault, whyOf } from '../core/ejection.ts';
import type { KillOrder } from '../core/kill-order.ts';
import { firstChecksWithinMs, firstDiscoveryWithinMs, loopRememberedMs, workersMax } from '../core/limits.ts';
import type { LoopListener } from '../core/loops.ts';
import type { OperatorRow } from '../core/operator-word.ts';
import type { Plan } from '../core/plan.ts';
import { poolsOf } from '../core/routes.ts';
import type { Snapshot } from '../core/snapshot.ts';
import { tableOf } from '../kernel/layout.ts';
import type { NamesTable } from '../pins/names-table.ts';
import { createSharedMemory, type SharedMemory, type SharedViews, sharingWriters } from '../rooms/shared.ts';
import type { Beat } from '../worker/client.ts';
import { readFlowRecords } from '../worker/flow-records.ts';
import type { FlowRecord, MessageFromWorker } from '../worker/messages-from-worker.ts';
import type { MessageToWorker } from '../worker/messages-to-worker.ts';
import { AccessLists } from './access-lists.ts';
import { Backends, type BackendsOptions } from './backends.ts';
import { type DescriptorShares, shareDescriptors, tightDescriptorLimit } from './descriptors.ts';
import { Discovery } from './discovery/discovery.ts';
import type { ControlWatcher } from './events.ts';
import { Ids, TooManyNames } from './ids.ts';
import { Kills } from './kills.ts';
import { Listeners, StartFailure } from './listeners.ts';
import { LoopWatch } from './loop-watch.ts';
import { OperatorWords } from './operator-words.ts';
import { ownNetwork } from './own-network.ts';
import type { PassedSockets } from './passed-sockets.ts';
import { Refusals } from './refusals.ts';
import { Rooms } from './rooms.ts';
import { addsBackends, createClusterClient, namesTable } from './sharing.ts';
import { Snapshots } from './snapshots.ts';
import { UntoldFlows } from './untold-flows.ts';
import { type WorkerReport, Workers } from './workers.ts';

/** How long clients that wait to be accepted may hold up the end of a shutdown without open flows. */
const lateClientsMs = 2_000;
const checksStopMs = 500;
/** Of the backends that came and went, so many are named. */
const namesToldMax = 20;

function refusalWithLosses(failure: StartFailure, lost: readonly StartFailure[]): string {
  const losses = lost.map(({ message }) => message).join('; ');
  return `${failure.message}; and what was closed to make room for it cannot be opened again: ${losses}`;
}

function tally(changes: {
  added: readonly unknown[];
  changed: readonly unknown[];
  removed: readonly unknown[];
}): string {
  return `+${changes.added.length} ~${changes.changed.length} -${changes.removed.length}`;
}

function endFlowsOf(
  ...[backendId, code, which = {}]: Parameters<BackendsOptions['endFlows']>
): MessageToWorker {
  const { protocol, connectedBeforeMs, way, overMs } = which;
  const select = { by: 'backend', backendId, protocol, connectedBeforeMs, way } as const;
  return { type: 'end-flows', select, code, overMs };
}

function faultOf({
  protocol,
  cause,
  failures,
}: Extract<MessageFromWorker, { type: 'backend-suspect' }>): Fault {
  return { protocol, cause, why: whyOf(cause, failures) };
}

export interface ControlOptions {
  readonly watch: ControlWatcher;
  readonly engine: 'portable' | 'epoll';
  readonly engineReason: string;
  /** The portable engine can share a port between threads only where Node can (22.12, 23.1). */
  readonly canReusePort: boolean;
  readonly version: string;
  /** Sockets that are bound already. */
  readonly passed?: PassedSockets | undefined;
}

export class Control {
  readonly views: SharedViews;
  readonly ids = new Ids();
  readonly backends: Backends;
  /** Open flows that an operator ends. */
  readonly kills: Kills;
  readonly discovery: Discovery;
  readonly access: AccessLists;
  readonly startedAt = new Date();
  readonly cluster: ClusterClient | undefined;
  readonly rooms: Rooms;
  readonly shared: SharedMemory;
  private readonly checks: ChecksClient;
  private readonly options: ControlOptions;
  private readonly listeners: Listeners;
  private readonly workers: Workers;
  private readonly loopsToldAtMs = new Map<string, number>();
  private readonly snapshots: Snapshots;
  private readonly refusals: Refusals;
  private readonly untoldFlows = new UntoldFlows((event) => this.options.watch(event));
  private readonly loopWatch: LoopWatch;
  /** What the plan in use asks for in vain, as far as it has been told. */
  private readonly troubles = new Set<string>();
  /** By listener: the options its engine goes without, as they were told. */
  private unhonoured: ReadonlyMap<string, string> = new Map();
  /** Plans are taken into use one after the other. */
  private turn: Promise<unknown> = Promise.resolve();
  private isRediscoveryDue = false;
  private isStopping = false;
  /** Of the plan in use; judged when it was taken. What comes and goes by itself (addresses, members) must not refuse it. */
  private shares: DescriptorShares = {
    flowsMax: 0,
    sparePerWorker: 0,
    checksInFlightMax: 1,
    secondLooksPerWorker: 1,
    arrivalsPerWorker: 0,
  };
  private isReady = false;
  private ended: Promise<void> | undefined;
  private expiryTimer: NodeJS.Timeout | undefined;
  plan: Plan;
  /** The same as the file has it, without the backends that were found. */
  private base: Plan;
  snapshot: Snapshot | undefined;
  /** What the snapshot is of: {@link plan}, or more while a reload binds. */
  private published: Plan;

  constructor(plan: Plan, options: ControlOptions) {
    this.plan = plan;
    this.base = plan;
    this.published = plan;
    this.options = options;
    const workers = this.workerCount(plan);
    const hasKernel = hasKernelRelay(plan);
    const { shared, ...views } = createSharedMemory(workers + Number(hasKernel), plan.limits.pins);
    this.shared = shared;
    this.views = views;
    this.rooms = new Rooms(options.watch);
    this.checks = new ChecksClient(this.rooms.events('checks'), options.engine === 'epoll');
    this.rooms.add(this.checks.room);
    this.backends = new Backends({
      ids: this.ids,
      words: new OperatorWords(plan.cluster?.instance ?? '', plan.cluster !== undefined),
      states: views.states,
      watch: options.watch,
      checks: this.checks,
      endFlows: (...order) => this.toWorkers(endFlowsOf(...order)),
      keepFlows: (backendId, way, codes) => this.toWorkers({ type: 'keep-flows', backendId, way, codes }),
      datagrams: (backendId) => ({
        sent: views.counters.backend(backendId, 'datagramsIn'),
        replies: views.counters.backend(backendId, 'datagramsOut'),
      }),
      sendersTo: (...question) => this.workers.sendersTo(...question),
      countFormer: () => this.workers.countFormer(),
      flowsOf: (backendId) => views.counters.backend(backendId, 'active'),
      checkTook: (...took) => views.counters.histograms.observeAsControl('check', ...took),
      nowMs: () => this.now(),
      onMoved: () => this.publish(this.published),
    });
    this.discovery = new Discovery({
      means: { readList: readBackendList, ask: (question) => this.checks.records(question) },
      watch: options.watch,
      room: (plan) => this.ids.roomBeside(plan),
      // One that waits takes the newest lists: more of them would only make a reload wait.
      changed: () => void (this.isRediscoveryDue || this.rediscover()),
    });
    this.access = new AccessLists({
      watch: options.watch,
      changed: () => {
        if (this.snapshot !== undefined) this.publish(this.published);
      },
    });
    this.loopWatch = new LoopWatch(() => this.publish(this.published));
    this.snapshots = new Snapshots(this.ids, this.backends, this.access, plan);
    this.refusals = new Refusals(options.watch);
    this.workers = this.makeWorkers(workers, hasKernel ? tableOf(plan) : undefined);
    const post = (worker: number, message: MessageToWorker): boolean => this.workers.post(worker, message);
    this.listeners = new Listeners(options.watch, post, workers, options.passed);
    this.kills = new Kills({ plan: () => this.published, workers: workers + 1, post });
    this.cluster = createClusterClient({
      version: options.version,
      plan: () => this.plan,
      published: () => this.published,
      startedAt: this.startedAt,
      shared,
      views,
      ids: this.ids,
      listFlows: (most) => this.listFlows(most),
      watch: options.watch,
      network: () => ownNetwork(this.receivers(this.published), this.loopWatch.ips),
      membersMoved: () => this.publish(this.published),
      operatorWords: (rows) => this.hearWords(rows),
      killHeard: (order, from, ageMs) => void this.hearKill(order, from, ageMs),
      ...this.rooms.events('cluster', () => this.releaseLocksOf(sharingWriters.cluster)),
    });
    if (this.cluster !== undefined) this.rooms.add(this.cluster.room);
  }

  private makeWorkers(count: number, kernelTable: string | undefined): Workers {
    const { engine, canReusePort, watch } = this.options;
    const { shared, views } = this;
    return new Workers({
      count,
      kernelTable,
      engine,
      canReusePort,
      shared,
      views,
      watch,
      hear: (worker, message) => this.hear(worker, message),
      died: (worker) => this.listeners.workerDied(worker),
      restarted: (worker) => this.greet(worker),
    });
  }

  get workerCountNow(): number {
    return this.workers.count;
  }

  /** How often a worker has died. */
  get workerRestarts(): number {
    return this.workers.restarts;
  }

  get ready(): boolean {
    return this.isReady && !this.isStopping;
  }

  /** The plan in use as its file has it, without the backends that were found. */
  get configured(): Plan {
    return this.base;
  }

  get draining(): boolean {
    return this.isStopping;
  }

  get engine(): { readonly engine: string; readonly engineWhy: string } {
    return { engine: this.options.engine, engineWhy: this.options.engineReason };
  }

  /**
   * Starts workers, checks and listeners. `shutdown` may come meanwhile: then it goes no further, and whoever asked for
   * the shutdown hears when it is done.
   * @throws StartFailure naming the listener that could not be bound; nothing is left running then
   */
  async start(): Promise<void> {
    if (this.isStopping) return;
    const { base, options } = this;
    // Refuses a limit that does not fit before anything is started.
    this.useShares(this.descriptorShares(base));
    this.access.prepare(base);
    const { flowsMax } = this.shares;
    options.watch({
      event: 'starting',
      config: base.source,
      engine: options.engine,
      why: options.engineReason,
      workers: this.workers.count,
      flowsMax,
    });
    const descriptors = tightDescriptorLimit(base, flowsMax);
    if (descriptors !== undefined) options.watch({ event: 'descriptors-few', descriptors, flowsMax });
    this.workers.start();
    await this.discovery.prepare(base.pools, firstDiscoveryWithinMs);
    const { plan, lists } = this.discovery.applied(base);
    this.discovery.settle(base, lists);
    this.plan = plan;
    const targets = await this.backends.add(plan.pools);
    // Clients who come before their backend is known to be up would be given another one.
    await this.backends.firstChecks(firstChecksWithinMs);
    if (this.isStopping) return;
    this.backends.change(plan.pools, targets);
    this.loopWatch.start();
    this.publish(plan);
    this.cluster?.start();
    await this.cluster?.catchUp();
    if (this.isStopping) return;
    const failure = await this.listeners.use(this.snapshot!.listeners);
    // A listener that was closed under our hands is no failure.
    if (this.isStopping) return;
    if (failure !== undefined) {
      await this.end();
      throw failure;
    }
    this.tellUnhonoured(plan);
    this.expiryTimer = setInterval(() => this.views.pins.expire(this.now(), 20_000), 1_000);
    this.isReady = true;
    // Its listeners are open: now the others may know where.
    this.cluster?.tellNews();
    options.watch({ event: 'ready' });
    // What was found meanwhile.
    void this.rediscover();
  }

  /** What the workers know now; its names in numbers. */
  names(): NamesTable {
    return namesTable(this.ids, this.published);
  }

  /** Of each worker; undefined: no thread of it runs now. */
  workerBeats(): readonly (Beat | undefined)[] {
    return this.workers.beats();
  }

  /** Milliseconds on the clock the workers use. */
  now(): number {
    return Number(process.hrtime.bigint()) / 1e6 - this.shared.clockOriginMs;
  }

  toWorkers(message: MessageToWorker): void {
    this.workers.postAll(message);
  }

  /** To one worker, numbered from 0; ignored if there is none. */
  toWorker(worker: number, message: MessageToWorker): void {
    this.workers.post(worker, message);
  }

  /** Open flows of all workers, at most `most` of each. A worker that does not answer is left out. */
  listFlows(most: number): Promise<FlowRecord[]> {
    return this.workers.listFlows(most);
  }

  /** What others said, or this instance before it was started again; and what it said while Redis was away. */
  private hearWords(rows: readonly OperatorRow[]): void {
    const untold = this.backends.heardWords(rows);
    if (untold.length > 0) this.cluster?.keepWords(untold);
  }

  /** Those that have come since the order was given are not meant. */
  private async hearKill({ filter, overMs }: KillOrder, from: string, ageMs: number): Promise<void> {
    const { connections } = await this.kills.kill(filter, overMs, this.now() - ageMs);
    this.options.watch({ event: 'kill-heard', from, connections, filter });
  }

  /**
   * Takes a new plan into use. Flows stay unless their backend or listener is gone.
   * @throws StartFailure when a new listener cannot be bound; the old plan stays in force. And before the start is over:
   * the start would go on with the old plan
   */
  reload(base: Plan): Promise<void> {
    return this.inTurn(async () => {
      this.refuseWhenStopping();
      if (!this.isReady) throw new StartFailure('this instance has not started yet');
      this.refuseLateKernel(base);
      const shares = this.descriptorShares(base);
      const old = this.plan;
      try {
        this.access.prepare(base);
        await this.discovery.prepare(base.pools, firstDiscoveryWithinMs);
        const { plan, lists } = this.discovery.applied(base);
        await this.use(plan, shares);
        this.base = base;
        this.discovery.settle(base, lists);
        this.access.settle(base);
      } catch (error) {
        this.discovery.settle(this.base);
        this.access.settle(this.base);
        throw error;
      }
      const { listeners, pools, needRestart } = diffPlans(old, this.plan);
      this.options.watch({
        event: 'reloaded',
        listeners: tally(listeners),
        pools: tally(pools),
        needRestart,
      });
    });
  }

  /** Counts of the kernel's worker are in memory that was made at the start. */
  private refuseLateKernel(plan: Plan): void {
    if (!hasKernelRelay(plan) || this.workers.hasKernel) return;
    throw new StartFailure(
      'this instance was started without a listener of `relay: kernel` and cannot take its first one while it runs; restart it',
    );
  }

  /** What is found is another list: as a reload of the same file would be. Names that are known are not asked for again. */
  private rediscover(): Promise<void> {
    this.isRediscoveryDue = true;
    return this.inTurn(async () => {
      this.isRediscoveryDue = false;
      if (!this.ready) return;
      const { plan, lists } = this.discovery.applied(this.base);
      const { pools } = diffPlans(this.plan, plan);
      if (pools.changed.length > 0) {
        try {
          await this.use(plan, this.shares, true);
        } catch (error) {
          if (!(error instanceof StartFailure || error instanceof TooManyNames)) throw error;
          if (!this.isStopping) this.discovery.refused(error.message);
          return;
        }
      }
      this.discovery.settle(this.base, lists);
      for (const { next, backends } of pools.changed) {
        this.options.watch({
          event: 'discovery-changed',
          pool: next.name,
          backends: tally(backends),
          added: backends.added.slice(0, namesToldMax).map(({ name }) => name),
          removed: backends.removed.slice(0, namesToldMax).map(({ name }) => name),
        });
      }
    });
  }

  private inTurn(run: () => Promise<void>): Promise<void> {
    const mine = this.turn.then(run);
    this.turn = mine.catch(() => {});
    return mine;
  }

  /** @param isFound only what was found differs from the plan in use */
  private async use(plan: Plan, shares: DescriptorShares, isFound = false): Promise<void> {
    this.ids.admit(plan);
    const old = this.plan;
    const before = new Set(this.snapshot?.listeners.map((listener) => listener.id));
    const targets = await this.backends.add(plan.pools, isFound);
    // The old ones serve meanwhile.
    await this.backends.firstChecks(firstChecksWithinMs);
    this.refuseWhenStopping();
    if (!isFound) this.troubles.clear();
    this.publish(this.snapshots.joined(old, plan));
    // What is found opens no listener, and one that a refused reload has lost must not stand in its way.
    const failure = isFound ? undefined : await this.listeners.use(this.snapshots.listeners(plan));
    if (failure !== undefined) {
      this.publish(old);
      this.backends.settle(old.pools);
      this.refuseWhenStopping();
      const lost = await this.listeners.reopen(this.snapshot!.listeners);
      if (this.isStopping) await this.listeners.closeAll();
      this.refuseWhenStopping();
      throw lost.length === 0 ? failure : new StartFailure(refusalWithLosses(failure, lost));
    }
    if (this.isStopping) await this.listeners.closeAll();
    this.plan = plan;
    this.useShares(shares);
    this.backends.change(plan.pools, targets, isFound);
    this.publish(plan);
    this.backends.settle(plan.pools);
    this.tellUnhonoured(plan);
    if (addsBackends(old, plan)) this.cluster?.namesAdded();
    const after = new Set(this.snapshot!.listeners.map((listener) => listener.id));
    for (const listenerId of before) {
      if (after.has(listenerId)) continue;
      this.toWorkers({ type: 'end-flows', select: { by: 'listener', listenerId }, code: 'listener-removed' });
    }
    this.endAtGivenUp(old, plan);
  }

  /** Flows that came in at an address which their listener no longer has. */
  private endAtGivenUp(old: Plan, plan: Plan): void {
    const held = new Map(this.snapshots.listeners(old).map((view) => [view.id, bindsOf(view.plan)]));
    for (const { id: listenerId, plan: next } of this.snapshots.listeners(plan)) {
      const kept = new Set(bindsOf(next).map(bindKey));
      if (held.get(listenerId)?.every((bind) => kept.has(bindKey(bind))) !== false) continue;
      const select = { by: 'listener', listenerId, outside: this.listeners.openBinds(listenerId) } as const;
      this.toWorkers({ type: 'end-flows', select, code: 'listener-removed' });
    }
  }

  /**
   * Stops accepting, lets open flows finish for `drainMs`, ends the rest with `shutdown`, leaves.
   * `hurry` may be called meanwhile to end at once.
   */
  async shutdown(drainMs: number, hurry: Promise<void>): Promise<void> {
    this.isStopping = true;
    this.options.watch({ event: 'shutdown', flows: this.views.counters.flows(), drainMs });
    const deadline = performance.now() + drainMs;
    const paced = this.endPaced(drainMs);
    let hurried = false;
    void hurry.then(() => {
      hurried = true;
    });
    // A client whose connection lies in the queue of accepts is counted once its worker has closed the listener.
    const late = new Promise((resolve) => setTimeout(resolve, Math.min(drainMs, lateClientsMs)).unref());
    await Promise.race([this.listeners.closeAll(), hurry, late]);
    while (!hurried && performance.now() < deadline && this.hasClients()) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    for (const timer of paced) clearTimeout(timer);
    await this.end();
    this.untoldFlows.end();
    this.options.watch({ event: 'stopped' });
  }

  /** Some are served, or will be once they have told who they are. */
  private hasClients(): boolean {
    const { counters } = this.views;
    // In this order: who has told becomes a flow before it is no arrival any more.
    const areArriving = this.snapshot?.listeners.some(({ id }) => counters.arriving(id) > 0) === true;
    return areArriving || counters.flows() > 0;
  }

  /** The last of a shutdown's time is for ending what would be ended at its end: over `close_over`, where a pool has it. */
  private endPaced(drainMs: number): NodeJS.Timeout[] {
    return this.plan.pools
      .filter(({ closeOverMs }) => closeOverMs > 0 && drainMs > 0)
      .map(({ name: pool, closeOverMs }) => {
        const overMs = Math.min(closeOverMs, drainMs);
        const select = { by: 'pool', pool, protocol: 'tcp' } as const;
        return setTimeout(
          () => this.toWorkers({ type: 'end-flows', select, code: 'shutdown', overMs }),
          drainMs - overMs,
        );
      });
  }

  /** Once, however many ask: a failed start and a signal may both. */
  private end(): Promise<void> {
    this.ended ??= this.endOnce();
    return this.ended;
  }

  private async endOnce(): Promise<void> {
    this.isStopping = true;
    clearInterval(this.expiryTimer);
    this.discovery.stop();
    this.access.stop();
    this.backends.stop();
    this.loopWatch.stop();
    await this.workers.stop();
    await Promise.all([this.cluster?.stop(), this.checks.stop(checksStopMs)]);
  }

  /** While it drains it must not begin to listen anew. */
  private refuseWhenStopping(): void {
    if (this.isStopping) throw new StartFailure('this instance is shutting down');
  }

  private workerCount(plan: Plan): number {
    if (this.options.engine === 'portable' && !this.options.canReusePort) return 1;
    // The kernel's worker has a number of its own, and rooms have those above.
    const most = workersMax - Number(hasKernelRelay(plan));
    return Math.min(most, plan.workers === 'auto' ? availableParallelism() : plan.workers);
  }

  private publish(plan: Plan): void {
    this.published = plan;
    this.findLoops(plan);
    const members = this.cluster?.memberListeners;
    this.snapshot = this.snapshots.of(plan, {
      flowsMax: this.shares.flowsMax,
      secondLooksMax: this.shares.secondLooksPerWorker,
      arrivalsMax: this.shares.arrivalsPerWorker,
      isShared: this.cluster !== undefined,
      machineIps: this.loopWatch.ips,
      memberListeners: members?.listeners ?? [],
      memberIps: members?.ips ?? [],
    });
    // Before the workers: a pin they make must find its names.
    this.cluster?.tellNews();
    this.workers.postAll(this.snapshotMessage(this.snapshot));
  }

  private findLoops(plan: Plan): void {
    this.backends.setLoops(this.loopWatch.find(this.receivers(plan), this.backends.places()));
  }

  /** A listener that a reload may still fail to open receives nothing; at the start that would be the end of it. */
  private receivers(plan: Plan): LoopListener[] {
    return this.snapshots.listeners(plan).flatMap(({ id, plan: listener }) => {
      const { name, protocol } = listener;
      const pools = poolsOf(listener);
      const open = this.listeners.openBinds(id);
      const binds = open.length === 0 && !this.isReady ? bindsOf(listener) : open;
      return binds.map((bind) => ({ name, protocol, bind, pools }));
    });
  }

  private snapshotMessage(snapshot: Snapshot): MessageToWorker {
    return { type: 'snapshot', snapshot, spareDescriptors: this.shares.sparePerWorker };
  }

  private useShares(shares: DescriptorShares): void {
    this.shares = shares;
    this.checks.limit(shares.checksInFlightMax);
  }

  /** Why this plan would be refused for what the instance has already; undefined: nothing of that. */
  refusalOf(plan: Plan): string | undefined {
    try {
      this.descriptorShares(plan);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  private descriptorShares(plan: Plan): DescriptorShares {
    const { engine, passed } = this.options;
    return shareDescriptors(plan, { engine, workers: this.workers.count, passed: passed?.count ?? 0 });
  }

  private hear(worker: number, message: WorkerReport): void {
    const { watch } = this.options;
    switch (message.type) {
      case 'listening':
      case 'bind-failed':
        this.listeners.answered(worker, message);
        break;
      case 'unlistened':
        this.listeners.unlistened(worker, message.listenerId, message.doors);
        break;
      case 'flows-ended':
        for (const flow of readFlowRecords(message.records, worker, this.ids))
          watch({ event: 'flow-ended', flow });
        this.untoldFlows.add(message.untold);
        break;
      case 'refused':
        this.refusals.add(message);
        break;
      case 'ending':
        this.kills.counted(message.requestId, message.flows);
        break;
      case 'backend-suspect':
        this.backends.suspect(message.backendId, faultOf(message));
        break;
      case 'loop-seen':
        this.tellLoop(message);
        break;
      case 'backend-leads-back':
        this.backends.loopSeen(message.backendId, message.listener);
        break;
      case 'accept-paused': {
        const listener = this.snapshot?.listeners.find(({ id }) => id === message.listenerId)?.plan.name;
        // A listener that is gone has ended its pause by going.
        if (listener !== undefined) watch({ event: 'accept-paused', listener, paused: message.paused });
        break;
      }
      case 'trouble':
        this.tellTrouble(message);
        break;
      case 'fault':
        watch({ event: 'flow-fault', flow: message.flow, message: message.message, stack: message.stack });
        break;
      case 'claim':
        this.claim(worker, message);
        break;
      case 'ready':
      case 'stopped':
        break;
    }
  }

  private tellLoop({ backendId, listener }: Extract<MessageFromWorker, { type: 'loop-seen' }>): void {
    const names = this.ids.backendName(backendId);
    const key = `${backendId} ${listener}`;
    if (
      names === undefined ||
      this.now() - (this.loopsToldAtMs.get(key) ?? -loopRememberedMs) < loopRememberedMs
    )
      return;
    this.loopsToldAtMs.set(key, this.now());
    this.options.watch({ event: 'loop-seen', ...names, listener });
  }

  /** Options that change where traffic goes must not be missing without a word. */
  private tellUnhonoured(plan: Plan): void {
    const { engine, watch } = this.options;
    const keysOf = new Map(
      plan.listeners.map((one) => {
        const pools = new Set(poolsOf(one));
        const upstreams = plan.pools.flatMap(({ name, upstream }) =>
          upstream !== undefined && pools.has(name) ? [upstream] : [],
        );
        return [one.name, unhonoured(one, engine, upstreams).join(', ')];
      }),
    );
    for (const [listener, keys] of keysOf) {
      if (keys === '' || keys === this.unhonoured.get(listener)) continue;
      watch({ event: 'listener-fault', listener, message: `the ${engine} engine goes without ${keys}` });
    }
    this.unhonoured = keysOf;
  }

  /** Once: each worker finds it out by itself, and again with each snapshot. */
  private tellTrouble({ of, name, message }: Extract<MessageFromWorker, { type: 'trouble' }>): void {
    const text = `${of} ${name}: ${message}`;
    if (this.troubles.has(text)) return;
    this.troubles.add(text);
    const { watch } = this.options;
    if (of === 'pool') watch({ event: 'pool-fault', pool: name, message });
    else watch({ event: 'listener-fault', listener: name, message });
  }

  /** A worker's flow waits for the shared table's word; the answer goes into the pin table, then to the worker. */
  private claim(worker: number, message: Extract<MessageFromWorker, { type: 'claim' }>): void {
    // The flow that asked may die with its thread; the one that has its number then waits for another answer.
    const reply = this.workers.answerer(worker);
    const answer = (): void => reply({ type: 'claimed', flowId: message.flowId });
    const { poolId, kind, words, backendId, claimTtlMs, deadlineMs, publish } = message;
    if (this.cluster === undefined) answer();
    else this.cluster.claim({ poolId, kind, words, backendId, claimTtlMs, deadlineMs, publish }, answer);
  }

  /** A worker that has started again is told what the others know. */
  private greet(worker: number): boolean {
    if (this.snapshot === undefined) return false;
    this.workers.post(worker, this.snapshotMessage(this.snapshot));
    this.listeners.openOn(worker);
    return true;
  }

  /** The thread is gone: what it had locked in the tables of pins and clients is free. Its number as `attachSharedMemory` counts. */
  releaseLocksOf(thread: number): void {
    this.workers.releaseLocksOf(thread);
  }
}

function hasKernelRelay({ listeners }: Pick<Plan, 'listeners'>): boolean {
  return listeners.some(({ relay }) => relay === 'kernel');
}
