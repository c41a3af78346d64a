/**
 * One shard's share of the pin table, kept in step with Redis: what goes out, what comes in, and in which order
 * each counts. Pure: no sockets, no timers, so that a simulation can lead it through any history.
 *
 *    cut --(connection)--> checking --pulse--> catching-up --entries--> live --batch/answer--> live
 *     ^                        |                    |                    |
 *     +---- any failure -------+--------------------+--- fenced ---------+      gap: also needs a scan of the keys
 *
 * The order is the stream's. A step's answer carries the stream position at which it was decided, so whatever the
 * stream tells later of an earlier position is old news; what it tells while a step is under way is kept until the
 * answer shows which of both is newer. Nothing is written before the stream has been read up to the moment the lease
 * was (re)gained: an instance that was stopped or cut off reads first.
 *
 * Does not promise that the table is right at every moment, only that it becomes right, without a step back,
 * once entries stop coming.
 */

import { detached, type PinValue, parseValue } from '../pins/pin-text.ts';
import { answer, type Change, doubt, Journal, type Waiter } from './journal.ts';
import { beginning, comparePositions } from './position.ts';
import type {
  ApplyReply,
  Fenced,
  PinNews,
  PinStep,
  PulseMode,
  PulseReply,
  ReadReply,
  StreamEntry,
  Verdict,
} from './store.ts';

export type Phase = 'cut' | 'checking' | 'catching-up' | 'live' | 'yielded';

export interface ReplicaOutput {
  /**
   * What stands for a pin, `value` undefined: nothing. `generation` is the scan it belongs to.
   * @returns false if the backend is not one of this instance's
   */
  learn(text: string, value: PinValue | undefined, pxMs: number, generation: number): boolean;
  /** Redis lost what it had, or we lost track of it: the keys have to be read. */
  gap(why: string): void;
}

/** A pin lives in Redis for its ttl and this share more: the expiry slides here before Redis is told. */
const slackShare = 0.25;
/** Pins whose order is remembered while the stream lags behind or keys are scanned. */
const orderedMax = 200_000;

export class ShardReplica {
  phase: Phase = 'cut';
  /** Position up to which the stream has been applied. */
  cursor = beginning;
  epoch = '';
  /** Keys are to be read; set by a gap, cleared by a scan that went through. */
  needsScan = true;
  /** Number of the scan that what is learned now belongs to. */
  generation = 0;
  readonly journal: Journal;
  readonly instance: string;
  private readonly out: ReplicaOutput;
  private target = beginning;
  private flight: Map<string, Change> | undefined;
  /** What the stream told of pins whose steps are under way: all of it, in order. */
  private readonly deferred = new Map<string, { position: string; news: PinNews }[]>();
  /** Positions at which the table's content of a pin was decided, where the cursor has not come to yet. */
  private readonly ordered = new Map<string, string>();
  private newestOrdered = beginning;
  /** Positions after the cursor that answers spoke of, in order: the stream has yet to show each of them. */
  private witnessed: string[] = [];
  private isScanning = false;
  /** What is noted now may have been decided before the last gap was noticed. */
  private isDoubtful = false;
  /** Refreshes of pins that were not there, and where in the stream it shows at the latest whether somebody removed them. */
  private readonly missing = new Map<string, { readonly change: Change; readonly position: string }>();

  /** @param instance the name this instance writes under */
  constructor(instance: string, journalMax: number, out: ReplicaOutput) {
    this.instance = instance;
    this.journal = new Journal(journalMax);
    this.out = out;
  }

  /** The newest position of which the table knows something. Redis may be ahead of it, and never behind. */
  get known(): string {
    return this.witnessed.at(-1) ?? this.cursor;
  }

  get inFlight(): number {
    return this.flight?.size ?? 0;
  }

  /** Changes that Redis has not decided, or may have to decide once more. */
  get unsettled(): number {
    return this.journal.size + this.inFlight + this.missing.size;
  }

  /** Changes the journal takes without dropping one. */
  get room(): number {
    return Math.max(0, this.journal.max - this.unsettled);
  }

