/**
 * What each client of a listener has, over all workers: open flows, and how fast it comes. One table in shared memory, so that a limit
 * holds however the kernel spreads a client's connections. It is asked for new flows (and for datagrams, where a limit is on
 * them) of listeners with such limits, and of no others.
 *
 *    locks, one for each bucket and each listener | entries, 64 to a bucket | rates of listeners
 *    entry:  address, 4 words | listener and kind | used at | rates, 4 doubles | open flows, a word for each worker
 *
 * A client is looked up in one bucket, under its lock (core/pins/lock.ts). Each worker counts its flows in a word of its own, and
 * the sum is what a limit is compared with; so a worker that died is taken back by clearing its words. In a full bucket whoever
 * has no flow and was seen last longest ago is forgotten; where all have flows a newcomer is not kept track of, and let in:
 * nobody's flow ends for the table's sake. With 262,144 entries, 64 to a bucket, that takes some 150,000 clients with open flows.
 *
 * Rates are kept as the time at which all that has passed would be paid for (the virtual scheduling form of the generic cell rate
 * algorithm, ITU-T I.371): who was quiet for a second may do a second's worth at once.
 */
import type { Address } from './address.ts';
import { ByteRate } from './byte-rate.ts';
import { finishHash, mixWord } from './key-hash.ts';
import { limitedClientsMax, listenersMax } from './limits.ts';
import { wordsPerLine } from './pins/layout.ts';
import { PinLocks } from './pins/lock.ts';

const slotsPerBucket = 64;
const scopeWord = 4;
const usedWord = 5;
/** The first double, in words. */
const ratesWord = 6;
/** New flows, datagrams, bytes up and down; of a listener without datagrams. */
const ratesPerEntry = 4;
const ratesPerListener = 3;
const opensWord = ratesWord + ratesPerEntry * 2;

/** A second's worth may come at once. */
const burstMs = 1_000;
/** What adding up doubles may be off by, as a part of what one costs: never enough for one more. */
const slack = 1e-3;
/** Clocks of threads, read before a lock was waited for, may be behind one another by so much. */
const clockSkewMs = 60_000;

export type ClientKind = 'client' | 'subnet';

/** 0: no limit. */
export interface ClientLimits {
  readonly flows: number;
  readonly newFlowsPerSecond: number;
}

/** Places of entries are from 0. */
export const untracked = -1;
export const flowsReached = -2;
export const rateReached = -3;

export interface ClientTableShared {
  readonly buffer: SharedArrayBuffer;
  readonly workers: number;
  /** Entries: a power of two, at least 64. */
  readonly clients: number;
  /** Of the hash, so that nobody can choose addresses that share a bucket. */
  readonly seed: number;
}

export class ClientTable {
  readonly shared: ClientTableShared;
  private readonly words: Int32Array;
  private readonly doubles: Float64Array;
  private readonly locks: PinLocks;
  private readonly worker: number;
  private readonly entryWords: number;
  private readonly buckets: number;
  private readonly entriesAt: number;
  private readonly listenersAt: number;

  /** @param worker who counts; a reader may leave it at 0 and must not take */
  constructor(shared: ClientTableShared, worker = 0) {
    this.shared = shared;
    this.words = new Int32Array(shared.buffer);
    this.doubles = new Float64Array(shared.buffer);
    this.buckets = shared.clients / slotsPerBucket;
    const lines = this.buckets + listenersMax;
    this.locks = new PinLocks(this.words, 0, lines, worker);
    this.worker = worker;
    this.entryWords = entryWordsOf(shared.workers);
    this.entriesAt = lines * wordsPerLine;
    this.listenersAt = (this.entriesAt + shared.clients * this.entryWords) / 2;
  }

  /**
   * The kernel gives memory only to what is used of it.
   * @param seed 32 random bits
   */
  static create(workers: number, clients = limitedClientsMax, seed = 0): ClientTable {
    const lines = clients / slotsPerBucket + listenersMax;
    const words = lines * wordsPerLine + clients * entryWordsOf(workers);
    const buffer = new SharedArrayBuffer(words * 4 + listenersMax * ratesPerListener * 8);
    return new ClientTable({ buffer, workers, clients, seed });
  }

  /**
   * One more flow of a client, which {@link give} takes back.
   * @param address its port does not matter; of a subnet the masked one
   * @param isNew it is counted in the rate
   * @returns its place; or `untracked`, `flowsReached`, `rateReached`
   */
  take(
    listenerId: number,
    kind: ClientKind,
    address: Address,
    limits: ClientLimits,
    isNew: boolean,
    nowMs: number,
  ): number {
    const scope = listenerId * 2 + (kind === 'client' ? 1 : 2);
    const bucket = hashIp(address, scope ^ this.shared.seed) & (this.buckets - 1);
    if (!this.locks.acquire(bucket)) return untracked;
    try {
      const slot = this.find(bucket, scope, address, nowMs);
      if (slot < 0) return untracked;
      if (limits.flows > 0 && this.open(slot) >= limits.flows) return flowsReached;
      const isCounted = isNew && limits.newFlowsPerSecond > 0;
      if (isCounted && !this.passes(this.rateAt(slot, 0), limits.newFlowsPerSecond, nowMs))
        return rateReached;
      Atomics.add(this.words, this.opensAt(slot) + this.worker, 1);
      return slot;
    } finally {
      this.locks.release(bucket);
    }
  }

  /** Nothing for one that is not kept track of. */
  give(slot: number): void {
    if (slot >= 0) Atomics.sub(this.words, this.opensAt(slot) + this.worker, 1);
  }

