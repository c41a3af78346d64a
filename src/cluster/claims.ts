/**
 * `affinity.claim: before-dial`: a flow asks who holds its client's pin before a backend is dialled. It waits for
 * Redis's answer up to a deadline; when there are too many who wait, or nobody could answer, it is told so at once
 * and goes where it was going.
 */
import type { Key } from '../core/key.ts';
import type { PinNames } from '../pins/names.ts';
import type { ShardDriver } from './shard-driver.ts';
import type { ClusterStore } from './store.ts';

export const claimOutcomes = [
  'won', // the pin is this flow's choice
  'lost', // somebody pinned the client elsewhere first: the table has that now
  'free', // asked only: nobody holds a pin
  'away', // Redis is not there
  'timeout', // no answer by the deadline
  'full', // too many wait
  'unknown', // an answer that is of no use here: a backend or pool this instance does not have
] as const;
export type ClaimOutcome = (typeof claimOutcomes)[number];

export interface ClaimRequest {
  readonly poolId: number;
  readonly key: Key;
  /** What the flow would take. */
  readonly backendId: number;
  /** How long the claim lasts until it is confirmed. */
  readonly claimTtlMs: number;
  readonly deadlineMs: number;
  /** False: only ask, publish nothing. For UDP, whose clients have not proved their address yet. */
  readonly publish: boolean;
}

/** @param backendId whom to dial: the pin's backend, or for all fallbacks the one asked with */
export type ClaimDone = (outcome: ClaimOutcome, backendId: number) => void;

export class Claims {
  readonly counts = Object.fromEntries(claimOutcomes.map((outcome) => [outcome, 0])) as Record<
    ClaimOutcome,
    number
  >;
  waiting = 0;
  private readonly waitingMax: number;
  private readonly names: PinNames;
  private readonly store: ClusterStore;
  private readonly driverOf: (shard: number) => ShardDriver;
  private readonly nowMs: () => number;
  private readonly failed: (error: unknown) => void;
  private readonly questions = new Map<
    number,
    Map<string, ((backend: string | undefined, known: boolean) => void)[]>
  >();
  private readonly flushes = new Set<number>();

  constructor(
    waitingMax: number,
    names: PinNames,
    store: ClusterStore,
    driverOf: (shard: number) => ShardDriver,
    nowMs: () => number,
    failed: (error: unknown) => void,
  ) {
    this.waitingMax = waitingMax;
    this.names = names;
    this.store = store;
    this.driverOf = driverOf;
    this.nowMs = nowMs;
    this.failed = failed;
  }

  /** Calls `done` once: at once, or when there is an answer, and never later than the deadline. */
  claim(request: ClaimRequest, done: ClaimDone): void {
    const place = this.names.place(request.poolId, request.key);
    const backend = this.names.backendName(request.backendId);
    if (place === undefined || backend === undefined) {
      this.end(done, 'unknown', request.backendId);
      return;
    }
    const driver = this.driverOf(place.shard);
    if (driver.replica.phase !== 'live' || this.waiting >= this.waitingMax) {
      this.end(done, driver.replica.phase === 'live' ? 'full' : 'away', request.backendId);
      return;
    }
    this.waiting++;
    let isOver = false;
    const finish = (outcome: ClaimOutcome, backendId: number): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(timer);
      this.waiting--;
      this.end(done, outcome, backendId);
    };
    const timer = setTimeout(() => finish('timeout', request.backendId), request.deadlineMs);
    const pool = this.names.poolName(request.poolId)!;
    const hear = (stands: string | undefined): void => {
      const backendId = stands === undefined ? 0 : this.names.backendId(pool, stands);
      if (stands === undefined) finish('away', request.backendId);
      else if (stands === backend) finish('won', request.backendId);
      else if (backendId === 0) finish('unknown', request.backendId);
      else finish('lost', backendId);
    };
    if (request.publish)
      this.publish(place.text, driver, request, backend, (stands) => {
        // What is in the journal is newer, an operator's word for one.
        const isOvertaken = driver.replica.journal.get(place.text) !== undefined;
        if (stands === backend && !isOver && !isOvertaken) this.keep(place.text, driver, request, backend);
        hear(stands);
      });
    else
      this.ask(place.text, place.shard, (stands, known) =>
        stands === '' && known ? finish('free', request.backendId) : hear(stands),
      );
  }

  private publish(
    text: string,
    driver: ShardDriver,
    request: ClaimRequest,
    backend: string,
    hear: (stands: string | undefined) => void,
  ): void {
    if (!driver.replica.addWaiter(text, hear)) {
      driver.replica.note({
        text,
        expect: '',
        backend,
        attempted: undefined,
        ttlMs: request.claimTtlMs,
        expiresAtMs: this.nowMs() + request.claimTtlMs,
        reason: 'policy',
        isSweep: false,
        waiters: [hear],
      });
    }
    this.flushSoon(driver.shard);
  }

  /**
   * The table knows of the claim before the flow goes on, as one that stands in Redis: should the dial fail, the pin is moved
   * from there. A claim of its own would lose to this one.
   */
  private keep(text: string, { replica }: ShardDriver, { claimTtlMs }: ClaimRequest, backend: string): void {
    const { instance, generation } = replica;
    const value = { backend, writer: instance, reason: 'policy', ttlMs: claimTtlMs, generation: 0 } as const;
    this.names.learn(text, value, claimTtlMs, generation, this.nowMs());
  }

  private ask(
    text: string,
    shard: number,
    hear: (backend: string | undefined, known: boolean) => void,
  ): void {
    const questions = this.questions.get(shard) ?? new Map();
    this.questions.set(shard, questions);
    questions.set(text, [...(questions.get(text) ?? []), hear]);
    this.flushSoon(shard);
  }

  private async read(shard: number): Promise<void> {
    const questions = this.questions.get(shard);
    if (questions === undefined) return;
    this.questions.delete(shard);
    const { replica } = this.driverOf(shard);
    const knownThen = replica.known;
    try {
      const reply = await this.store.read(shard, [...questions.keys()]);
      replica.scanned(reply, knownThen);
      for (const pin of reply.pins) {
        const backend = pin.value === '' ? '' : (/^1 (\S+) /.exec(pin.value)?.[1] ?? '');
        for (const hear of questions.get(pin.text) ?? []) hear(backend, true);
      }
    } catch (error) {
      this.failed(error);
      for (const hears of questions.values()) for (const hear of hears) hear(undefined, false);
    }
  }

  /** All claims of one turn of the loop go in one batch. */
  private flushSoon(shard: number): void {
    if (this.flushes.has(shard)) return;
    this.flushes.add(shard);
    setImmediate(() => {
      this.flushes.delete(shard);
      this.driverOf(shard).flush();
      void this.read(shard);
    });
  }

  private end(done: ClaimDone, outcome: ClaimOutcome, backendId: number): void {
    this.counts[outcome]++;
    done(outcome, backendId);
  }
}
