/**
 * What the table is made of, as of now: who serves the clients of each bucket, and the pins that say something else. And when
 * that may be another than before: backends' states and pins change in shared memory, without a word.
 */
import { Address } from '../core/address.ts';
import type { BackendStates } from '../core/backend-states.ts';
import { pinIdOf } from '../core/choose.ts';
import { bucketSeed, isKernelKey, kernelBucket } from '../core/kernel-bucket.ts';
import { hashWords } from '../core/key.ts';
import type { Pin } from '../core/pins/record.ts';
import type { PinTable } from '../core/pins/table.ts';
import { createPolicy, samePolicy } from '../core/policy/create.ts';
import type { Policy } from '../core/policy/policy.ts';
import type { BackendView, ListenerView, PoolView } from '../core/snapshot.ts';
import { fillBuckets, isOf } from './buckets.ts';

import type { OpenListener } from './relay.ts';

export interface WantsOptions {
  readonly states: BackendStates;
  readonly pins: PinTable;
  readonly nowMs: () => number;
}

/** A client whose pin says another backend than its bucket. */
export interface ExceptionalPin {
  readonly client: Address;
  readonly backendId: number;
}

interface Made {
  readonly pool: PoolView;
  readonly policy: Policy;
  states: string;
  readonly tables: Map<4 | 6, Int32Array>;
}

/** A full look at the pins takes at most this share of the thread's time. */
const pinLookShare = 0.05;
const pinLookMsMin = 500;

export class Wants {
  private readonly options: WantsOptions;
  private readonly made = new Map<number, Made>();
  private statesSeen = '';
  /** By listener: the same for the same exceptions, in whatever order. */
  private readonly pinsSeen = new Map<number, string>();
  private writesSeen = -1;
  private pinsLookedAtMs = 0;
  private pinLookMs = 0;
  /** The pins by their scopes, as they were at one look. */
  private looked: { readonly writes: number; readonly byScope: Map<number, Pin[]> } | undefined;

  constructor(options: WantsOptions) {
    this.options = options;
  }

  /** Whether something that {@link bucketsOf} and {@link pinsOf} go by is another than when this was asked last. */
  isOther(open: readonly OpenListener[]): boolean {
    const states = this.statesOfAll(open);
    const isOther = states !== this.statesSeen;
    this.statesSeen = states;
    return this.areOtherPins(open) || isOther;
  }

  /** Before a table is made of it: what is another from here on is to be noticed, though it may have been so when it was looked at last. */
  begin(open: readonly OpenListener[]): void {
    this.statesSeen = this.statesOfAll(open);
  }

  /** As {@link pinsOf}, for the table that is made now. */
  *pinsWanted(pool: PoolView, listener: ListenerView): Generator<ExceptionalPin, void, undefined> {
    const sum = new PinSum();
    for (const pin of this.pinsOf(pool, listener)) {
      sum.add(pin);
      yield pin;
    }
    this.pinsSeen.set(listener.id, String(sum));
  }

  /** The buckets of a pool for clients of one family: ids of backends. */
  bucketsOf(pool: PoolView, family: 4 | 6): Int32Array {
    const made = this.madeOf(pool);
    const known = made.tables.get(family);
    if (known !== undefined) return known;
    const table = fillBuckets(pool, made.policy, this.options.states, family, pool.plan.tableSize);
    made.tables.set(family, table);
    return table;
  }

  /** Clients of the listener whose pin is followed and says another backend than their bucket. */
  *pinsOf(pool: PoolView, { plan }: ListenerView): Generator<ExceptionalPin, void, undefined> {
    const { affinity } = plan;
    if (affinity.key === 'none' || !isKernelKey(affinity.key)) return;
    const { states } = this.options;
    const scopeId = pool.scope?.id ?? pool.id;
    const byPinId = new Map(pool.backends.map((backend) => [pinIdOf(backend), backend]));
    const { key, prefixV4, prefixV6 } = affinity;
    const how = { key, prefixV4, prefixV6, seed: bucketSeed, modulus: pool.plan.tableSize };
    // Asked for once: whether a table is still as the states are costs more than a pin.
    const tables = new Map<4 | 6, Int32Array>();
    const tableOf = (family: 4 | 6): Int32Array => {
      const table = tables.get(family) ?? this.bucketsOf(pool, family);
      tables.set(family, table);
      return table;
    };
    for (const { kind, w0, w1, w2, w3, port, backendId } of this.pinsOfScope(scopeId)) {
      if (kind !== key) continue;
      const backend = byPinId.get(backendId);
      const client = new Address(w0, w1, w2, w3, port);
      if (backend === undefined || !this.follows(backend, client.family, pool, states)) continue;
      const bucket = kernelBucket(client, how);
      if (tableOf(client.family)[bucket] !== backend.id) yield { client, backendId: backend.id };
    }
  }

