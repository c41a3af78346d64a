/**
 * Control's table of backends: what the plan says of each, where it is, how it is, and the row of shared memory
 * from which the workers read the verdict.
 *
 * What is known of a backend becomes a verdict in core/verdict.ts; this is the table, and what follows from a verdict.
 *
 * Ejection is passive health: real flows failed in a row (ejections.ts). It is for a time, and never takes a pool's last
 * backend for newcomers, nor more than a share of them: a wrong suspicion must not become an outage. Nor does it end open TCP
 * flows, which tell by themselves whether the backend lives: one that refuses newcomers may be finishing with those it has. UDP
 * conversations cannot tell.
 */

import type { Checks } from '../checks/client.ts';
import type { CheckVerdict } from '../checks/messages-from-checks.ts';
import { seesFault } from '../checks/reach.ts';
import type { Target } from '../checks/resolve.ts';
import { formatAddress } from '../core/address-text.ts';
import type { BackendStates } from '../core/backend-states.ts';
import { type Fault, mayEjectOneMore } from '../core/ejection.ts';
import { foundNamesWithinMs } from '../core/limits.ts';
import type { LoopBackend, Loops } from '../core/loops.ts';
import { type OperatorOrder, type OperatorRow, type OperatorWill, willAfter } from '../core/operator-word.ts';
import type { BackendPlan, Bind, PoolPlan } from '../core/plan.ts';
import type { BackendView } from '../core/snapshot.ts';
import { tierNumbersOf, tierViewsOf } from '../core/tiers.ts';
import { effectOf, judge } from '../core/verdict.ts';
import { isSameTarget, isSameWay, type Way } from '../core/way.ts';
import {
  addressText,
  type Backend,
  failedChecks,
  isOpenToNew,
  isSameFate,
  leadsBackTo,
  newBackend,
  onDownOf,
  quiet,
  takesNew,
  wayOf,
  weightOf,
} from './backend.ts';
import { type BackendStatus, statusOf } from './backend-status.ts';
import { BackupClosing } from './backup-closing.ts';
import { Ejections } from './ejections.ts';
import type { ControlWatcher } from './events.ts';
import { FormerWays, type FormerWaysOptions } from './former-ways.ts';
import type { Ids } from './ids.ts';
import { type FlowOrders, OpenFlows } from './open-flows.ts';
import type { OperatorWords } from './operator-words.ts';
import { PoolsDown } from './pools-down.ts';
import { type SilenceOptions, SilenceWatch, watchedPools } from './silence.ts';
import { SlowStarts } from './slow-starts.ts';
import { findTargets, type Targets, unresolvedBecause } from './targets.ts';

const resolveIntervalMs = 30_000;
/** First checks are spread over this time when there are many backends. */
const firstCheckSpreadMs = 1_000;
/** After this a backend whose flows came back is tried again: the way to it may be another one by then. */
const loopRetryMs = 60_000;
const readmitEveryMs = 1_000;

export interface BackendsOptions extends FlowOrders {
  readonly ids: Ids;
  readonly words: OperatorWords;
  readonly states: BackendStates;
  readonly watch: ControlWatcher;
  readonly checks: Checks;
  /** Milliseconds on the clock that flows are stamped with. */
  readonly nowMs: () => number;
  /** Addresses have changed: the workers need a new snapshot. */
  readonly onMoved: () => void;
  readonly datagrams: SilenceOptions['datagrams'];
  readonly sendersTo: SilenceOptions['sendersTo'];
  readonly countFormer: FormerWaysOptions['countFlows'];
  readonly flowsOf: FormerWaysOptions['flowsOf'];
  /** A health check of a backend of the pool with this number is over. */
  readonly checkTook: (poolId: number, tookMs: number) => void;
}

export class Backends {
  private readonly options: BackendsOptions;
  private readonly backends = new Map<number, Backend>();
  private readonly poolsDown: PoolsDown;
  /** Added, and perhaps not known to the workers yet. */
  private readonly fresh = new Set<number>();
  private resolveTimer: NodeJS.Timeout | undefined;
  private movedTimer: NodeJS.Immediate | undefined;
  /** While somebody is ejected: nobody tells when the others are full. */
  private readmitTimer: NodeJS.Timeout | undefined;
  private isReviewDue = false;
  /** Called when no backend waits for its first check any more. */
  private firstChecked: (() => void)[] = [];
  private readonly formers: FormerWays;
  private readonly slowStarts: SlowStarts;
  private readonly backupClosing: BackupClosing;
  private readonly openFlows: OpenFlows;
  private readonly ejections: Ejections;
  private readonly silence: SilenceWatch;
  /** Of the backends of each pool, as people count them. */
  private readonly tiers = new WeakMap<PoolPlan, ReadonlyMap<BackendPlan, number>>();
  private isStopped = false;

