/**
 * Pins by hand: looking at the pin table, and changing it on an operator's word. A change is made in this
 * instance's table at once and told to the others with precedence over what they know; while Redis is away it waits
 * in the journal like any other. Works without a cluster, too.
 */
import { keyMatcher } from '../core/client-matcher.ts';
import { Key } from '../core/key.ts';
import { type KeyKind, keyKinds } from '../core/key-kinds.ts';
import type { Pin, PinTable } from '../core/pins/table.ts';
import type { PinNames } from './names.ts';
import { portionsOf, turnOfTheLoop } from './walk.ts';

/** Which pins are meant; what is left out matches all. */
export interface PinFilter {
  readonly pool?: string;
  readonly backend?: string;
  /** As {@link keyMatcher} takes it: an address, with or without its port, a network, or a key of another kind. */
  readonly client?: string;
}

export interface PinRow {
  readonly pool: string;
  readonly kind: KeyKind;
  /** What the client is recognised by, as the kind writes it. */
  readonly client: string;
  readonly backend: string;
  /** The instance that set it. */
  readonly writer: string;
  readonly reason: string;
  readonly confirmed: boolean;
  readonly ttlMs: number;
  readonly expiresInMs: number;
}

/** A change by an operator, whatever stands in Redis. */
export interface OperatorChange {
  readonly shard: number;
  /** The pin's place: {@link PinNames.place}. */
  readonly text: string;
  /** '' removes the pin. */
  readonly backend: string;
  readonly ttlMs: number;
}

export interface HandOptions {
  readonly pins: PinTable;
  readonly names: PinNames;
  /** This instance's name, for pins that nobody else has told of. */
  readonly instance: () => string;
  readonly nowMs: () => number;
  /** Gives a change to the cluster, if there is one. */
  readonly share: (change: OperatorChange) => Promise<HandOutcome>;
}

/** What came of a change: the cluster has it, or it stands here and the others will be told. */
export type HandOutcome = 'shared' | 'here-only';

/** This instance's table did not take the pin: it is full of pins of connected clients, or others were writing there. */
export interface NotStored {
  readonly notStored: 'full' | 'contended';
  /** What the others know: they are told all the same. */
  readonly others: HandOutcome;
}

export interface Moved {
  readonly moved: number;
  /** Pinned elsewhere still: others were writing there, or were faster. */
  readonly left: number;
}

/** A thread that pins the client elsewhere between our look and our move may win this often. */
const setTriesMax = 8;
/** Changes the cluster is told of before its answers are waited for. */
const toldAtOnce = 256;

export class PinsByHand {
  private readonly options: HandOptions;

  constructor(options: HandOptions) {
    this.options = options;
  }

  /**
   * Live pins of this instance's table, at most `max`.
   * @throws RangeError if the filter's client is neither an address nor a network, nor a key
   */
  async list(filter: PinFilter, max: number): Promise<PinRow[]> {
    const rows: PinRow[] = [];
    await this.each(filter, (pin) => {
      const row = this.row(pin);
      if (row !== undefined) rows.push(row);
      return rows.length < max;
    });
    return rows;
  }

  /** The pin of one key; undefined if there is none. */
  find(pool: string, key: Key): PinRow | undefined {
    const { pins, names, nowMs } = this.options;
    const poolId = names.poolId(pool);
    const pin = pins.pin(poolId, key, nowMs());
    return pin === undefined ? undefined : this.row(pin);
  }

  /** Pins a client to a backend, whatever it was pinned to. Undefined: no such pool or backend. */
  async set(
    pool: string,
    key: Key,
    backend: string,
    ttlMs: number,
  ): Promise<HandOutcome | NotStored | undefined> {
    const { pins, names, nowMs } = this.options;
    const poolId = names.poolId(pool);
    const backendId = poolId === 0 ? 0 : names.backendId(pool, backend);
    if (backendId === 0 || key.kind === 'none') return undefined;
    const isStored = this.store(poolId, key, backendId, ttlMs);
    const others = await this.tell(poolId, key, backend, ttlMs);
    // What the cluster has is written down here, too, if there is room now.
    if (isStored || pins.lookup(poolId, key, nowMs()) === backendId) return others;
    const { live, capacity } = pins.stats();
    return { notStored: live < capacity ? 'contended' : 'full', others };
  }

