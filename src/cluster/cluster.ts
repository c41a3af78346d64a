/**
 * The cluster as control sees it: shares the pin table and the flow counts with the other instances through Redis.
 *
 *    pin table <--> Replication (shards) <--> Redis <--> the other instances
 *    states    <--  Members (beat, counts) <-->
 *                   FlowTable  -->
 *
 * `start` returns at once and never fails because Redis does: without it this instance carries on with what it
 * knows, and says so. All methods belong to control's thread.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackendStates } from '../core/backend-states.ts';
import type { ClusterPlan } from '../core/cluster-plan.ts';
import type { Key } from '../core/key.ts';
import type { KillOrder } from '../core/kill-order.ts';
import { listedMax } from '../core/limits.ts';
import type { OperatorRow } from '../core/operator-word.ts';
import type { PinTable } from '../core/pins/table.ts';
import type { HandOutcome, OperatorChange } from '../pins/by-hand.ts';
import { type Names, PinNames } from '../pins/names.ts';
import { type PinValue, parseValue } from '../pins/pin-text.ts';
import { CalmWatch } from './calm-watch.ts';
import { type ClaimDone, type ClaimOutcome, type ClaimRequest, Claims } from './claims.ts';
import type { ClientSums } from './client-sums.ts';
import { Connections } from './connections.ts';
import type { RedisFault } from './errors.ts';
import type { ClusterWatcher } from './events.ts';
import { Faults } from './faults.ts';
import { beatsPerFlowTable, type ClusterFlow, type ClusterFlowRow, FlowTable } from './flow-table.ts';
import { newIncarnation } from './incarnation.ts';
import type { Waiter } from './journal.ts';
import { KeptWords } from './kept-words.ts';
import { LateMembers } from './late-members.ts';
import { type ClusterIdentity, type FlowCount, type Member, Members } from './members.ts';
import { RedisStore } from './redis-store.ts';
import { Replication } from './replication.ts';
import type { MemberRow } from './store.ts';
import { KillTeller } from './told-kills.ts';

export interface ClusterOptions {
  readonly plan: ClusterPlan;
  readonly identity: ClusterIdentity;
  readonly names: Names;
  readonly pins: PinTable;
  readonly states: BackendStates;
  /** Flows open on this instance per backend; those with none may be left out. */
  readonly countFlows: () => readonly FlowCount[];
  /** What clients have, where limits are summed. Absent: nobody is asked to sum any. */
  readonly clients?: ClientSums;
  /** Open flows, at most `most`. */
  readonly listFlows: (most: number) => Promise<readonly ClusterFlow[]>;
  /** Operators' words for this instance are known, or others than before. @returns false: it could not be told */
  readonly operatorWords: (rows: readonly OperatorRow[]) => boolean;
  /** An operator ends flows on all instances: so long ago another one was told. */
  readonly killHeard: (order: KillOrder, from: string, ageMs: number) => void;
  readonly watch: ClusterWatcher;
  /** Milliseconds on the clock the pin table is used with. */
  readonly nowMs: () => number;
  /** What an earlier one of this process left in the table. */
  readonly predecessor?: Predecessor;
}

/** The sharing is begun anew on a table that was shared before: under the same right to write, and nothing counts as read. */
export interface Predecessor {
  readonly incarnation: string;
  /** Which start this is, from 1: then there was none before, and what follows is what a first one begins with. */
  readonly start: number;
  /** The highest number of a scan it has marked pins with. */
  readonly generation: number;
  readonly writers: readonly string[];
}

export type ClusterState = 'away' | 'partial' | 'in-step' | 'resyncing' | 'name-taken' | 'layout-differs';

/** All of the status but the members, who may say much. */
export type ClusterFigures = Omit<ClusterStatus, 'members'>;

export interface ClusterStatus {
  readonly name: string;
  readonly instance: string;
  readonly state: ClusterState;
  /** All shared pins have been read once since the start. */
  readonly caughtUp: boolean;
  readonly liveShards: number;
  readonly shards: number;
  readonly members: readonly Member[];
  readonly differingDigests: number;
  readonly peerFlows: number;
  readonly journal: number;
  readonly journalDropped: number;
  readonly pinsWritten: number;
  readonly pinsLearned: number;
  readonly pinsIgnored: number;
  readonly gaps: number;
  readonly stalls: number;
  readonly flowsUntold: number;
  readonly claims: Readonly<Record<ClaimOutcome, number>>;
  readonly claimsWaiting: number;
  readonly faults: Readonly<Record<RedisFault, number>>;
  readonly lastFault: { readonly fault: RedisFault; readonly message: string } | undefined;
}