  isBusy(text: string): boolean {
    return this.journal.get(text) !== undefined || this.flight?.has(text) === true || this.missing.has(text);
  }

  // ---- the connection ---------------------------------------------------------------------------------------

  /** The connection is lost, or an answer did not come. */
  cut(): void {
    this.landAgain(true);
    this.phase = 'cut';
    this.interrupted();
    this.journal.releaseWaiters();
  }

  /** Reads before it writes again: the process did not run for a while, or is about to ask for the lease. */
  check(): void {
    this.landAgain(true);
    if (this.phase !== 'yielded') this.phase = 'checking';
    this.interrupted();
  }

  /** What moves are based on was not compared with Redis since the last gap, and is not looked after either for a while. */
  private interrupted(): void {
    this.isScanning = false;
    if (this.needsScan) this.doubtMoves();
  }

  /** The answer to a pulse that was sent when {@link known} was `knownThen`. */
  pulsed(reply: PulseReply | Fenced, mode: PulseMode, incarnation: string, knownThen: string): void {
    if (reply.kind === 'fenced') {
      const isOurs = reply.holder === '' || reply.holder.startsWith(incarnation);
      this.phase = isOurs ? 'checking' : 'yielded';
      return;
    }
    if (reply.epoch !== this.epoch)
      this.lose(this.epoch === '' ? 'first contact' : 'Redis was emptied', reply);
    else if (comparePositions(reply.last, knownThen) < 0) this.lose('Redis went back in time', reply);
    if (mode === 'renew') return;
    this.target = reply.last;
    this.phase = comparePositions(this.cursor, this.target) >= 0 ? 'live' : 'catching-up';
  }

  /** Nothing came from the stream though it should hold something after the cursor: it was trimmed away. */
  foundNothing(): void {
    if (this.phase !== 'catching-up' || comparePositions(this.cursor, this.target) >= 0) return;
    this.lose('the stream no longer holds what was missed', { epoch: this.epoch, last: this.target });
    this.phase = 'live';
  }

  private lose(why: string, reply: { readonly epoch: string; readonly last: string }): void {
    this.epoch = reply.epoch;
    this.cursor = reply.last;
    this.gap(why);
  }

  private gap(why: string): void {
    this.witnessed = [];
    this.ordered.clear();
    this.missing.clear();
    this.readAgain();
    this.doubtMoves();
    this.out.gap(why);
  }

  /** A move decided up to now may be older than what stands, and be based on what only has the same name. */
  private doubtMoves(): void {
    this.isDoubtful = true;
    this.journal.doubt();
    // Those under way as well: without an answer they come back.
    if (this.flight !== undefined) for (const change of this.flight.values()) doubt(change);
  }

  // ---- out --------------------------------------------------------------------------------------------------

  note(change: Change): void {
    if (this.isDoubtful) doubt(change);
    this.missing.delete(change.text);
    this.journal.note(change);
  }

  /** All that was decided before the last gap has been noted: what comes from here on knows of it. */
  trust(): void {
    this.isDoubtful = false;
  }

  /** The next steps to send; undefined if there are none, or others are under way, or this is not the time. */
  nextBatch(max: number, nowMs: number): PinStep[] | undefined {
    if (this.phase !== 'live' || this.flight !== undefined) return undefined;
    this.claimMissing();
    const changes = this.journal.take(max, nowMs);
    if (changes.length === 0) return undefined;
    this.flight = new Map(changes.map((change) => [change.text, change]));
    return changes.map((change) => ({
      text: change.text,
      expect: change.expect,
      backend: change.backend,
      // A sweep must not add slack to what may have it already, or pins would live for ever.
      pxMs: Math.max(
        1,
        Math.ceil(change.expiresAtMs - nowMs + (change.isSweep ? 0 : change.ttlMs * slackShare)),
      ),
      ttlMs: change.ttlMs,
      reason: change.reason,
    }));
  }