  /** Looked through once for all listeners, and again when something was written. */
  private pinsOfScope(scopeId: number): readonly Pin[] {
    const { pins, nowMs } = this.options;
    const writes = writesOf(pins);
    if (this.looked?.writes !== writes) {
      const byScope = new Map<number, Pin[]>();
      for (const pin of pins.entries(nowMs())) {
        const known = byScope.get(pin.poolId);
        if (known === undefined) byScope.set(pin.poolId, [pin]);
        else known.push(pin);
      }
      this.looked = { writes, byScope };
    }
    return this.looked.byScope.get(scopeId) ?? [];
  }

  private follows(backend: BackendView, family: 4 | 6, pool: PoolView, states: BackendStates): boolean {
    if (!isOf(backend.target, family) || !states.servesPinned(backend.id)) return false;
    // A backup is nobody's home while others serve.
    return (
      backend.isBackup !== true ||
      !pool.backends.some(
        (one) => one.isBackup !== true && states.servesNew(one.id) && isOf(one.target, family),
      )
    );
  }

  private madeOf(pool: PoolView): Made {
    const known = this.made.get(pool.id);
    const states = this.statesOf(pool);
    if (known?.pool.version === pool.version && known.states === states) return known;
    const isSame = known !== undefined && samePolicy(known.pool, pool);
    const policy = isSame ? known.policy : createPolicy(pool, Math.random);
    const made = { pool, policy, states, tables: new Map<4 | 6, Int32Array>() };
    this.made.set(pool.id, made);
    return made;
  }

  private statesOfAll(open: readonly OpenListener[]): string {
    const pools = new Set(open.map(({ pool }) => pool));
    return [...pools].map((pool) => this.statesOf(pool)).join(';');
  }

  private statesOf({ backends }: PoolView): string {
    const { states } = this.options;
    return backends
      .map(
        ({ id }) =>
          `${id} ${states.servesNew(id)} ${states.servesPinned(id)} ${states.weight(id)} ${states.ramp(id)}`,
      )
      .join();
  }

  /** Looked at when something was written to the table, and rarely enough that looking through it costs little. */
  private areOtherPins(open: readonly OpenListener[]): boolean {
    const { pins, nowMs } = this.options;
    const startedMs = nowMs();
    if (startedMs - this.pinsLookedAtMs < Math.max(pinLookMsMin, this.pinLookMs / pinLookShare)) return false;
    this.pinsLookedAtMs = startedMs;
    const writes = writesOf(pins);
    if (writes === this.writesSeen) return false;
    this.writesSeen = writes;
    let isOther = false;
    for (const { view, pool } of open) {
      const sum = new PinSum();
      for (const pin of this.pinsOf(pool, view)) sum.add(pin);
      isOther ||= this.pinsSeen.get(view.id) !== String(sum);
      this.pinsSeen.set(view.id, String(sum));
    }
    this.pinLookMs = nowMs() - startedMs;
    return isOther;
  }
}

class PinSum {
  private count = 0;
  private sum = 0;

  add({ client, backendId }: ExceptionalPin): void {
    this.count++;
    this.sum = (this.sum + hashWords(client, backendId)) % Number.MAX_SAFE_INTEGER;
  }

  toString(): string {
    return `${this.count} ${this.sum}`;
  }
}

/** Grows with all that may make another exception, or one less. */
function writesOf(pins: Pick<PinTable, 'stats'>): number {
  const { claims, moves, removals, remotes, evictions, expired } = pins.stats();
  return claims + moves + removals + remotes + evictions + expired;
}
