/**
 * Keeps the pin table and Redis in step: the loop that collects changes and leads the shards, the loop that follows
 * the streams, and the beat that looks whether all is as it should be. Nobody waits for any of this: a flow reads
 * the table, and the table is changed here when there is news.
 */

import type { ClusterPlan } from '../core/cluster-plan.ts';
import type { PinChange, PinTable } from '../core/pins/table.ts';
import type { PinNames } from '../pins/names.ts';
import { changeOf } from './changes.ts';
import type { ClusterWatcher } from './events.ts';
import type { Faults } from './faults.ts';
import { retryDelayMs } from './retry-delay.ts';
import { Scanner, type ScanSource } from './scanner.ts';
import { ShardDriver } from './shard-driver.ts';
import { ShardReplica } from './shard-replica.ts';
import type { StreamEntry } from './store.ts';

export interface ReplicationStore extends ScanSource {
  follow(cursors: ReadonlyMap<number, string>): Promise<ReadonlyMap<number, readonly StreamEntry[]>>;
  reconnectFollower(): void;
  readonly isConnected: boolean;
}

export interface ReplicationOptions {
  readonly store: ReplicationStore;
  readonly plan: ClusterPlan;
  readonly pins: PinTable;
  readonly names: PinNames;
  readonly incarnation: string;
  /** Which start of the cluster room this is in its process, from 1. */
  readonly start: number;
  /** The number of the last scan before this one began. */
  readonly generation?: number;
  readonly faults: Faults;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly watch: ClusterWatcher;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Changes taken from the table in one turn, at most. */
const drainMax = 16_384;
/** An idle instance looks for changes this many times less often: looking is most of what it does. */
const idleFlushes = 4;
/** And the shortest time between two looks at the streams that bring nothing on: Redis is to wait, and may not. */
const idleFollowMs = 20;
/** How long after a start Redis may not be there before that is told; that it refuses is told at once. */
const startQuietMs = 1_000;
/**
 * Gaps are told together, at most this often: a stream that is tampered with must not fill the log. When the keys are about to
 * be read for them they are told before.
 */
const gapsQuietMs = 1_000;

export class Replication {
  readonly drivers: readonly ShardDriver[];
  readonly counts = { written: 0, learned: 0, gaps: 0, resyncs: 0, stalls: 0 };
  /** Set by who knows that the cluster's layout is ours: before, nothing is written. */
  isAllowed = false;
  /** All pins have been read once since the start; losing Redis afterwards does not change it. */
  caughtUp = false;
  private readonly options: ReplicationOptions;
  private readonly replicas: readonly ShardReplica[];
  private readonly scanner: Scanner;
  private isStopped = false;
  private tickTimer: NodeJS.Timeout | undefined;
  private tickedAtMs: number;
  private sweptAtMs: number;
  private droppedAtSweep = 0;
  private resyncFailures = 0;
  private resyncAtMs = 0;
  private gapsUntold = 0;
  private gapWhy = '';
  private gapsToldAtMs = Number.NEGATIVE_INFINITY;
  /** As it was told last; undefined before anything was. */
  private isConnected: boolean | undefined;
  /** What went wrong last before all shards were live again: no reason for the next loss. */
  private overcome: Faults['last'];
  /** Changes of the last round that had no names. */
  private nameless: PinChange[] = [];
  /** Changes the last round took from the pin table. */
  private drained = 0;
  private since: number;

  constructor(options: ReplicationOptions) {
    this.options = options;
    const { plan, nowMs } = options;
    this.tickedAtMs = nowMs();
    this.sweptAtMs = nowMs();
    this.since = nowMs();
    this.replicas = Array.from({ length: plan.shards }, () => this.replica());
    this.drivers = this.replicas.map((replica, shard) => this.driver(shard, replica));
    this.scanner = new Scanner({ ...options, replicas: this.replicas });
  }

  start(): void {
    this.tickedAtMs = this.options.nowMs();
    this.schedule();
    void this.follow();
  }

  /** The next round: soon while there are changes, later when the last one found none. */
  private schedule(): void {
    const isBusy = this.drained > 0 || this.journalSize > 0 || !this.caughtUp;
    const { flushMs } = this.options.plan;
    this.tickTimer = setTimeout(
      () => {
        this.tick();
        if (!this.isStopped) this.schedule();
      },
      isBusy ? flushMs : flushMs * idleFlushes,
    );
  }

  /** Ends the loops. What is in the journal is given one last batch of time by {@link settle}. */
  stop(): void {
    this.isStopped = true;
    clearTimeout(this.tickTimer);
    this.scanner.stop();
    for (const replica of this.replicas) replica.journal.releaseWaiters();
  }

