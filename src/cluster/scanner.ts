/**
 * Comparing the whole of the pin table with the whole of what Redis holds, while both serve:
 *
 *   resync   after a gap: all keys are read into the table, then the pins of the table that were not among them
 *            are claimed again. So a Redis that came back empty gets back what its instances know.
 *   sweep    now and then, and after changes had to be dropped: every pin is claimed again where it is. A pin that
 *            stands costs one read; one that was evicted is put back; one that stands elsewhere is learned.
 */

import type { ClusterPlan } from '../core/cluster-plan.ts';
import type { Pin, PinTable } from '../core/pins/table.ts';
import type { PinNames } from '../pins/names.ts';
import { portionsOf } from '../pins/walk.ts';
import type { ClusterWatcher } from './events.ts';
import type { ShardReplica } from './shard-replica.ts';
import type { ClusterStore } from './store.ts';

export interface ScanSource extends ClusterStore {
  scan(): AsyncIterable<ReadonlyMap<number, readonly string[]>>;
  /** Tells of each shard that has gone to another server, until what it returns is called. */
  whenMoved(heard: (shard: number) => void): () => void;
}

export interface ScannerOptions {
  readonly store: ScanSource;
  readonly plan: ClusterPlan;
  readonly pins: PinTable;
  readonly names: PinNames;
  readonly replicas: readonly ShardReplica[];
  readonly nowMs: () => number;
  readonly watch: ClusterWatcher;
  readonly sleep: (ms: number) => Promise<void>;
}

/** Pins looked at between two pauses of a sweep, and the pause: five thousand a second. */
const sweepSlice = 200;
const sweepPauseMs = 40;
/** Answers of SCAN being worked on at one time. */
const pagesAtOnce = 4;
/** A pin there never is. */
const nobody = 'nobody';
/** Pins looked at before others get their turn on this thread. */
const turnSlice = 1_000;

export class Scanner {
  private readonly options: ScannerOptions;
  private isBusy = false;
  private isStopped = false;

  constructor(options: ScannerOptions) {
    this.options = options;
  }

  get busy(): boolean {
    return this.isBusy;
  }

  stop(): void {
    this.isStopped = true;
  }

  /** Brings the shards that need it back into step. Rejects when Redis does not answer; it is asked for again then. */
  async resync(): Promise<void> {
    const { replicas, nowMs, watch, store } = this.options;
    if (this.isBusy) return;
    const scans = new Map<number, number>();
    for (const [shard, replica] of replicas.entries()) {
      if (replica.needsScan && replica.phase === 'live') scans.set(shard, replica.beginScan());
    }
    if (scans.size === 0) return;
    this.isBusy = true;
    const startedMs = nowMs();
    const moved = new Set<number>();
    const forget = store.whenMoved((shard) => {
      if (this.hasMoved(shard, scans)) moved.add(shard);
    });
    try {
      const pinsRead = await this.readKeys(scans);
      const pinsPublished = await this.publish(scans);
      let done = 0;
      for (const [shard, scan] of scans) if (replicas[shard]!.endScan(scan)) done++;
      const tookMs = Math.round(nowMs() - startedMs);
      if (done > 0) watch({ event: 'cluster-resynced', pinsRead, pinsPublished, tookMs });
      const why = 'their slots moved while the keys were read';
      if (moved.size > 0) watch({ event: 'cluster-resync', why, shards: moved.size });
    } finally {
      forget();
      this.isBusy = false;
    }
  }

  /** Servers are read one after the other: keys may have come to one that was read already, from one that was not yet. */
  private hasMoved(shard: number, scans: ReadonlyMap<number, number>): boolean {
    const replica = this.options.replicas[shard]!;
    const scan = scans.get(shard);
    if (scan === undefined || !replica.isScan(scan)) return false;
    replica.readAgain();
    return true;
  }

  /**
   * Compares every pin of the table with Redis, slowly. Makes way for a resync.
   * @returns false if it did not come to the end
   */
  async sweep(): Promise<boolean> {
    if (this.isBusy) return false;
    const { replicas, names } = this.options;
    const mustEnd = (): boolean => this.isStopped || replicas.some((replica) => replica.needsScan);
    this.isBusy = true;
    try {
      let looked = 0;
      for await (const pin of this.allPins()) {
        if (++looked % sweepSlice === 0) {
          await this.options.sleep(sweepPauseMs);
          if (mustEnd()) return false;
        }
        const replica = replicas[names.shard(pin)]!;
        while (replica.phase === 'live' && !this.hasRoom(replica)) {
          await this.options.sleep(sweepPauseMs);
          if (mustEnd()) return false;
        }
        if (replica.phase === 'live') this.claimAgain(pin, replica);
      }
      return !this.isStopped;
    } finally {
      this.isBusy = false;
    }
  }