/** How many leases old a peer's counts may be when Redis is away; then they count for nothing. */
const countsLeases = 3;
const leaveTimeoutMs = 1_000;
/** How long a start waits for the shared pins: while Redis answers (a million pins take about ten seconds), and else. */
const catchUpMaxMs = { answering: 15_000, away: 2_000 } as const;

export function createCluster(options: ClusterOptions): Cluster {
  return new Cluster(options);
}

export class Cluster {
  readonly members: Members;
  readonly names: PinNames;
  private readonly options: ClusterOptions;
  private readonly store: RedisStore;
  private readonly faults: Faults;
  private readonly calm: CalmWatch;
  private readonly late: LateMembers;
  private readonly replication: Replication;
  private readonly claims: Claims;
  private readonly flows: FlowTable;
  private readonly table: Connections;
  private readonly words: KeptWords;
  private readonly kills: KillTeller;
  private readonly incarnation: string;
  private beatTimer: NodeJS.Timeout | undefined;
  private isBeating = false;
  private beats = 0;
  private isPublishing = false;
  private beatAtMs = 0;
  private layoutDiffers = false;
  private isLayoutKnown = false;
  private isNameTaken = false;
  private isStopped = false;
  /** Pins ignored when names were added last. */
  private ignoredBefore = 0;

  constructor(options: ClusterOptions) {
    const { plan, pins, nowMs, identity } = options;
    this.calm = new CalmWatch(options.watch, nowMs);
    const watch: ClusterWatcher = (event) => this.calm.tell(event);
    this.options = options;
    this.store = new RedisStore(plan, (fault) => this.faults.note(fault));
    const { predecessor } = options;
    this.incarnation = predecessor?.incarnation ?? newIncarnation();
    this.names = new PinNames(options.names, pins, plan.shards, predecessor?.writers);
    this.faults = new Faults(watch, nowMs);
    this.late = new LateMembers(Math.ceil(plan.leaseMs / plan.heartbeatMs));
    const { store, names, faults, incarnation } = this;
    this.replication = new Replication({
      store,
      plan,
      pins,
      names,
      incarnation,
      start: predecessor?.start ?? 1,
      generation: predecessor === undefined ? 0 : predecessor.generation + 1,
      faults,
      nowMs,
      random: Math.random,
      watch,
      sleep,
    });
    this.members = new Members(plan.instance, identity, names, options.states, watch);
    this.flows = new FlowTable(store, plan.flowRowsMax, Date.now);
    this.table = new Connections(store, () => this.members.members.keys());
    this.words = new KeptWords({
      store,
      instance: plan.instance,
      mayWrite: () => this.mayWrite,
      tell: options.operatorWords,
      nowMs: Date.now,
    });
    this.kills = new KillTeller({
      store,
      instance: plan.instance,
      newId: randomUUID,
      mayWrite: () => this.mayWrite,
      heard: options.killHeard,
    });
    const driverOf = (shard: number) => this.replication.shard(shard);
    this.claims = new Claims(plan.claimsWaitingMax, names, store, driverOf, nowMs, (error) =>
      faults.note(error),
    );
  }

  /** Begins to share. Pins that are in the table already are told, too. */
  start(): void {
    const { store } = this;
    store.command.on('error', (error) => this.faults.note(error));
    // The follower's errors are the same again.
    store.follower.on('error', () => {});
    store.command.on('ready', () => {
      if (!store.isConnected) return;
      this.flows.reset();
      this.replication.connected();
      void this.beat();
    });
    store.command.on('close', () => this.disconnected());
    this.options.pins.reportChanges(true);
    this.replication.start();
    this.beatTimer = setInterval(() => void this.beat(), this.options.plan.heartbeatMs);
  }

  /**
   * Resolves once all shared pins have been read, or when that takes too long. To be waited for before clients are let
   * in: to an instance that was started again they would be strangers.
   */
  async catchUp(): Promise<void> {
    const sinceMs = performance.now();
    const { replication } = this;
    while (!(replication.caughtUp && this.words.areRead) && !this.isStopped) {
      const patienceMs = this.isAnswering ? catchUpMaxMs.answering : catchUpMaxMs.away;
      if (performance.now() - sinceMs > patienceMs) return;
      await sleep(this.options.plan.flushMs);
    }
  }