  /** Resolves when everything noted so far has been sent, or after `timeoutMs`. */
  async settle(timeoutMs: number): Promise<void> {
    const untilMs = performance.now() + timeoutMs;
    this.drain();
    const isOpen = (replica: ShardReplica): boolean => replica.phase === 'live' && replica.unsettled > 0;
    while (performance.now() < untilMs && (this.drained > 0 || this.replicas.some(isOpen)))
      await this.options.sleep(this.options.plan.flushMs);
  }

  get liveShards(): number {
    return this.replicas.filter((replica) => replica.phase === 'live').length;
  }

  get scanningShards(): number {
    return this.replicas.filter((replica) => replica.needsScan).length;
  }

  /** Shards whose news do not get here, though there are some. */
  get stuckShards(): number {
    return this.drivers.filter((driver) => driver.timesStuck > 0).length;
  }

  get yieldedShards(): number {
    return this.replicas.filter((replica) => replica.phase === 'yielded').length;
  }

  get journalSize(): number {
    return this.replicas.reduce((sum, replica) => sum + replica.unsettled, 0);
  }

  get journalDropped(): number {
    return this.replicas.reduce((sum, replica) => sum + replica.journal.dropped, 0);
  }

  get generation(): number {
    return this.replicas.reduce((highest, { generation }) => Math.max(highest, generation), 0);
  }

  get inStep(): boolean {
    return this.replicas.every((replica) => replica.phase === 'live' && !replica.needsScan);
  }

  shard(index: number): ShardDriver {
    return this.drivers[index]!;
  }

  /** The connection is back. */
  connected(): void {
    for (const driver of this.drivers) driver.retryNow();
  }

  /** The connection is gone: nobody is to wait for an answer. */
  disconnected(): void {
    for (const driver of this.drivers) {
      if (driver.replica.phase !== 'cut') driver.cut();
    }
    if (!this.isStopped) this.tellConnection();
  }

  /** One round of work; a timer calls it. */
  tick(): void {
    const { plan, nowMs, store } = this.options;
    const stalledMs = nowMs() - this.tickedAtMs;
    this.tickedAtMs = nowMs();
    // The lease was prolonged up to a heartbeat before it began.
    if (stalledMs > plan.leaseMs - plan.heartbeatMs) this.stalled(stalledMs);
    this.drain();
    if (this.isAllowed && store.isConnected) for (const driver of this.drivers) driver.step();
    if (nowMs() >= this.gapsToldAtMs + gapsQuietMs) this.tellGaps();
    this.tellConnection();
    this.compare();
    this.caughtUp ||= this.inStep;
  }

  /** Prolongs the leases; to be called every heartbeat. */
  beat(): void {
    if (!this.options.store.isConnected) return;
    for (const driver of this.drivers) void driver.beat();
    const stuck = this.drivers.filter((driver) => driver.isStuck);
    if (stuck.length === 0) return;
    for (const driver of this.drivers) driver.stuckBeats = 0;
    for (const driver of stuck) driver.noteStuck();
    this.options.store.reconnectFollower();
  }

  /** What Redis has is to be read once more: more of it is of use here than before. */
  readAgain(why: string): void {
    for (const replica of this.replicas) replica.readAgain();
    this.gapsUntold += this.replicas.length;
    this.gapWhy = why;
  }

  private stalled(stalledMs: number): void {
    this.counts.stalls++;
    for (const driver of this.drivers) if (driver.replica.phase === 'live') driver.replica.check();
    this.options.watch({ event: 'cluster-stalled', stalledMs: Math.round(stalledMs) });
  }

  private drain(): void {
    const { pins } = this.options;
    const most = this.room();
    const early = this.nameless;
    this.nameless = [];
    for (const change of early) this.note(change, false);
    this.drained = pins.drainChanges(most, (change) => this.note(change, true));
    if (this.drained < most) for (const replica of this.replicas) replica.trust();
  }

  /** A pin may come before the message with its names: it is tried once more in the next round. */
  private note(change: PinChange, mayWait: boolean): void {
    const named = changeOf(this.options.names, change);
    if (named !== undefined) this.replicas[named.shard]!.note(named.change);
    else if (mayWait) this.nameless.push(change);
  }

  /**
   * Changes to take in one turn. What the journals of shards in touch with Redis have no room for stays in the pin table, as
   * marks, which lose nothing. Away, a journal is where changes are kept, and the oldest are dropped.
   */
  private room(): number {
    let room = drainMax;
    for (const replica of this.replicas) {
      if (replica.phase === 'live') room = Math.min(room, replica.room);
    }
    return room;
  }