  answered(reply: ApplyReply | Fenced, incarnation: string): void {
    const { flight } = this;
    if (flight === undefined) return;
    if (reply.kind === 'fenced') {
      this.landAgain(false);
      this.phase = reply.holder === '' || reply.holder.startsWith(incarnation) ? 'checking' : 'yielded';
      return;
    }
    this.flight = undefined;
    this.witness(reply.last);
    let index = 0;
    for (const change of flight.values()) {
      this.decided(change, reply.last, reply.verdicts[index++] ?? { kind: 'foreign' });
    }
    this.deferred.clear();
    if (reply.epoch !== this.epoch) this.lose('Redis was emptied', { epoch: reply.epoch, last: reply.last });
  }

  private decided(change: Change, position: string, verdict: Verdict): void {
    const told = this.deferred.get(change.text) ?? [];
    if (verdict.kind === 'gone' && change.backend !== '') {
      this.missing.set(change.text, { change, position });
      for (const { news } of told) this.take(news);
      answer(change, undefined);
      return;
    }
    this.order(change.text, position);
    if (verdict.kind === 'lost') this.lost(change, verdict.value, verdict.pxMs);
    else answer(change, verdict.kind === 'foreign' ? undefined : change.backend);
    for (const later of told) if (comparePositions(later.position, position) > 0) this.take(later.news);
  }

  private lost(change: Change, text: string, pxMs: number): void {
    const value = parseValue(text);
    const isUsable = value !== undefined && this.take({ text: change.text, value: text, pxMs });
    // Who waits has not been served yet; what was only used once more, was served before somebody moved it.
    const wasServed = change.waiters === undefined && change.expect !== change.backend;
    answer(change, value?.backend);
    if (isUsable || change.isSweep || change.backend === '' || this.journal.get(change.text) !== undefined)
      return;
    // It names a backend that is not here, and the client was served by another: that is a move. What is no
    // value at all is overwritten.
    if (value === undefined || wasServed)
      this.journal.note({ ...change, expect: value?.backend ?? '*', attempted: undefined });
  }

  /** What was missing, and was not removed by anybody: it expired or was evicted there, and is in use here. */
  private claimMissing(): void {
    for (const [text, { change, position }] of this.missing) {
      if (comparePositions(this.cursor, position) < 0) return;
      this.missing.delete(text);
      if (this.journal.get(text) === undefined) this.journal.note({ ...change, expect: '' });
    }
  }

  /** The steps under way come back to the journal. */
  private landAgain(mayHaveBeenTaken: boolean): void {
    const { flight } = this;
    if (flight === undefined) return;
    this.flight = undefined;
    for (const change of flight.values()) this.journal.putBack(change, mayHaveBeenTaken);
    for (const told of this.deferred.values()) for (const { news } of told) this.take(news);
    this.deferred.clear();
  }

  // ---- in ---------------------------------------------------------------------------------------------------

  /** Entries of the stream, in order. Those at or before the cursor have been heard already. */
  heard(entries: readonly StreamEntry[]): void {
    if (this.phase !== 'live' && this.phase !== 'catching-up' && this.phase !== 'yielded') return;
    for (const entry of entries) {
      if (comparePositions(entry.position, this.cursor) <= 0) continue;
      const isHole = this.missesWitnessed(entry.position) || entry.previous !== this.cursor;
      this.cursor = entry.position;
      if (isHole) this.gap('the stream has a hole');
      for (const news of entry.news) this.hear(entry.position, news);
    }
    if (!this.isScanning && comparePositions(this.cursor, this.newestOrdered) >= 0) this.ordered.clear();
    if (this.phase === 'catching-up' && comparePositions(this.cursor, this.target) >= 0) this.phase = 'live';
  }

  private witness(position: string): void {
    if (comparePositions(position, this.cursor) <= 0) return;
    const { witnessed } = this;
    let place = witnessed.length;
    while (place > 0 && comparePositions(witnessed[place - 1]!, position) > 0) place--;
    if (witnessed[place - 1] === position) return;
    if (witnessed.length >= orderedMax) this.gap('the stream is too far behind');
    else witnessed.splice(place, 0, position);
  }

  /** True when an entry comes after a position that was not met: that was lost, and this one came in its place. */
  private missesWitnessed(position: string): boolean {
    let misses = false;
    while (this.witnessed.length > 0 && comparePositions(this.witnessed[0]!, position) <= 0) {
      if (this.witnessed.shift() !== position) misses = true;
    }
    return misses;
  }

