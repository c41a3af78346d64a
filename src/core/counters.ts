/**
 * Counts in shared memory. Each worker has a block of its own and is the only one to write there, so counting
 * is an addition and not an atomic operation; control and other workers read and add up. Values are 64-bit
 * floats: exact to 2^53, and an aligned store is not torn on the 64-bit machines pinion runs on.
 *
 *   block of worker w: | listener rows | backend rows | ends: listener x termination code | the instance's own |
 *
 * These only ever grow. How many flows are open (`active`) is counted exactly, in words of its own: places.ts.
 */
import { ClientTable, type ClientTableShared } from './client-table.ts';
import { Evictable } from './evictable.ts';
import { Histograms } from './histograms.ts';
import { backendIdsMax, limitedClientsMax, listenersMax } from './limits.ts';
import { Places } from './places.ts';
import { type TerminationCode, terminationCodes, terminationIndex } from './termination.ts';

const listenerCounters = [
  'opened',
  'refused',
  'bytesIn',
  'bytesOut',
  'datagramsIn',
  'datagramsOut',
  'droppedQueueFull',
  'droppedTooLong',
  'droppedWaiting',
  'droppedUnknown',
  'droppedShutdown',
  'droppedServerSource',
  'droppedProxyHeader',
  'droppedRebind',
  'rebindTries',
  'rebinds',
  'droppedReceiveBuffer',
  'droppedBackendBuffer',
  'droppedRate',
  'acceptPauses',
  'arrivals',
  'arrivalsOver',
] as const;
const backendCounters = [
  'opened',
  'dialFailures',
  'earlyBreaks',
  'bytesIn',
  'bytesOut',
  'datagramsIn',
  'datagramsOut',
  'unreachable',
] as const;

/** Of the whole instance. */
const instanceCounters = ['kernelEventLosses', 'kernelDrops'] as const;

export type InstanceCounter = (typeof instanceCounters)[number];
export type ListenerCounter = (typeof listenerCounters)[number];
export type BackendCounter = (typeof backendCounters)[number];

const listenerField = indexed(listenerCounters);
const backendField = indexed(backendCounters);
const instanceField = indexed(instanceCounters);
const listenerWords = listenersMax * listenerCounters.length;
const backendWords = (backendIdsMax + 1) * backendCounters.length;
const endWords = listenersMax * terminationCodes.length;
const endsBase = listenerWords + backendWords;
const instanceBase = endsBase + endWords;
const blockWords = instanceBase + instanceCounters.length;

function indexed<T extends string>(names: readonly T[]): Record<T, number> {
  return Object.fromEntries(names.map((name, index) => [name, index])) as Record<T, number>;
}

export interface CountersShared {
  readonly buffer: SharedArrayBuffer;
  readonly places: SharedArrayBuffer;
  readonly evictable: SharedArrayBuffer;
  readonly histograms: SharedArrayBuffer;
  readonly clients: ClientTableShared;
  readonly workers: number;
}

export class Counters {
  readonly shared: CountersShared;
  readonly places: Places;
  readonly evictable: Evictable;
  readonly clients: ClientTable;
  readonly histograms: Histograms;
  private readonly words: Float64Array;
  private readonly base: number;

  /** @param worker whose block `add*` writes to; a reader may leave it at 0 and must not write. */
  constructor(shared: CountersShared, worker = 0) {
    this.shared = shared;
    this.words = new Float64Array(shared.buffer);
    this.base = worker * blockWords;
    this.places = new Places(shared.places, worker);
    this.evictable = new Evictable(shared.evictable, worker);
    this.clients = new ClientTable(shared.clients, worker);
    this.histograms = new Histograms(shared.histograms, worker);
  }

  /** @param seed 32 random bits, for hashes */
  static create(workers: number, seed = 0): Counters {
    const buffer = new SharedArrayBuffer(workers * blockWords * 8);
    const places = Places.bufferOf(workers);
    const clients = ClientTable.create(workers, limitedClientsMax, seed).shared;
    const evictable = Evictable.bufferOf(workers);
    const histograms = Histograms.bufferOf(workers);
    return new Counters({ buffer, places, evictable, histograms, clients, workers });
  }

  /** Flows open now, over all workers. */
  flows(): number {
    return this.places.flows();
  }

  addListener(id: number, counter: ListenerCounter, amount: number): void {
    this.words[this.base + id * listenerCounters.length + listenerField[counter]]! += amount;
  }

  addBackend(id: number, counter: BackendCounter, amount: number): void {
    this.words[this.base + listenerWords + id * backendCounters.length + backendField[counter]]! += amount;
  }

  addEnd(listenerId: number, code: TerminationCode, amount = 1): void {
    const row = endsBase + listenerId * terminationCodes.length;
    this.words[this.base + row + terminationIndex.get(code)!]! += amount;
  }

  addInstance(counter: InstanceCounter, amount: number): void {
    this.words[this.base + instanceBase + instanceField[counter]]! += amount;
  }

  /** Over all workers. */
  instance(counter: InstanceCounter): number {
    return this.sum(instanceBase + instanceField[counter]);
  }

  /** Over all workers. */
  listener(id: number, counter: ListenerCounter | 'active'): number {
    if (counter === 'active') return this.places.listener(id);
    return this.sum(id * listenerCounters.length + listenerField[counter]);
  }

  /** Clients of a listener that are being identified, over all workers. Their two counts are read one after the other. */
  arriving(id: number): number {
    return Math.max(0, this.listener(id, 'arrivals') - this.listener(id, 'arrivalsOver'));
  }

  /** Over all workers. */
  backend(id: number, counter: BackendCounter | 'active'): number {
    if (counter === 'active') return this.places.backend(id);
    return this.sum(listenerWords + id * backendCounters.length + backendField[counter]);
  }

  /** What this worker has counted alone. */
  ownBackend(id: number, counter: BackendCounter): number {
    return this.words[this.base + listenerWords + id * backendCounters.length + backendField[counter]]!;
  }

  /** Flows of a listener that ended with `code`, over all workers. */
  ends(listenerId: number, code: TerminationCode): number {
    const row = endsBase + listenerId * terminationCodes.length;
    return this.sum(row + terminationIndex.get(code)!);
  }

  /** Control only, when worker `worker` is dead: what it had open is gone. */
  clearOpenOf(worker: number): void {
    for (let id = 0; id < listenersMax; id++) {
      const row = worker * blockWords + id * listenerCounters.length;
      this.words[row + listenerField.arrivalsOver] = this.words[row + listenerField.arrivals]!;
    }
    this.places.giveAllOf(worker, (listenerId) => this.evictable.clear(worker, listenerId));
    this.clients.clearAllOf(worker);
  }

  private sum(offset: number): number {
    let total = 0;
    for (let worker = 0; worker < this.shared.workers; worker++) {
      total += this.words[worker * blockWords + offset]!;
    }
    return total;
  }
}