  /** Starts a resync or a sweep when there is reason to. */
  private compare(): void {
    const { nowMs, plan, random, faults } = this.options;
    if (this.scanner.busy || this.isStopped) return;
    const wants = this.replicas.some((replica) => replica.needsScan && replica.phase === 'live');
    // All that are coming are waited for, so that the keys are read once and not once for each shard.
    const isComing = this.replicas.some(
      (replica) => replica.phase === 'catching-up' || replica.phase === 'checking',
    );
    if (wants && nowMs() >= this.resyncAtMs && !isComing) {
      this.counts.resyncs++;
      this.tellGaps();
      // Half a second at least between two: a stream that is tampered with must not keep us reading.
      this.resyncAtMs = nowMs() + 500;
      this.scanner.resync().then(
        () => {
          this.resyncFailures = 0;
        },
        (error) => {
          faults.note(error);
          this.resyncAtMs = nowMs() + 500 + retryDelayMs(++this.resyncFailures, random);
        },
      );
      return;
    }
    if (wants || !this.inStep) return;
    const hasDropped = this.journalDropped > this.droppedAtSweep && this.journalSize === 0;
    if (!hasDropped && nowMs() - this.sweptAtMs < plan.sweepMs) return;
    this.droppedAtSweep = this.journalDropped;
    this.sweptAtMs = nowMs();
    void this.scanner.sweep().then((wentThrough) => {
      if (!wentThrough) this.sweptAtMs = Number.NEGATIVE_INFINITY;
    });
  }

  /** Follows the streams until stopped; `start` calls it. */
  async follow(): Promise<void> {
    const { store, faults, random, nowMs } = this.options;
    let failures = 0;
    while (!this.isStopped) {
      const cursors = new Map<number, string>();
      for (const [shard, { phase, cursor }] of this.replicas.entries()) {
        if (phase === 'live' || phase === 'yielded') cursors.set(shard, cursor);
      }
      if (cursors.size === 0) {
        await this.options.sleep(idleFollowMs);
        continue;
      }
      try {
        const askedMs = nowMs();
        const found = await store.follow(cursors);
        for (const [shard, entries] of found) this.replicas[shard]!.heard(entries);
        failures = 0;
        const isFurther = [...cursors].some(([shard, cursor]) => this.replicas[shard]!.cursor !== cursor);
        if (!isFurther && nowMs() - askedMs < idleFollowMs) await this.options.sleep(idleFollowMs);
      } catch (error) {
        if (this.isStopped) return;
        faults.note(error);
        await this.options.sleep(retryDelayMs(++failures, random));
      }
    }
  }

  private tellGaps(): void {
    if (this.gapsUntold === 0) return;
    this.gapsToldAtMs = this.options.nowMs();
    this.options.watch({ event: 'cluster-resync', why: this.gapWhy, shards: this.gapsUntold });
    this.gapsUntold = 0;
  }

  private tellConnection(): void {
    const { nowMs, watch, faults } = this.options;
    const live = this.liveShards;
    if (this.isConnected !== true && live === this.replicas.length) {
      this.isConnected = true;
      this.overcome = faults.last;
      watch({ event: 'cluster-connected', afterMs: Math.round(nowMs() - this.since) });
    } else if (this.isConnected !== false && live === 0) {
      if (this.isConnected === undefined && this.mayStillCome()) return;
      this.isConnected = false;
      this.since = nowMs();
      // Redis is there; that the name is taken is told by whoever asks for it.
      if (this.yieldedShards > 0) return;
      const reason = faults.last === this.overcome ? undefined : faults.last;
      const { fault, message } = reason ?? { fault: undefined, message: 'no reason is known' };
      watch({ event: 'cluster-away', fault, message });
    }
  }

  private mayStillCome(): boolean {
    const { nowMs, faults } = this.options;
    if (faults.last === undefined || this.yieldedShards > 0) return true;
    return faults.last.fault === 'away' && nowMs() - this.since < startQuietMs;
  }

  private replica(): ShardReplica {
    const { plan, names, nowMs } = this.options;
    const replica = new ShardReplica(
      plan.instance,
      Math.max(1, Math.ceil(plan.journalPinsMax / plan.shards)),
      {
        learn: (text, value, pxMs, generation) => {
          const isTaken = names.learn(text, value, pxMs, generation, nowMs());
          if (isTaken && value !== undefined && value.writer !== plan.instance) this.counts.learned++;
          return isTaken;
        },
        gap: (why) => {
          this.counts.gaps++;
          this.gapsUntold++;
          this.gapWhy = why;
        },
      },
    );
    replica.generation = this.options.generation ?? 0;
    return replica;
  }

  private driver(shard: number, replica: ShardReplica): ShardDriver {
    const { faults } = this.options;
    return new ShardDriver(shard, replica, {
      ...this.options,
      failed: (error) => faults.note(error),
      written: (pins) => {
        this.counts.written += pins;
      },
    });
  }
}