  private hear(position: string, news: PinNews): void {
    const decidedAt = this.ordered.get(news.text);
    if (decidedAt !== undefined && comparePositions(decidedAt, position) >= 0) return;
    if (this.flight?.has(news.text) === true) {
      const told = this.deferred.get(news.text);
      if (told === undefined) this.deferred.set(detached(news.text), [{ position, news }]);
      else told.push({ position, news });
      return;
    }
    if (this.isScanning) this.order(detached(news.text), position);
    this.take(news);
  }

  /** What stands in Redis for a pin, against what is wanted here. False if it is of no use here. */
  private take(news: PinNews): boolean {
    const value = news.value === '' ? undefined : parseValue(news.value);
    if (news.value !== '' && value === undefined) return false;
    const stands = value?.backend ?? '';
    const wish = this.journal.get(news.text);
    this.missing.delete(news.text);
    // A comparison of what was here must not bring back what somebody removes.
    const isRemoval = wish?.isSweep === true && stands === '';
    if (wish !== undefined && !isRemoval) {
      if (wish.expect === '*') return true;
      // The same backend by somebody else's hand is not our step, though it looks like it.
      const isOwnHalf = stands === wish.attempted && (value === undefined || value.writer === this.instance);
      if (stands === wish.expect || isOwnHalf || (stands !== '' && stands === wish.backend)) {
        // What our wish is based on, or its first half, or what it wants already: the wish is newer, and has
        // the later expiry.
        wish.expect = detached(stands);
        wish.attempted = undefined;
        return true;
      }
    }
    this.journal.settle(news.text, value?.backend);
    return this.out.learn(news.text, value, news.pxMs, this.generation);
  }

  private order(text: string, position: string): void {
    if (!this.isScanning && comparePositions(position, this.cursor) <= 0) return;
    if (this.ordered.size >= orderedMax && !this.ordered.has(text)) {
      this.gap('too many changes to keep in order');
      return;
    }
    this.ordered.set(text, position);
    if (comparePositions(position, this.newestOrdered) > 0) this.newestOrdered = position;
  }

  // ---- scans ------------------------------------------------------------------------------------------------

  /** Asks for a scan; one under way does not count. */
  readAgain(): void {
    this.isScanning = false;
    this.needsScan = true;
  }

  /** Keys are about to be read. */
  beginScan(): number {
    this.isScanning = true;
    return ++this.generation;
  }

  /** True while the scan `generation` is still worth going on with. */
  isScan(generation: number): boolean {
    return this.isScanning && this.generation === generation && this.phase === 'live';
  }

  /** Keys as they stood when the stream was at `reply.last`, asked for when {@link known} was `knownThen`. */
  scanned(reply: ReadReply, knownThen: string): void {
    // Emptied or set back while we read: what was read, or not found, is not what we go on with.
    if (reply.epoch !== this.epoch || comparePositions(reply.last, knownThen) < 0) {
      if (this.isScanning) this.gap('Redis changed while its keys were read');
      return;
    }
    // Outside of a scan nobody kept account of what the stream told since: the table may be newer.
    if (!this.isScanning && comparePositions(this.cursor, reply.last) > 0) return;
    this.witness(reply.last);
    for (const news of reply.pins) {
      if (news.value === '') continue;
      const decidedAt = this.ordered.get(news.text);
      if (decidedAt !== undefined && comparePositions(decidedAt, reply.last) > 0) continue;
      if (this.flight?.has(news.text) === true) continue;
      this.take(news);
    }
  }

  endScan(generation: number): boolean {
    if (!this.isScan(generation)) return false;
    this.isScanning = false;
    this.needsScan = false;
    return true;
  }

  /** For one that waits: the answer comes with the change of this pin that is under way or in the journal. */
  addWaiter(text: string, waiter: Waiter): boolean {
    const change = this.flight?.get(text);
    if (change === undefined) return false;
    change.waiters = [...(change.waiters ?? []), waiter];
    return true;
  }
}