  constructor(options: BackendsOptions) {
    this.options = options;
    this.poolsDown = new PoolsDown(options.watch);
    this.slowStarts = new SlowStarts(options.states, options.nowMs);
    this.openFlows = new OpenFlows({ ...options, find: (id) => this.backends.get(id) });
    this.backupClosing = new BackupClosing({
      servesNew: (id) => options.states.servesNew(id),
      endFlows: (id) => this.openFlows.end(id, 'backup-closed'),
      keepFlows: (id) => this.openFlows.keepOnBackup(id),
    });
    const { watch, checks, nowMs, countFormer: countFlows, flowsOf, keepFlows } = options;
    this.ejections = new Ejections(nowMs, (id) => this.ejectionOver(id));
    this.silence = new SilenceWatch({
      nowMs,
      datagrams: options.datagrams,
      sendersTo: options.sendersTo,
      silent: (id, fault) => this.suspect(id, fault),
    });
    this.formers = new FormerWays({
      watch,
      checks,
      nowMs,
      countFlows,
      flowsOf,
      endFlows: (id, code, way) => this.openFlows.end(id, code, { way, protocol: 'tcp' }),
      keepFlows,
    });
  }

  /**
   * Adds what the pools have anew. All else stays as it is until {@link change}, which takes the answer.
   * @param isFound it comes from a discovery: names that are known are asked for at their own time, and nobody waits long
   */
  async add(pools: readonly PoolPlan[], isFound = false): Promise<Targets> {
    const known = (pool: string, plan: BackendPlan): Target => this.knownTarget(pool, plan);
    const how = isFound ? { withinMs: foundNamesWithinMs, known } : {};
    const targets = await findTargets(this.options.checks, pools, how);
    this.putEach(pools, targets, (id) => {
      if (this.backends.has(id)) return false;
      this.fresh.add(id);
      return true;
    });
    return targets;
  }

  /**
   * Changes what is there to what the pools say, which may end flows: not before nothing can refuse the pools any more.
   * What they leave out stays until {@link settle}.
   */
  change(pools: readonly PoolPlan[], targets: Targets, isFound = false): void {
    this.fresh.clear();
    this.putEach(pools, targets, () => true);
    this.silence.use(watchedPools(pools, this.options.ids));
    // Not before: of a pool that begins with a name that does not resolve the rest are not known yet.
    this.reviewPools();
    const named = pools.some((pool) => pool.backends.some((backend) => backend.address.kind === 'name'));
    if (!named) {
      clearInterval(this.resolveTimer);
      this.resolveTimer = undefined;
    }
    // One that runs goes on: lists that are found every few seconds must not put it off for ever.
    else this.resolveTimer ??= setInterval(() => this.resolveAgain(), resolveIntervalMs);
    // Nobody waits for these any more: they are used when they come.
    if (!isFound && [...targets.values()].includes('unanswered')) this.resolveAgain();
    if (isFound) this.resolveAgain((backend) => backend.target === undefined);
  }

  /**
   * Removes what the pools do not have, and ends its flows; and treats the flows of those that are down as the pools say
   * now. Once no worker knows what is removed: with `fail_open` it would still send clients there.
   */
  settle(pools: readonly PoolPlan[]): void {
    this.fresh.clear();
    const wanted = new Set<number>();
    const byName = new Map(pools.map((pool) => [pool.name, pool]));
    for (const pool of pools) {
      for (const { name } of pool.backends) wanted.add(this.options.ids.backend(pool.name, name));
    }
    for (const backend of [...this.backends.values()]) {
      if (!wanted.has(backend.id)) this.remove(backend, byName.get(backend.pool.name) ?? backend.pool);
      else if (!backend.verdict.isUp && !isSameFate(backend.onDown, onDownOf(backend)))
        this.openFlows.wentDown(backend);
    }
    this.formers.settle(pools);
    this.reviewPools();
  }