  /** Redis says what it was asked, or that it will when it has read its file: a connection alone proves nothing. */
  private get isAnswering(): boolean {
    if (!this.store.isConnected) return false;
    return this.replication.liveShards > 0 || this.faults.last?.fault === 'loading';
  }

  /** A reload has brought new pools or backends: pins that were ignored for want of them are read again. */
  namesAdded(): void {
    const { ignored } = this.names;
    if (ignored === this.ignoredBefore) return;
    this.ignoredBefore = ignored;
    this.replication.readAgain('a reload added names');
  }

  /** Tells what is left to tell, says goodbye and leaves; at most about two seconds. */
  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    clearInterval(this.beatTimer);
    await this.replication.settle(leaveTimeoutMs);
    this.replication.stop();
    this.options.pins.reportChanges(false);
    if (this.store.isConnected && !this.isNameTaken) {
      const goodbye = this.store.leave(this.members.own(this.incarnation, 0, 0, true));
      const words = this.words.flush();
      await Promise.race([Promise.allSettled([goodbye, words]), timeout(leaveTimeoutMs)]);
    }
    this.store.close();
    this.members.forgetCounts();
  }

  /** Who may this client's flow go to? See {@link Claims}. `done` is called once, never later than the deadline. */
  claim(request: ClaimRequest, done: ClaimDone): void {
    this.claims.claim(request, done);
  }

  /** An operator's word. Resolves when Redis has it, or when it will be told later. */
  tell({ shard, text, backend, ttlMs }: OperatorChange): Promise<HandOutcome> {
    return new Promise((resolve) => {
      const waiter: Waiter = (stands) => resolve(stands === undefined ? 'here-only' : 'shared');
      const { replica } = this.replication.shard(shard);
      replica.note({
        text,
        expect: '*',
        backend,
        attempted: undefined,
        ttlMs,
        expiresAtMs: this.options.nowMs() + ttlMs,
        reason: 'operator',
        isSweep: false,
        waiters: replica.phase === 'live' ? [waiter] : undefined,
      });
      if (replica.phase !== 'live') resolve('here-only');
    });
  }

  /** An operator's word about a backend. Resolves when Redis has it, or when it will be written later. */
  operate(rows: readonly OperatorRow[]): Promise<HandOutcome> {
    return this.words.keep(rows);
  }

  /** Words that Redis has lost, or does not have yet. */
  keepWords(rows: readonly OperatorRow[]): void {
    this.words.keepLater(rows);
  }

  /** An operator ends flows on all instances. Never rejects. `here-only`: the others will not hear of it. */
  tellKill(order: KillOrder): Promise<HandOutcome> {
    return this.kills.tell(order);
  }

  /** The highest number of a scan that pins may be marked with. */
  get generation(): number {
    return this.replication.generation;
  }

  get state(): ClusterState {
    const { replication } = this;
    if (this.layoutDiffers) return 'layout-differs';
    if (replication.yieldedShards > 0) return 'name-taken';
    if (replication.liveShards === 0) return 'away';
    if (replication.liveShards < this.options.plan.shards || replication.stuckShards > 0) return 'partial';
    return replication.scanningShards > 0 ? 'resyncing' : 'in-step';
  }

  status(): ClusterStatus {
    return { ...this.figures(), members: [...this.members.members.values()] };
  }

  figures(): ClusterFigures {
    const { replication, members } = this;
    const { plan } = this.options;
    const { counts } = replication;
    return {
      name: plan.name,
      instance: plan.instance,
      state: this.state,
      caughtUp: replication.caughtUp,
      liveShards: replication.liveShards,
      shards: plan.shards,
      differingDigests: members.differingDigests,
      peerFlows: members.peerFlows,
      journal: replication.journalSize,
      journalDropped: replication.journalDropped,
      pinsWritten: counts.written,
      pinsLearned: counts.learned,
      pinsIgnored: this.names.ignored,
      gaps: counts.gaps,
      stalls: counts.stalls,
      flowsUntold: this.flows.untold,
      claims: this.claims.counts,
      claimsWaiting: this.claims.waiting,
      faults: this.faults.counts,
      lastFault: this.faults.last,
    };
  }

  /**
   * What Redis itself holds for a client, for `explain`; undefined if nothing, or nothing of use.
   * Rejects when Redis does not answer.
   */
  async shared(poolId: number, key: Key): Promise<(PinValue & { readonly expiresInMs: number }) | undefined> {
    const place = this.names.place(poolId, key);
    if (place === undefined) return undefined;
    const pin = (await this.store.read(place.shard, [place.text])).pins[0];
    const value = pin === undefined ? undefined : parseValue(pin.value);
    return value === undefined ? undefined : { ...value, expiresInMs: pin!.pxMs };
  }

  /** The connection table of all instances, at most `most` rows of each and 100,000 in all. Rejects when Redis does not answer. */
  connections(most = listedMax): Promise<ClusterFlowRow[]> {
    return this.table.list(most);
  }

  private disconnected(): void {
    this.replication.disconnected();
    this.flows.reset();
  }

  private async beat(): Promise<void> {
    const { plan, nowMs, countFlows, pins } = this.options;
    this.calm.flush();
    if (nowMs() - this.beatAtMs > plan.leaseMs * countsLeases) this.members.forgetCounts();
    if (this.isBeating || this.isStopped || !this.store.isConnected) return;
    this.isBeating = true;
    try {
      this.replication.beat();
      this.tellNameTaken();
      if (this.isNameTaken) return;
      const counts = countFlows();
      const flows = counts.reduce((sum, [, , count]) => sum + count, 0);
      const own = this.members.own(this.incarnation, flows, pins.stats().live, false);
      const { layout, rows } = await this.store.beat(own, this.countsText(counts), this.layout);
      this.beatAtMs = nowMs();
      this.compareLayout(layout);
      if (this.isStopped) return;
      this.hearMembers(this.late.complete(rows));
      await this.words.read();
      await this.words.flush();
      if (!this.layoutDiffers) await this.kills.read();
      // Counts matter every second; the table of who is connected where is for people.
      if (this.beats++ % beatsPerFlowTable === 0) void this.publishFlows();
    } catch (error) {
      this.faults.note(error);
      // A Redis that takes no writes is read all the same.
      if (this.store.isConnected) await this.words.read().catch(() => {});
    } finally {
      this.isBeating = false;
    }
  }

  private countsText(counts: readonly FlowCount[]): string {
    const text = JSON.stringify(counts);
    const clients = this.options.clients?.own(this.members.members.size, Buffer.byteLength(text)) ?? [];
    return clients.length === 0 ? text : JSON.stringify([...counts, ...clients]);
  }

  private hearMembers(rows: readonly MemberRow[]): void {
    const { plan, clients } = this.options;
    const { members } = this.members;
    this.members.heard(rows);
    const others = rows.filter(({ instance }) => instance !== plan.instance && members.has(instance));
    clients?.heard(
      others.map(({ counts }) => counts),
      Math.max(1, members.size),
      plan.leaseMs,
    );
  }

  /** Beside the beat, not in it: listing many flows may take longer than a heartbeat. */
  private async publishFlows(): Promise<void> {
    if (this.isPublishing) return;
    this.isPublishing = true;
    try {
      await this.flows.publish(await this.options.listFlows(this.options.plan.flowRowsMax + 1));
    } catch (error) {
      this.flows.reset();
      this.faults.note(error);
    } finally {
      this.isPublishing = false;
    }
  }

  private get mayWrite(): boolean {
    return this.store.isConnected && this.isLayoutKnown && !this.layoutDiffers && !this.isNameTaken;
  }

  private get layout(): string {
    return `1 ${this.options.plan.shards}`;
  }

  private compareLayout(theirs: string): void {
    const differs = theirs !== this.layout;
    this.isLayoutKnown = true;
    this.replication.isAllowed = !differs;
    if (differs && !this.layoutDiffers) {
      this.replication.disconnected();
      this.calm.tell({ event: 'cluster-layout-differs', ours: this.layout, theirs: theirs.slice(0, 64) });
    }
    this.layoutDiffers = differs;
  }

  private tellNameTaken(): void {
    const isTaken = this.replication.yieldedShards > 0;
    if (isTaken && !this.isNameTaken) {
      this.calm.tell({ event: 'cluster-name-taken', instance: this.options.plan.instance });
    }
    this.isNameTaken = isTaken;
  }
}

function timeout(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
