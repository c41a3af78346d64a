/**
 * What each client of a listener has, over all workers: open flows, and how fast it comes. One table in shared memory, so that a limit
 * holds however the kernel spreads a client's connections. It is asked for new flows (and for datagrams, where a limit is on
 * them) of listeners with such limits, and of no others.
 *
 *    locks, one for each bucket and each listener | entries, 64 to a bucket | rates of listeners
 *    | the pair: known until, era, members
 *    entry:  address, 4 words | listener and kind | used at | rates, 4 doubles | open elsewhere, and its era | open flows, a word
 *            for each worker
 *
 * A client is looked up in one bucket, under its lock (core/pins/lock.ts). Each worker counts its flows in a word of its own, and
 * the sum is what a limit is compared with; so a worker that died is taken back by clearing its words. In a full bucket whoever
 * has no flow and was seen last longest ago is forgotten; where all have flows a newcomer is not kept track of, and let in:
 * nobody's flow ends for the table's sake. With 262,144 entries, 64 to a bucket, that takes some 150,000 clients with open flows.
 *
 * Rates are kept as the time at which all that has passed would be paid for (the virtual scheduling form of the generic cell rate
 * algorithm, ITU-T I.371): who was quiet for a second may do a second's worth at once.
 *
 * Of a limit that is summed over the pair, the cluster room writes what other instances have open (cluster/client-sums.ts):
 * with each beat of an era of its own, so that what a beat does not name is 0 without being looked for, and until when it may be
 * believed. Past that each instance has its even share.
 */
import { Address } from './address.ts';
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
const elsewhereWord = ratesWord + ratesPerEntry * 2;
const eraWord = elsewhereWord + 1;
const opensWord = eraWord + 1;
/** Doubles at the end: what is known of the pair. */
const pairKnownUntil = 0;
const pairEra = 1;
const pairMembers = 2;
const pairDoubles = 3;

/** Steps that parts of a limit are told apart by. */
const partsMax = 64;

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
  /** Over all instances of the cluster. */
  readonly isSummed?: boolean;
}

/** A client (or network) with open flows. */
export interface OpenClient {
  readonly listenerId: number;
  readonly kind: ClientKind;
  readonly address: Address;
  readonly flows: number;
}

/** What counts for the next flow of a client or network, for those who ask. */
export interface ClientStanding {
  /** Open flows on this instance. */
  readonly open: number;
  /** And on the others, as they told last; undefined: nothing is known of them now. */
  readonly elsewhere: number | undefined;
  /** Instances that were there last, this one too. */
  readonly members: number;
}