  views(pool: PoolPlan): BackendView[] {
    const tiers = tierViewsOf(pool);
    return pool.backends.map((plan, i) => {
      const id = this.options.ids.backend(pool.name, plan.name);
      return {
        id,
        name: plan.name,
        ...this.wayTo(this.backends.get(id)),
        addressText: addressText(plan),
        weight: weightOf(this.options.words.of(pool.name, plan.name), plan),
        maxConnections: plan.maxConnections,
        ...tiers[i],
      };
    });
  }

  /** How many there are, how many are up, and the pools without any. */
  summary(): { readonly all: number; readonly up: number; readonly poolsDown: readonly string[] } {
    let up = 0;
    for (const { verdict } of this.backends.values()) if (verdict.isUp) up++;
    return { all: this.backends.size, up, poolsDown: this.poolsDown.names };
  }

  status(): BackendStatus[] {
    const tierOf = ({ pool, plan }: Backend): number => {
      let known = this.tiers.get(pool);
      if (known === undefined) {
        known = tierNumbersOf(pool);
        this.tiers.set(pool, known);
      }
      return known.get(plan) ?? 1;
    };
    const { ejections, slowStarts, formers } = this;
    const known = { ejections, slowStarts, formers, nowMs: this.options.nowMs() };
    return [...this.backends.values()].map((backend) => statusOf(backend, tierOf(backend), known));
  }

