/**
 * Between the numbers of this instance and the names all instances share. Redis has names, the pin table numbers;
 * what Redis names and this instance does not have is ignored, and never given a number.
 */
import { Key } from '../core/key.ts';
import type { KeyWords } from '../core/key-bytes.ts';
import type { PinTable } from '../core/pins/table.ts';
import { detached, formatPlace, type PinValue, parsePinText, shardOf } from './pin-text.ts';

/** How control knows its pools and backends. */
export interface Names {
  poolName(poolId: number): string | undefined;
  backendName(backendId: number): string | undefined;
  /** 0 if the plan has no such pool. Must not make up a number. */
  poolId(pool: string): number;
  /** As poolId, also of a pool that an earlier plan had: the table may still have pins of it. */
  knownPoolId(pool: string): number;
  /** 0 if the plan has no such backend. */
  backendId(pool: string, backend: string): number;
}

/**
 * Low bits of a pin's writer number: the scan it was last seen in. Above them: the instance. A pin seen in a scan this many
 * before counts as seen, so there have to be more than fail in a row; instances beyond the last number share it.
 */
const generationBits = 8;
const generationMask = (1 << generationBits) - 1;
const instancesMax = 255;
/** No ttl is longer than 2^32 ms, with its slack; whoever says more is not one of us. */
const pxMsMax = 2 ** 32 * 1.25;

export class PinNames {
  /** Pins of Redis that name a pool or backend which is not here. */
  ignored = 0;
  private readonly names: Names;
  private readonly pins: PinTable;
  private readonly shards: number;
  private readonly instances = new Map<string, number>();
  private readonly instanceNames: string[] = [''];

  /** @param writers instances by the numbers that pins of the table have for them already: {@link writers} */
  constructor(names: Names, pins: PinTable, shards: number, writers: readonly string[] = ['']) {
    this.names = names;
    this.pins = pins;
    this.shards = shards;
    this.useWriters(writers);
  }

  /** The instances that pins were learned from, by their numbers. */
  get writers(): readonly string[] {
    return this.instanceNames;
  }

  useWriters(writers: readonly string[]): void {
    for (const [number, instance] of writers.entries()) {
      this.instanceNames[number] = instance;
      if (number > 0) this.instances.set(instance, number);
    }
  }

  /** Where a pin is in Redis; undefined if its pool is gone. */
  place(
    poolId: number,
    key: KeyWords & Pick<Key, 'kind'>,
  ): { readonly text: string; readonly shard: number } | undefined {
    const pool = this.names.poolName(poolId);
    if (pool === undefined || key.kind === 'none') return undefined;
    return { text: formatPlace(pool, key.kind, key), shard: this.shard(key) };
  }

  shard(words: KeyWords): number {
    return shardOf(words, this.shards);
  }

  /** Writes into the table what stands in Redis. False if it names what is not here. */
  learn(text: string, value: PinValue | undefined, pxMs: number, generation: number, nowMs: number): boolean {
    const place = parsePinText(text);
    const poolId = place === undefined ? 0 : this.poolOf(place.pool, value);
    if (place === undefined || poolId === 0) {
      this.ignored++;
      return false;
    }
    const backendId = value === undefined ? 0 : this.names.backendId(place.pool, value.backend);
    if (value !== undefined && backendId === 0) {
      this.ignored++;
      return false;
    }
    this.pins.applyRemote(
      new Key(place.kind, place.words),
      {
        poolId,
        backendId,
        ttlMs: value?.ttlMs ?? 0,
        expiresAtMs: nowMs + Math.min(pxMs, pxMsMax),
        reason: value?.reason ?? 'peer',
        writer: (this.instanceNumber(value?.writer ?? '') << generationBits) | (generation & generationMask),
      },
      nowMs,
    );
    return true;
  }

  /** What is forgotten has to leave the table of one whose plan lacks the pool, too: it would give it back to the others. */
  private poolOf(pool: string, value: PinValue | undefined): number {
    return value === undefined ? this.names.knownPoolId(pool) : this.names.poolId(pool);
  }

  poolId(pool: string): number {
    return this.names.poolId(pool);
  }

  backendId(pool: string, backend: string): number {
    return this.names.backendId(pool, backend);
  }

  poolName(poolId: number): string | undefined {
    return this.names.poolName(poolId);
  }

  backendName(backendId: number): string | undefined {
    return this.names.backendName(backendId);
  }

  /** True if a pin with this writer number was not seen in the scan `generation`. */
  isUnseen(writer: number, generation: number): boolean {
    return writer === 0 || (writer & generationMask) !== (generation & generationMask);
  }

  /** The instance that set a pin; undefined: this one, and Redis has not said so yet. */
  writerName(writer: number): string | undefined {
    return writer === 0 ? undefined : (this.instanceNames[writer >>> generationBits] ?? '');
  }

  private instanceNumber(name: string): number {
    const known = this.instances.get(name);
    if (known !== undefined) return known;
    const instance = detached(name);
    // Beyond the last number all further names share it: it is for people, nothing is decided by it.
    const number = Math.min(this.instanceNames.length, instancesMax);
    if (this.instances.size < instancesMax * 4) this.instances.set(instance, number);
    this.instanceNames[number] = instance;
    return number;
  }
}