  /** One more datagram of a client that has a flow. @returns false: too fast */
  passDatagram(slot: number, perSecond: number, nowMs: number): boolean {
    if (slot < 0) return true;
    const bucket = Math.floor(slot / slotsPerBucket);
    if (!this.locks.acquire(bucket)) return true;
    const passes = this.passes(this.rateAt(slot, 1), perSecond, nowMs);
    Atomics.store(this.words, this.wordAt(slot) + usedWord, nowMs | 0);
    this.locks.release(bucket);
    return passes;
  }

  /** One more flow of a listener. @returns false: too fast */
  passNewFlow(listenerId: number, perSecond: number, nowMs: number): boolean {
    const line = this.buckets + listenerId;
    if (!this.locks.acquire(line)) return true;
    const passes = this.passes(this.listenersAt + listenerId * ratesPerListener, perSecond, nowMs);
    this.locks.release(line);
    return passes;
  }

  /** What all flows of the client at this place may move. Bytes a second. */
  rateOfClient(slot: number, way: 'up' | 'down', perSecond: number): ByteRate {
    const at = this.rateAt(slot, way === 'up' ? 2 : 3);
    return new ByteRate(perSecond, this.doubles, at, {
      locks: this.locks,
      lock: Math.floor(slot / slotsPerBucket),
    });
  }

  /** The same of a listener. */
  rateOfListener(listenerId: number, way: 'up' | 'down', perSecond: number): ByteRate {
    const at = this.listenersAt + listenerId * ratesPerListener + (way === 'up' ? 1 : 2);
    return new ByteRate(perSecond, this.doubles, at, { locks: this.locks, lock: this.buckets + listenerId });
  }

  /** Open flows of the client at this place, over all workers. */
  open(slot: number): number {
    const at = this.opensAt(slot);
    let sum = 0;
    for (let worker = 0; worker < this.shared.workers; worker++) sum += Atomics.load(this.words, at + worker);
    return sum;
  }

  /** Control only, when worker `worker` is dead: frees what it had locked, and takes back what it had open. */
  clearAllOf(worker: number): void {
    this.locks.releaseOwnedBy(worker, () => undefined);
    for (let slot = 0; slot < this.shared.clients; slot++) {
      const at = this.opensAt(slot) + worker;
      if (this.words[at] !== 0) Atomics.store(this.words, at, 0);
    }
  }

  /** Under the lock: the entry of a client, made if there is none; below 0: all others have open flows. */
  private find(bucket: number, scope: number, { w0, w1, w2, w3 }: Address, nowMs: number): number {
    const { words } = this;
    let spare = untracked;
    let spareMs = -1;
    for (let slot = bucket * slotsPerBucket; slot < (bucket + 1) * slotsPerBucket; slot++) {
      const at = this.wordAt(slot);
      const isSame =
        Atomics.load(words, at + scopeWord) === scope &&
        Atomics.load(words, at) === (w0 | 0) &&
        Atomics.load(words, at + 1) === (w1 | 0) &&
        Atomics.load(words, at + 2) === (w2 | 0) &&
        Atomics.load(words, at + 3) === (w3 | 0);
      if (isSame) {
        Atomics.store(words, at + usedWord, nowMs | 0);
        return slot;
      }
      const isFree = Atomics.load(words, at + scopeWord) === 0;
      const quietMs = isFree ? 2 ** 32 : quietMsOf(Atomics.load(words, at + usedWord), nowMs);
      if (quietMs > spareMs && (isFree || this.open(slot) === 0)) {
        spare = slot;
        spareMs = quietMs;
      }
    }
    if (spare >= 0) this.begin(spare, scope, [w0, w1, w2, w3], nowMs);
    return spare;
  }

  private begin(slot: number, scope: number, address: readonly number[], nowMs: number): void {
    const at = this.wordAt(slot);
    // A thread that is killed in between leaves a free entry.
    Atomics.store(this.words, at + scopeWord, 0);
    for (let rate = 0; rate < ratesPerEntry; rate++) this.doubles[this.rateAt(slot, rate)] = 0;
    for (let word = 0; word < 4; word++) Atomics.store(this.words, at + word, address[word]! | 0);
    Atomics.store(this.words, at + usedWord, nowMs | 0);
    Atomics.store(this.words, at + scopeWord, scope);
  }

  /** Under the lock. */
  private passes(at: number, perSecond: number, nowMs: number): boolean {
    const costMs = 1_000 / perSecond;
    const paidAtMs = Math.max(this.doubles[at]!, nowMs);
    if (paidAtMs - nowMs > burstMs - costMs * (1 - slack)) return false;
    this.doubles[at] = paidAtMs + costMs;
    return true;
  }

  private wordAt(slot: number): number {
    return this.entriesAt + slot * this.entryWords;
  }

  private opensAt(slot: number): number {
    return this.wordAt(slot) + opensWord;
  }

  /** In doubles. */
  private rateAt(slot: number, rate: number): number {
    return (this.wordAt(slot) + ratesWord) / 2 + rate;
  }
}

/** Since an entry was used, by the low 32 bits of the time. */
function quietMsOf(usedMs: number, nowMs: number): number {
  const quietMs = ((nowMs | 0) - usedMs) >>> 0;
  return quietMs >= 2 ** 32 - clockSkewMs ? 0 : quietMs;
}

/** MurmurHash3_x86_32 over the address without its port. */
function hashIp({ w0, w1, w2, w3 }: Address, seed: number): number {
  return finishHash(mixWord(mixWord(mixWord(mixWord(seed, w0), w1), w2), w3));
}

/** An even number: doubles are aligned. */
function entryWordsOf(workers: number): number {
  return opensWord + workers + (workers % 2);
}