  /** Resolves when each backend has had its first check, at the latest after `withinMs`. */
  async firstChecks(withinMs: number): Promise<void> {
    if (!this.hasUnchecked()) return;
    let timer: NodeJS.Timeout | undefined;
    await new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
      this.firstChecked.push(resolve);
    });
    clearTimeout(timer);
  }

  private hasUnchecked(): boolean {
    for (const { verdict } of this.backends.values()) if (verdict.reason === 'unchecked') return true;
    return false;
  }

  /** Where each is, for whoever looks for loops. */
  places(): LoopBackend[] {
    return [...this.backends.values()].map(({ id, pool, target }) => ({ id, pool: pool.name, target }));
  }

  /** Those that lead back to a listener of this instance are down, whatever a check says that is answered by ourselves. */
  setLoops({ leadingBack, suspects }: Loops): void {
    for (const backend of this.backends.values()) {
      backend.mayLeadBack = suspects.has(backend.id);
      this.setLoop(backend, () => (backend.leadsTo = leadingBack.get(backend.id)));
    }
    this.reviewPools();
  }

  /** A flow to this backend has come in at a listener of ours. Addresses did not show it: they are translated on the way. */
  loopSeen(backendId: number, listener: string): void {
    const backend = this.backends.get(backendId);
    if (backend === undefined) return;
    clearTimeout(backend.seenTimer);
    const set = (to: string | undefined): void => {
      this.setLoop(backend, () => (backend.seenLeadingTo = to));
      this.reviewPools();
      this.options.onMoved();
    };
    backend.seenTimer = setTimeout(set, loopRetryMs, undefined);
    set(listener);
  }

  /**
   * Carries out an operator's order.
   * @returns the words to tell the cluster; undefined if there is no such backend
   */
  operate(pool: string, name: string, order: OperatorOrder, isForAll = false): OperatorRow[] | undefined {
    const backend = this.find(pool, name);
    if (backend === undefined) return undefined;
    const rows = this.options.words.say(pool, name, order, isForAll, Date.now());
    if (this.obey(backend, 'here')) this.options.onMoved();
    this.reviewPools();
    return rows;
  }

  /** Whether the backend takes new clients now, would not after this order, and nobody else of its pool does. */
  leavesNobody(pool: string, name: string, order: OperatorOrder): boolean {
    const backend = this.find(pool, name);
    if (backend === undefined || !this.options.states.servesNew(backend.id)) return false;
    const will = willAfter(backend.will, order);
    const leaves = will.state !== 'ready' || weightOf(will, backend.plan) === 0;
    return leaves && !this.hasStandIn(backend);
  }

  /** What the cluster has written down of operators' words. @returns what it is to be told */
  heardWords(rows: readonly OperatorRow[]): readonly OperatorRow[] {
    const { changed, untold } = this.options.words.heard(
      rows,
      (pool, name) => this.find(pool, name) !== undefined,
    );
    let hasMoved = false;
    for (const [pool, name] of changed) {
      const backend = this.find(pool, name);
      if (backend !== undefined && this.obey(backend, 'cluster')) hasMoved = true;
    }
    // One snapshot for all that have another weight.
    if (hasMoved) this.options.onMoved();
    if (changed.length > 0) this.reviewPools();
    return untold;
  }

  /** @returns whether it has another weight: then the workers need a new snapshot */
  private obey(backend: Backend, from: 'here' | 'cluster'): boolean {
    const { pool, plan, will: before } = backend;
    const will = this.options.words.of(pool.name, plan.name);
    // It has had no new clients, and so is as cold as one that was down; that is judged in {@link review}.
    const isBack = !isOpenToNew(before, plan) && isOpenToNew(will, plan);
    // Before anybody comes.
    if (isBack && backend.verdict.isUp) this.slowStarts.begin(backend.id, pool.slowStartMs);
    this.useWill(backend, will);
    const { state, weight, movesPinned } = will;
    const said = { state, weight: weight ?? null, movesPinned, from };
    this.options.watch({ event: 'backend-operated', pool: pool.name, backend: plan.name, ...said });
    this.review(backend, 'its maintenance is over');
    return weightOf(before, plan) !== weightOf(will, plan);
  }

  /** What operators have said of it, all in all. */
  willOf(pool: string, name: string): OperatorWill {
    return this.options.words.of(pool, name);
  }

  private useWill(backend: Backend, will: OperatorWill): void {
    const { states } = this.options;
    backend.will = will;
    // What is down for an operator is not to be tried either where all are that are down (`fail_open`, `panic_below`).
    const isInMaintenance = will.state === 'maintenance';
    states.setDraining(backend.id, will.state !== 'ready', isInMaintenance || will.movesPinned);
    states.setWeight(backend.id, weightOf(will, backend.plan) * backend.share);
  }

  /**
   * Real clients failed there. Where a check meets the same as they do it decides, at once; otherwise the backend is ejected for a
   * time, as its check may pass for ever (a port forwarder before a dead server accepts everybody). Over UDP it is in any case.
   */
  suspect(backendId: number, fault: Fault): void {
    const backend = this.backends.get(backendId);
    if (backend === undefined || !backend.verdict.isUp) return;
    backend.checker?.suspect();
    const { pool, target, checker } = backend;
    if (
      checker !== undefined &&
      (fault.protocol === 'tcp' || fault.cause === 'silent') &&
      seesFault(pool.health, target, fault)
    )
      return;
    const isLast = !this.hasStandIn(backend);
    if (isLast || !this.isShareLeft(backend)) {
      this.ejections.spare(backendId, pool.passive, fault, isLast ? 'last' : 'share');
      return;
    }
    this.ejections.begin(backendId, pool.passive, fault);
    this.review(backend, '');
    this.reviewPools();
    this.readmitTimer ??= setInterval(() => this.readmit(), readmitEveryMs);
  }

  private ejectionOver(backendId: number): void {
    const backend = this.backends.get(backendId);
    if (backend === undefined) return;
    this.review(backend, 'ejection over');
    this.reviewPools();
  }

  private isShareLeft({ pool }: Backend): boolean {
    const same = [...this.backends.values()].filter((other) => other.pool.name === pool.name);
    const ejected = same.filter(({ id }) => this.ejections.has(id)).length;
    return mayEjectOneMore(ejected, same.length, pool.passive.ejectedShareMax);
  }

  stop(): void {
    this.isStopped = true;
    clearInterval(this.resolveTimer);
    clearImmediate(this.movedTimer);
    clearInterval(this.readmitTimer);
    for (const backend of this.backends.values()) quiet(backend);
    this.ejections.stop();
    this.silence.stop();
    this.formers.stop();
    this.slowStarts.stop();
  }

  /** Only one that takes newcomers and has room for them can stand in, and that the workers know: ejected, this one would take none either. */
  private hasStandIn(backend: Backend): boolean {
    for (const other of this.backends.values()) {
      if (other === backend || other.pool.name !== backend.pool.name || this.fresh.has(other.id)) continue;
      if (this.options.states.servesNew(other.id) && this.hasRoom(other)) return true;
    }
    return false;
  }

  private hasRoom({ id, plan: { maxConnections } }: Backend): boolean {
    if (maxConnections === 0) return true;
    return this.options.flowsOf(id) + this.options.states.peerFlows(id) < maxConnections;
  }

  /**
   * A name that stopped resolving keeps its last address: the resolver's trouble is not the backend's. One nobody has answered
   * for keeps even that of another name: a reload must not cost the flows of a backend that lives.
   */
  private targetFor(found: Target, old: Backend | undefined, text: string): Bind | undefined {
    if (found === 'unanswered') return old?.target;
    return found ?? (old?.targetOf === text ? old.target : undefined);
  }

  /** What flows failed at was its address so far. @returns whether it was ejected */
  private forgiveMoved(backend: Backend, target: Bind | undefined): boolean {
    if (target === undefined || isSameTarget(backend.target, target)) return false;
    return this.ejections.forgive(backend.id);
  }

  private setLoop(backend: Backend, set: () => void): void {
    const before = leadsBackTo(backend);
    set();
    const to = leadsBackTo(backend);
    if (to === before) return;
    this.check(backend, false);
    this.review(backend, 'it leads back to no listener any more');
  }

  private wayTo(backend: Backend | undefined): Pick<BackendView, 'target' | 'loop'> {
    const { target } = backend ?? {};
    if (backend === undefined || target === undefined) return { target, loop: undefined };
    if (leadsBackTo(backend) !== undefined) return { target: undefined, loop: 'leads-back' };
    return { target, loop: backend.mayLeadBack ? 'may-lead-back' : undefined };
  }

  private knownTarget(pool: string, plan: BackendPlan): Target {
    const backend = this.find(pool, plan.name);
    if (backend === undefined || addressText(backend.plan) !== addressText(plan)) return undefined;
    // As it is when the list is taken into use: it may move until then.
    return 'unanswered';
  }

  private find(pool: string, name: string): Backend | undefined {
    return this.backends.get(this.options.ids.knownBackend(pool, name));
  }

  private putEach(pools: readonly PoolPlan[], targets: Targets, which: (id: number) => boolean): void {
    const known = new Set([...this.backends.values()].map(({ pool }) => pool.name));
    for (const pool of pools) {
      for (const plan of pool.backends) {
        const id = this.options.ids.backend(pool.name, plan.name);
        if (which(id)) this.put(id, pool, plan, targets.get(plan), !known.has(pool.name));
      }
    }
  }

  /** @param isNewPool the backend has come with its pool */
  private put(id: number, pool: PoolPlan, plan: BackendPlan, found: Target, isNewPool: boolean): void {
    const { states } = this.options;
    const old = this.backends.get(id);
    const hadTarget = old?.target !== undefined;
    const text = addressText(plan);
    const target = this.targetFor(found, old, text);
    const unresolved = target === undefined ? unresolvedBecause(found, plan) : undefined;
    const known = { id, pool, plan, target, targetOf: text, unresolved, startsWhole: isNewPool };
    const backend = old ?? newBackend(known, this.options.nowMs());
    const sameCheck =
      old !== undefined &&
      JSON.stringify([old.pool.health, old.target]) === JSON.stringify([pool.health, target]);
    const isForgiven = this.forgiveMoved(backend, target);
    const before = old === undefined ? undefined : wayOf(old);
    backend.pool = pool;
    backend.plan = plan;
    backend.target = target;
    backend.unresolved = unresolved;
    if (before !== undefined) this.noteMoved(backend, before);
    if (found !== 'unanswered') backend.targetOf = text;
    if (pool.health.type === 'none') backend.share = 1;
    this.slowStarts.change(id, pool.slowStartMs);
    if (old === undefined) {
      this.backends.set(id, backend);
      states.setUp(id, false);
    }
    this.useWill(backend, this.options.words.of(pool.name, plan.name));
    if (!sameCheck) this.check(backend, hadTarget);
    this.review(backend, isForgiven ? movedBecause : upBecause(plan, hadTarget));
  }

  /** Flows stay on the way they were opened by: what becomes of them is told once the workers know the new one. */
  private noteMoved(backend: Backend, before: Way): void {
    const now = wayOf(backend);
    if (isSameWay(before, now)) return;
    this.formers.returned(backend.id, now);
    if (before.target === undefined) return;
    const { id, plan, pool, check, downSinceMs } = backend;
    const down = check.word === 'failed' ? check.reason : undefined;
    this.formers.left({ id, name: plan.name, down, downSinceMs }, pool, before);
  }

  /** @param pool as it is now */
  private remove(backend: Backend, pool: PoolPlan): void {
    backend.pool = pool;
    quiet(backend);
    this.ejections.remove(backend.id);
    this.formers.drop(backend.id);
    // One that is found may miss an answer and be back: what an operator said of it holds.
    if (pool.discovery === undefined) this.options.words.forget(backend.pool.name, backend.plan.name);
    this.options.states.setUp(backend.id, false);
    this.slowStarts.end(backend.id);
    this.openFlows.removed(backend);
    this.backends.delete(backend.id);
  }

  /** @param keepsWord what the check has said so far holds: it is another check of the same server */
  private check(backend: Backend, keepsWord: boolean): void {
    backend.checker?.stop();
    backend.checker = undefined;
    const { health } = backend.pool;
    const { word } = backend.check;
    // Who has served without a check is not lost by the first one that fails.
    const wasUp = !keepsWord || word === 'unchecked' ? undefined : word !== 'failed';
    if (health.type === 'none' || backend.target === undefined || leadsBackTo(backend) !== undefined) {
      backend.check = { word: 'none' };
      return;
    }
    if (wasUp !== false) backend.check = { word: wasUp === undefined ? 'unchecked' : 'passed' };
    const spreadMs = Math.min(firstCheckSpreadMs, backend.pool.backends.length * 2, health.intervalMs);
    backend.checker = this.options.checks.check(
      health,
      backend.target,
      wasUp,
      Math.random() * spreadMs,
      (verdict) => this.checkSaid(backend, verdict),
      (facts) => {
        backend.checked = { ...facts, atMs: this.options.nowMs() };
        this.options.checkTook(this.options.ids.pool(backend.pool.name), facts.tookMs);
      },
    );
  }

  private checkSaid(backend: Backend, verdict: CheckVerdict): void {
    if (verdict.isUp) this.setShare(backend, verdict.share);
    if (verdict.isUp && backend.check.word === 'failed') this.recovered(backend);
    backend.check = verdict.isUp
      ? { word: 'passed' }
      : { word: 'failed', reason: verdict.reason, why: verdict.why };
    this.review(backend, 'check passed');
    // Thousands of verdicts come in one message, above all at the start: what is looked at for all backends is so once for them.
    if (this.isReviewDue) return;
    this.isReviewDue = true;
    queueMicrotask(() => this.reviewAfterChecks());
  }

  /** Its check failed and passes again. If it meets what clients met there is no reason to wait any longer. */
  private recovered({ id, target, pool: { health } }: Backend): void {
    const fault = this.ejections.faultOf(id);
    if (fault !== undefined && seesFault(health, target, fault)) this.ejections.end(id);
  }

  private reviewAfterChecks(): void {
    this.isReviewDue = false;
    if (this.isStopped) return;
    this.reviewPools();
    if (this.firstChecked.length === 0 || this.hasUnchecked()) return;
    for (const resolve of this.firstChecked.splice(0)) resolve();
  }

  /** What it is to have of its weight: a game server without free slots has none of it, and keeps who plays there. */
  private setShare(backend: Backend, share: number): void {
    if (backend.share === share) return;
    backend.share = share;
    this.options.states.setWeight(backend.id, weightOf(backend.will, backend.plan) * share);
  }

  /**
   * Judges a backend anew, and does what follows.
   * @param upNow why it is up, if it is now
   */
  private review(backend: Backend, upNow: string): void {
    const { verdict: before, unresolved, check, pool } = backend;
    const now = judge({
      isInMaintenance: backend.will.state === 'maintenance',
      unresolved,
      leadsTo: leadsBackTo(backend),
      check,
      startsUp: pool.health.start === 'up',
      ejected: this.ejections.whyOf(backend.id),
    });
    const effect = effectOf(before, now);
    backend.verdict = now;
    if (effect === 'nothing') return;
    const nowMs = this.options.nowMs();
    if (effect === 'up' || effect === 'down') {
      backend.sinceMs = nowMs;
      backend.flips.add({
        atMs: Date.now(),
        isUp: now.isUp,
        reason: now.reason ?? null,
        why: now.isUp ? upNow : now.why,
      });
      // Before anybody comes: not after the first has found it whole.
      if (now.isUp) this.startSlowly(backend);
      this.options.states.setUp(backend.id, now.isUp);
    }
    if (effect === 'up') return this.cameUp(backend, upNow);
    if (effect === 'down') {
      backend.flaps++;
      this.slowStarts.end(backend.id);
    }
    // An operator's word is about what is open now, however long it has been down.
    if (effect !== 'reason' || now.reason === 'operator') backend.downSinceMs = nowMs;
    if (effect !== 'lost') this.tellDown(backend);
    // For another reason its open flows may have another fate.
    if (effect !== 'reason' || !isSameFate(backend.onDown, onDownOf(backend)))
      this.openFlows.wentDown(backend);
  }

  private startSlowly(backend: Backend): void {
    if (backend.isDownTold || !backend.startsWhole)
      this.slowStarts.begin(backend.id, backend.pool.slowStartMs);
    backend.startsWhole = false;
  }

  private cameUp(backend: Backend, why: string): void {
    this.openFlows.cameUp(backend);
    // One that only waited for its first check was not told to be down.
    if (!backend.isDownTold) return;
    backend.isDownTold = false;
    this.options.watch({ event: 'backend-up', pool: backend.pool.name, backend: backend.plan.name, why });
  }

  private tellDown(backend: Backend): void {
    const { reason, why } = backend.verdict;
    // It has not been looked at yet: nobody is to be called for that.
    if (reason === undefined || reason === 'unchecked') return;
    const event = backend.isDownTold ? 'backend-still-down' : 'backend-down';
    backend.isDownTold = true;
    const { pool, plan, target } = backend;
    const address = target === undefined ? {} : { address: formatAddress(target) };
    const failed = failedChecks(backend);
    const checks = failed === undefined ? {} : { failedChecks: failed };
    this.options.watch({ event, pool: pool.name, backend: plan.name, reason, why, ...address, ...checks });
  }

  /** After anything that may change which backends take newcomers. */
  private reviewPools(): void {
    this.readmit();
    this.poolsDown.review(this.backends.values());
    this.backupClosing.review(this.backends.values());
  }

  /** Who is ejected comes back when nobody else of the pool takes newcomers any more, or has room for them. */
  private readmit(): void {
    if (!this.ejections.areAny) {
      clearInterval(this.readmitTimer);
      this.readmitTimer = undefined;
      return;
    }
    for (const backend of this.backends.values()) {
      const couldServe = takesNew(backend);
      if (!this.ejections.has(backend.id) || !couldServe || this.hasStandIn(backend)) continue;
      this.ejections.end(backend.id);
      this.review(backend, 'nobody else in its pool takes new clients');
    }
  }

  /** Side by side: a name server that is away must not keep the others' answers. */
  private resolveAgain(which: (backend: Backend) => boolean = () => true): void {
    for (const backend of this.backends.values()) {
      if (backend.plan.address.kind === 'name' && which(backend)) void this.resolve(backend);
    }
  }

  private async resolve(backend: Backend): Promise<void> {
    const { plan } = backend;
    const found = await this.options.checks.resolve(plan.address);
    // A reload meanwhile has resolved by itself, perhaps another name.
    if (this.isStopped || this.backends.get(backend.id) !== backend || backend.plan !== plan) return;
    const text = addressText(plan);
    const target = this.targetFor(found, backend, text);
    if (found !== 'unanswered') backend.targetOf = text;
    if (JSON.stringify(target) === JSON.stringify(backend.target)) return;
    const hadTarget = backend.target !== undefined;
    const isForgiven = this.forgiveMoved(backend, target);
    const before = wayOf(backend);
    backend.target = target;
    backend.unresolved = target === undefined ? unresolvedBecause(found, backend.plan) : undefined;
    this.noteMoved(backend, before);
    this.check(backend, hadTarget);
    if (target !== undefined) {
      this.options.watch({
        event: 'backend-resolved',
        pool: backend.pool.name,
        backend: backend.plan.name,
        address: formatAddress(target),
      });
    }
    this.review(backend, isForgiven ? movedBecause : 'its name resolves');
    this.reviewPools();
    // One snapshot for the names that answer together.
    this.movedTimer ??= setImmediate(() => {
      this.movedTimer = undefined;
      this.options.onMoved();
      this.formers.settle([]);
    });
  }
}

const movedBecause = 'it is at another address';

/** Why what a plan says of a backend makes it come up. */
function upBecause({ address }: BackendPlan, hadTarget: boolean): string {
  if (hadTarget) return 'its pool has no check any more';
  return address.kind === 'name' ? 'its name resolves' : 'its address is given';
}