  private async readKeys(scans: ReadonlyMap<number, number>): Promise<number> {
    const { store } = this.options;
    let pinsRead = 0;
    // A few pages at a time, so that Redis works on one while we work on another.
    const pages: Promise<number>[] = [];
    for await (const page of store.scan()) {
      const reading = this.readPage(page, scans);
      reading.catch(() => {});
      pages.push(reading);
      if (pages.length >= pagesAtOnce) pinsRead += await pages.shift()!;
      if (this.isStopped) break;
    }
    for (const page of pages) pinsRead += await page;
    await Promise.all([...scans].map(([shard, scan]) => this.verify(shard, scan)));
    return pinsRead;
  }

  /**
   * Keys that were not there tell nothing: whether Redis is still what it was is asked at the end. And asked for a pin there
   * never is, so that a Redis Cluster answers only if the keys are all in one place: while a slot moves, some of ours may have
   * gone to a node that was read before. One that has moved answers as well, and {@link ScanSource.whenMoved} says so.
   */
  private async verify(shard: number, scan: number): Promise<void> {
    const replica = this.options.replicas[shard]!;
    if (!replica.isScan(scan)) return;
    const knownThen = replica.known;
    const reply = await this.options.store.read(shard, [nobody]);
    if (replica.isScan(scan)) replica.scanned(reply, knownThen);
  }

  private async readPage(
    page: ReadonlyMap<number, readonly string[]>,
    scans: ReadonlyMap<number, number>,
  ): Promise<number> {
    const { store, plan, replicas } = this.options;
    const reads: Promise<number>[] = [];
    for (const [shard, texts] of page) {
      const scan = scans.get(shard);
      const replica = replicas[shard]!;
      if (scan === undefined || !replica.isScan(scan)) continue;
      for (let from = 0; from < texts.length; from += plan.batchPins) {
        const part = texts.slice(from, from + plan.batchPins);
        const knownThen = replica.known;
        const read = store.read(shard, part).then((reply) => {
          if (replica.isScan(scan)) replica.scanned(reply, knownThen);
          return part.length;
        });
        reads.push(read);
      }
    }
    return (await Promise.all(reads)).reduce((sum, count) => sum + count, 0);
  }

  /** Claims the pins of the table that the scan did not find. */
  private async publish(scans: ReadonlyMap<number, number>): Promise<number> {
    const { names, plan, replicas } = this.options;
    let published = 0;
    let looked = 0;
    for await (const pin of this.allPins()) {
      if (++looked % turnSlice === 0) await this.options.sleep(0);
      if (this.isStopped) break;
      const shard = names.shard(pin);
      const scan = scans.get(shard);
      if (scan === undefined || !names.isUnseen(pin.writer, scan)) continue;
      const replica = replicas[shard]!;
      while (replica.isScan(scan) && replica.journal.size > plan.batchPins * 8)
        await this.options.sleep(plan.flushMs);
      if (replica.isScan(scan) && this.claimAgain(pin, replica)) published++;
    }
    return published;
  }

  /** Of all slots of the table; others get their turn on this thread while there are none in use. */
  private async *allPins(): AsyncGenerator<Pin, void, undefined> {
    const { pins, nowMs, sleep } = this.options;
    for await (const portion of portionsOf(pins, nowMs, () => sleep(0))) {
      if (this.isStopped) return;
      yield* portion;
    }
  }

  /** What flows change must not be pushed out by what is only compared. */
  private hasRoom({ journal }: ShardReplica): boolean {
    return journal.size <= Math.min(this.options.plan.batchPins * 8, journal.max / 2);
  }

  private claimAgain(pin: Pin, replica: ShardReplica): boolean {
    const { names } = this.options;
    const place = names.place(pin.poolId, pin);
    const backend = names.backendName(pin.backendId);
    if (!pin.isConfirmed || place === undefined || backend === undefined || replica.isBusy(place.text))
      return false;
    const { ttlMs, expiresAtMs, reason } = pin;
    replica.note({
      text: place.text,
      expect: '',
      backend,
      attempted: undefined,
      ttlMs,
      expiresAtMs,
      reason,
      isSweep: true,
      waiters: undefined,
    });
    return true;
  }
}
