/**
 * Leads the replica of one shard through its talk with the store: asks for the lease, reads what was missed, sends
 * batches one at a time, and after any failure waits a while and begins again. Makes no decision about pins.
 */

import type { ClusterPlan } from '../core/cluster-plan.ts';
import { FaultError } from './errors.ts';
import { comparePositions } from './position.ts';
import { retryDelayMs } from './retry-delay.ts';
import type { ShardReplica } from './shard-replica.ts';
import type { ApplyReply, ClusterStore, Fenced, PulseMode, Verdict } from './store.ts';

/** How often one that yielded its name looks whether the other is gone. */
const yieldedMs = 1_000;
/** Beats without progress of the reader, though there is news. */
const stuckBeatsMax = 3;
/** Not: it was gone, is of another version, or lost against somebody else's. */
const taken: ReadonlySet<Verdict['kind']> = new Set(['written', 'same', 'removed']);

export interface DriverOptions {
  readonly store: ClusterStore;
  readonly plan: ClusterPlan;
  /** Unique for each start of the process. */
  readonly incarnation: string;
  /** Which start of the cluster room this is in its process, from 1. */
  readonly start: number;
  readonly nowMs: () => number;
  readonly random: () => number;
  readonly failed: (error: unknown) => void;
  /** So many changes were taken: what was asked for stands now. */
  readonly written: (pins: number) => void;
}

export class ShardDriver {
  readonly shard: number;
  readonly replica: ShardReplica;
  /** Beats in a row in which the reader did not get to the news there is. */
  stuckBeats = 0;
  /** How many times in a row that was noticed. */
  timesStuck = 0;
  private readonly options: DriverOptions;
  private token = '';
  private tokens = 0;
  /** This process has had the name already: if another one has it by now, it was taken from us. */
  private hasLed: boolean;
  private isAsking = false;
  private failures = 0;
  private retryAtMs = 0;
  private averageBatch = 1;
  private cursorAtBeat = '';

  constructor(shard: number, replica: ShardReplica, options: DriverOptions) {
    this.shard = shard;
    this.replica = replica;
    this.options = options;
    this.hasLed = options.start > 1;
  }

  /** The connection is back: no reason to wait longer. */
  retryNow(): void {
    this.retryAtMs = 0;
  }

  /** Moves on by one step, if there is one to take now. */
  step(): void {
    const { phase } = this.replica;
    if (phase === 'live') this.flush();
    else if (!this.isAsking && this.options.nowMs() >= this.retryAtMs) {
      if (phase === 'catching-up') void this.ask(() => this.catchUp());
      else {
        // What is under way with the old token may or may not be taken: the stream will tell.
        this.replica.check();
        // A new token, so that what an old connection still delivers is refused, also one of a room that died.
        const { incarnation, start } = this.options;
        this.token = `${incarnation}.${start}.${++this.tokens}`;
        void this.ask(() => this.takeLease());
      }
    }
  }

  /** Sends what the journal has, unless a batch is under way. */
  flush(): void {
    const { plan, nowMs } = this.options;
    const steps = this.replica.nextBatch(plan.batchPins, nowMs());
    if (steps === undefined) return;
    void this.ask(async () => {
      this.averageBatch = this.averageBatch * 0.9 + steps.length * 0.1;
      const { token } = this;
      const reply = await this.options.store.apply(
        this.shard,
        token,
        this.newEpoch(),
        this.entriesMax(),
        steps,
      );
      // The replica was cut meanwhile: it has these steps back, as ones that may have been taken.
      if (token !== this.token || this.replica.inFlight === 0) return;
      this.replica.answered(reply, this.options.incarnation);
      this.options.written(takenIn(reply));
      this.flush();
    });
  }

  /** Prolongs the lease and sees whether Redis is still where we think it is. */
  async beat(): Promise<void> {
    const { replica } = this;
    if (replica.phase !== 'live') return;
    const { token } = this;
    const knownThen = replica.known;
    await this.ask(async () => {
      const { incarnation, store } = this.options;
      const reply = await store.pulse(this.shard, token, incarnation, this.newEpoch(), 'renew');
      if (token !== this.token || replica.phase !== 'live') return;
      replica.pulsed(reply, 'renew', incarnation, knownThen);
      const isBehind = reply.kind === 'ok' && comparePositions(reply.last, replica.cursor) > 0;
      const isStill = isBehind && replica.cursor === this.cursorAtBeat;
      this.stuckBeats = isStill ? this.stuckBeats + 1 : 0;
      if (!isStill) this.timesStuck = 0;
      this.cursorAtBeat = replica.cursor;
    });
  }

  /**
   * The reader is told to reconnect. If that did not help, what it waits for may not be in the stream any more: reading on by the
   * other connection shows it.
   */
  noteStuck(): void {
    if (++this.timesStuck > 1 && this.replica.phase === 'live') this.replica.check();
  }

  get isStuck(): boolean {
    return this.stuckBeats >= stuckBeatsMax;
  }

  private async takeLease(): Promise<void> {
    const { replica } = this;
    const { incarnation, store, nowMs } = this.options;
    const { token } = this;
    const mode: PulseMode = this.hasLed ? 'take' : 'seize';
    const knownThen = replica.known;
    const reply = await store.pulse(this.shard, token, incarnation, this.newEpoch(), mode);
    if (token !== this.token) return;
    replica.pulsed(reply, mode, incarnation, knownThen);
    if (reply.kind === 'ok') this.hasLed = true;
    if (replica.phase === 'yielded') this.retryAtMs = nowMs() + yieldedMs;
  }

  private async catchUp(): Promise<void> {
    const { replica } = this;
    while (replica.phase === 'catching-up') {
      const entries = await this.options.store.entries(this.shard, replica.cursor);
      const { cursor } = replica;
      if (entries.length === 0) replica.foundNothing();
      else replica.heard(entries);
      // Asked again it would say the same, for ever.
      if (entries.length > 0 && replica.phase === 'catching-up' && replica.cursor === cursor)
        throw new FaultError('protocol', 'Redis answered with entries of a stream that were not asked for');
    }
    this.flush();
  }

  private async ask(request: () => Promise<void>): Promise<void> {
    this.isAsking = true;
    const { token } = this;
    try {
      await request();
      this.failures = 0;
    } catch (error) {
      this.options.failed(error);
      // An answer that failed long ago, in another life of this shard, says nothing about this one.
      if (token === this.token) this.cut();
    } finally {
      this.isAsking = false;
    }
  }

  cut(): void {
    this.failures++;
    this.retryAtMs = this.options.nowMs() + retryDelayMs(this.failures, this.options.random);
    this.token = '';
    this.replica.cut();
  }

  private newEpoch(): string {
    return `${this.options.incarnation}-${Math.floor(this.options.random() * 2 ** 40).toString(36)}`;
  }

  /** Entries vary in size by what comes at once: the bound is on pins. */
  private entriesMax(): number {
    const { streamPinsMax, shards } = this.options.plan;
    return Math.max(64, Math.min(16_384, Math.ceil(streamPinsMax / shards / this.averageBatch)));
  }
}

function takenIn(reply: ApplyReply | Fenced): number {
  if (reply.kind === 'fenced') return 0;
  return reply.verdicts.reduce((sum, { kind }) => sum + Number(taken.has(kind)), 0);
}