  /** The table says neither that it is full nor that somebody holds its lock: whether the pin is there is looked up. */
  private store(poolId: number, key: Key, backendId: number, ttlMs: number): boolean {
    const { pins, nowMs } = this.options;
    const now = nowMs();
    let current = pins.lookup(poolId, key, now);
    for (let tries = 0; current !== backendId && tries < setTriesMax; tries++) {
      const before = current;
      pins.move(poolId, key, before, backendId, ttlMs, now, 'operator');
      current = pins.lookup(poolId, key, now);
      if (current === before) break;
    }
    if (current !== backendId) return false;
    pins.confirm(poolId, key, backendId, ttlMs, now);
    return true;
  }

  /**
   * Moves all matching pins to a backend of their pool. Pins that somebody else moves at the same moment stay there, and so do
   * those of pools that are gone.
   * @returns how many were moved here; undefined, and none was, if a pool of theirs has no such backend
   */
  async move(filter: PinFilter, backend: string): Promise<Moved | undefined> {
    const { pins, nowMs } = this.options;
    const targets = new Map<number, number | undefined>();
    await this.each(filter, ({ poolId }) => {
      if (!targets.has(poolId)) targets.set(poolId, this.targetIn(poolId, backend));
    });
    if ([...targets.values()].includes(0)) return undefined;
    let moved = 0;
    let left = 0;
    await this.each(filter, (pin) => {
      const toId = targets.get(pin.poolId);
      if (toId === undefined || toId === pin.backendId) return;
      const key = new Key(pin.kind, pin);
      // The table tells the cluster by itself: moved from what it knew of.
      pins.move(pin.poolId, key, pin.backendId, toId, pin.ttlMs, nowMs(), 'operator');
      const standsAt = pins.lookup(pin.poolId, key, nowMs());
      if (standsAt === toId) moved++;
      else if (standsAt !== 0) left++;
    });
    return { moved, left };
  }

  /** The number of the pool's backend of this name; 0 if it has none, undefined if the pool is gone. */
  private targetIn(poolId: number, backend: string): number | undefined {
    const { names } = this.options;
    const pool = names.poolName(poolId);
    return pool === undefined || names.poolId(pool) === 0 ? undefined : names.backendId(pool, backend);
  }

  /** Removes all matching pins, here and for all. @returns how many were removed here */
  async delete(filter: PinFilter): Promise<number> {
    const { pins, nowMs } = this.options;
    let deleted = 0;
    let told: Promise<HandOutcome>[] = [];
    await this.each(filter, (pin) => {
      const key = new Key(pin.kind, pin);
      if (pins.remove(pin.poolId, key, pin.backendId, nowMs())) deleted++;
      // By client: it goes whatever the others know of it. By backend: only while it is there.
      if (filter.client === undefined) return true;
      told.push(this.tell(pin.poolId, key, '', pin.ttlMs));
      if (told.length < toldAtOnce) return true;
      const answers = Promise.all(told);
      told = [];
      return answers.then(() => true);
    });
    return deleted;
  }

  private async tell(poolId: number, key: Key, backend: string, ttlMs: number): Promise<HandOutcome> {
    const place = this.options.names.place(poolId, key);
    return place === undefined ? 'here-only' : this.options.share({ ...place, backend, ttlMs });
  }

  /**
   * Visits all matching pins, a bounded part of the table in a turn of the loop: one of a million takes seconds.
   * @param visit false: that was enough
   */
  private async each(filter: PinFilter, visit: (pin: Pin) => unknown): Promise<void> {
    const { pins, names, nowMs } = this.options;
    const isKey = filter.client === undefined ? undefined : keyMatcher(filter.client);
    const matches = (pin: Pin): boolean =>
      (isKey === undefined || isKey(pin)) &&
      (filter.pool === undefined || names.poolName(pin.poolId) === filter.pool) &&
      (filter.backend === undefined || names.backendName(pin.backendId) === filter.backend);
    for await (const portion of portionsOf(pins, nowMs, turnOfTheLoop)) {
      for (const pin of portion) {
        if (!matches(pin)) continue;
        const wish = visit(pin);
        if ((wish instanceof Promise ? await wish : wish) === false) return;
      }
    }
  }

  private row(pin: Pin): PinRow | undefined {
    const { names, instance, nowMs } = this.options;
    const pool = names.poolName(pin.poolId);
    const backend = names.backendName(pin.backendId);
    if (pool === undefined || backend === undefined) return undefined;
    return {
      pool,
      kind: pin.kind,
      client: keyKinds[pin.kind].print(pin),
      backend,
      writer: names.writerName(pin.writer) ?? instance(),
      reason: pin.reason,
      confirmed: pin.isConfirmed,
      ttlMs: pin.ttlMs,
      expiresInMs: Math.round(pin.expiresAtMs - nowMs()),
    };
  }
}