/** A limit whose clients are listed: those with at least so many flows. */
export interface ListedLimit {
  readonly flows: number;
  readonly least: number;
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
  private readonly pairAt: number;

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
    this.pairAt = this.listenersAt + listenersMax * ratesPerListener;
  }

  /**
   * The kernel gives memory only to what is used of it.
   * @param seed 32 random bits
   */
  static create(workers: number, clients = limitedClientsMax, seed = 0): ClientTable {
    const lines = clients / slotsPerBucket + listenersMax;
    const words = lines * wordsPerLine + clients * entryWordsOf(workers);
    const buffer = new SharedArrayBuffer(words * 4 + (listenersMax * ratesPerListener + pairDoubles) * 8);
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
    const scope = scopeOf(listenerId, kind);
    const bucket = this.bucketOf(scope, address);
    if (!this.locks.acquire(bucket)) return untracked;
    try {
      const slot = this.find(bucket, scope, address, nowMs);
      if (slot < 0) return untracked;
      if (limits.flows > 0 && this.open(slot) >= this.flowsMax(slot, limits, nowMs)) return flowsReached;
      const perSecond = isNew ? limits.newFlowsPerSecond : 0;
      const ownPerSecond = limits.isSummed === true ? this.share(perSecond) : perSecond;
      if (perSecond > 0 && !this.passes(this.rateAt(slot, 0), ownPerSecond, nowMs)) return rateReached;
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

  /** Takes nothing and waits for nobody: it is read without the lock, and a client that comes or goes meanwhile may be missed. */
  look(listenerId: number, kind: ClientKind, address: Address, nowMs: number): ClientStanding {
    const scope = scopeOf(listenerId, kind);
    const first = this.bucketOf(scope, address) * slotsPerBucket;
    const { members } = this;
    const isKnown = nowMs < this.doubles[this.pairAt + pairKnownUntil]!;
    for (let slot = first; slot < first + slotsPerBucket; slot++) {
      if (!this.isOf(slot, scope, address)) continue;
      return { open: this.open(slot), elsewhere: isKnown ? this.elsewhere(slot) : undefined, members };
    }
    return { open: 0, elsewhere: isKnown ? 0 : undefined, members };
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

  /** This instance's part of a rate that is summed over the pair. At least 1, or nothing would ever pass. */
  share(perSecond: number): number {
    return Math.max(1, Math.ceil(perSecond / this.members));
  }

  /**
   * The cluster room only: clients that have open flows, those with the most of their limit first.
   * @param limits of each listener and kind ({@link scopeOf}); what is not in it is left out
   * @param most so many of them
   */
  list(limits: ReadonlyMap<number, ListedLimit>, most: number): OpenClient[] {
    const slots: number[] = [];
    const parts: number[] = [];
    // How many have so many 64ths of their limit: of a hundred thousand only those that are wanted are read and sorted.
    const counts = new Array<number>(partsMax + 1).fill(0);
    for (let slot = 0; slot < this.shared.clients; slot++) {
      const limit = limits.get(this.words[this.wordAt(slot) + scopeWord]!);
      if (limit === undefined) continue;
      const flows = this.open(slot);
      if (flows < limit.least) continue;
      const part = Math.min(partsMax, Math.floor((flows * partsMax) / limit.flows));
      slots.push(slot);
      parts.push(part);
      counts[part]!++;
    }
    let cut = partsMax;
    for (let above = counts[cut]!; cut > 0 && above < most; above += counts[cut]!) cut--;
    const chosen: { client: OpenClient; part: number }[] = [];
    for (const isOnCut of [false, true]) {
      for (let i = 0; i < slots.length && chosen.length < most; i++) {
        if (isOnCut ? parts[i] !== cut : parts[i]! <= cut) continue;
        const client = this.read(slots[i]!);
        if (client !== undefined) chosen.push({ client, part: parts[i]! });
      }
    }
    return chosen.sort((a, b) => b.part - a.part).map(({ client }) => client);
  }

  /** The cluster room only. Begins what other instances have open anew. @returns the era for {@link setElsewhere} */
  beginPair(): number {
    return (this.doubles[this.pairAt + pairEra]! + 1) | 0;
  }

  /** The cluster room only. It holds from now on, and lapses when no later era is begun and ended. */
  setElsewhere({ listenerId, kind, address, flows }: OpenClient, era: number, nowMs: number): void {
    const scope = scopeOf(listenerId, kind);
    const bucket = this.bucketOf(scope, address);
    if (!this.locks.acquire(bucket)) return;
    const slot = this.find(bucket, scope, address, nowMs);
    if (slot >= 0) {
      const at = this.wordAt(slot);
      Atomics.store(this.words, at + elsewhereWord, Math.min(flows, 0x7fffffff));
      Atomics.store(this.words, at + eraWord, era);
    }
    this.locks.release(bucket);
  }

  /**
   * The cluster room only: all of an era has been said.
   * @param members instances of the cluster, this one too
   * @param untilMs until then it may be believed
   */
  endPair(era: number, members: number, untilMs: number): void {
    this.doubles[this.pairAt + pairEra] = era;
    this.doubles[this.pairAt + pairMembers] = members;
    this.doubles[this.pairAt + pairKnownUntil] = untilMs;
  }

  /** Control only, when a thread that is no worker is dead: its number as `attachSharedMemory` counts. */
  releaseLocksOf(thread: number): void {
    this.locks.releaseOwnedBy(thread, () => undefined);
  }

  /** Control only, when worker `worker` is dead: frees what it had locked, and takes back what it had open. */
  clearAllOf(worker: number): void {
    this.locks.releaseOwnedBy(worker, () => undefined);
    for (let slot = 0; slot < this.shared.clients; slot++) {
      const at = this.opensAt(slot) + worker;
      if (this.words[at] !== 0) Atomics.store(this.words, at, 0);
    }
  }

  /** Instances that were there last, this one too. */
  private get members(): number {
    return Math.max(1, this.doubles[this.pairAt + pairMembers]!);
  }

  /** How many flows this instance may have open for the client at this place. */
  private flowsMax(slot: number, { flows, isSummed }: ClientLimits, nowMs: number): number {
    if (isSummed !== true) return flows;
    const isKnown = nowMs < this.doubles[this.pairAt + pairKnownUntil]!;
    return isKnown ? flows - this.elsewhere(slot) : Math.ceil(flows / this.members);
  }

  private elsewhere(slot: number): number {
    const at = this.wordAt(slot);
    const age = ((this.doubles[this.pairAt + pairEra]! | 0) - Atomics.load(this.words, at + eraWord)) | 0;
    // Of the era to come: a beat is just being told.
    return age <= 0 ? Atomics.load(this.words, at + elsewhereWord) : 0;
  }

  private read(slot: number): OpenClient | undefined {
    const bucket = Math.floor(slot / slotsPerBucket);
    if (!this.locks.acquire(bucket)) return undefined;
    const at = this.wordAt(slot);
    const word = (i: number): number => Atomics.load(this.words, at + i) >>> 0;
    const address = new Address(word(0), word(1), word(2), word(3), 0);
    const scope = word(scopeWord);
    const flows = this.open(slot);
    this.locks.release(bucket);
    // Another client may have got the place meanwhile.
    if (scope === 0 || flows <= 0) return undefined;
    return { listenerId: (scope - 1) >> 1, kind: scope % 2 === 1 ? 'client' : 'subnet', address, flows };
  }

  private bucketOf(scope: number, address: Address): number {
    return hashIp(address, scope ^ this.shared.seed) & (this.buckets - 1);
  }

  /** Under the lock: the entry of a client, made if there is none; below 0: all others have open flows. */
  private find(bucket: number, scope: number, address: Address, nowMs: number): number {
    const { words } = this;
    let spare = untracked;
    let spareMs = -1;
    for (let slot = bucket * slotsPerBucket; slot < (bucket + 1) * slotsPerBucket; slot++) {
      const at = this.wordAt(slot);
      if (this.isOf(slot, scope, address)) {
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
    const { w0, w1, w2, w3 } = address;
    if (spare >= 0) this.begin(spare, scope, [w0, w1, w2, w3], nowMs);
    return spare;
  }

  private isOf(slot: number, scope: number, { w0, w1, w2, w3 }: Address): boolean {
    const { words } = this;
    const at = this.wordAt(slot);
    return (
      Atomics.load(words, at + scopeWord) === scope &&
      Atomics.load(words, at) === (w0 | 0) &&
      Atomics.load(words, at + 1) === (w1 | 0) &&
      Atomics.load(words, at + 2) === (w2 | 0) &&
      Atomics.load(words, at + 3) === (w3 | 0)
    );
  }

  private begin(slot: number, scope: number, address: readonly number[], nowMs: number): void {
    const at = this.wordAt(slot);
    // A thread that is killed in between leaves a free entry.
    Atomics.store(this.words, at + scopeWord, 0);
    for (let rate = 0; rate < ratesPerEntry; rate++) this.doubles[this.rateAt(slot, rate)] = 0;
    for (let word = 0; word < 4; word++) Atomics.store(this.words, at + word, address[word]! | 0);
    Atomics.store(this.words, at + elsewhereWord, 0);
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

/** A listener and kind in one number; never 0. */
export function scopeOf(listenerId: number, kind: ClientKind): number {
  return listenerId * 2 + (kind === 'client' ? 1 : 2);
}

/** MurmurHash3_x86_32 over the address without its port. */
function hashIp({ w0, w1, w2, w3 }: Address, seed: number): number {
  return finishHash(mixWord(mixWord(mixWord(mixWord(seed, w0), w1), w2), w3));
}

/** An even number: doubles are aligned. */
function entryWordsOf(workers: number): number {
  return opensWord + workers + (workers % 2);
}
