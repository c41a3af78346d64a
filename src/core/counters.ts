/**
 * Counts in shared memory. Each worker has a block of its own and is the only one to write there, so counting
 * is an addition and not an atomic operation; control and other workers read and add up. Values are 64-bit
 * floats: exact to 2^53, and an aligned store is not torn on the 64-bit machines pinion runs on.
 *
 *   block of worker w: | flows open, and spare | listener rows | backend rows | ends: listener x termination code |
 *
 * Gauges (`active`) of a worker that died are cleared by control; totals stay, they only ever grow.
 */
import { backendIdsMax, listenersMax } from './limits.ts';
import { type TerminationCode, terminationCodes, terminationIndex } from './termination.ts';

export const listenerCounters = [
  'active',
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
  'acceptPauses',
] as const;
export const backendCounters = [
  'active',
  'opened',
  'dialFailures',
  'bytesIn',
  'bytesOut',
  'unreachable',
] as const;

export type ListenerCounter = (typeof listenerCounters)[number];
export type BackendCounter = (typeof backendCounters)[number];

const listenerField = indexed(listenerCounters);
const backendField = indexed(backendCounters);
const globalWords = 8;
const listenerWords = listenersMax * listenerCounters.length;
const backendWords = (backendIdsMax + 1) * backendCounters.length;
const endWords = listenersMax * terminationCodes.length;
const blockWords = globalWords + listenerWords + backendWords + endWords;

function indexed<T extends string>(names: readonly T[]): Record<T, number> {
  return Object.fromEntries(names.map((name, index) => [name, index])) as Record<T, number>;
}

export interface CountersShared {
  readonly buffer: SharedArrayBuffer;
  readonly workers: number;
}

export class Counters {
  readonly shared: CountersShared;
  private readonly words: Float64Array;
  private readonly base: number;

  /** @param worker whose block `add*` writes to; a reader may leave it at 0 and must not write. */
  constructor(shared: CountersShared, worker = 0) {
    this.shared = shared;
    this.words = new Float64Array(shared.buffer);
    this.base = worker * blockWords + globalWords;
  }

  static create(workers: number): Counters {
    return new Counters({ buffer: new SharedArrayBuffer(workers * blockWords * 8), workers });
  }

  /** Opens (1) or closes (-1) a flow of this worker. */
  addFlows(amount: number): void {
    this.words[this.base - globalWords]! += amount;
  }

  /** Flows open now, over all workers. */
  flows(): number {
    return this.sum(-globalWords);
  }

  addListener(id: number, counter: ListenerCounter, amount: number): void {
    this.words[this.base + id * listenerCounters.length + listenerField[counter]]! += amount;
  }

  addBackend(id: number, counter: BackendCounter, amount: number): void {
    this.words[this.base + listenerWords + id * backendCounters.length + backendField[counter]]! += amount;
  }

  addEnd(listenerId: number, code: TerminationCode): void {
    const row = listenerWords + backendWords + listenerId * terminationCodes.length;
    this.words[this.base + row + terminationIndex.get(code)!]! += 1;
  }

  /** Over all workers. */
  listener(id: number, counter: ListenerCounter): number {
    return this.sum(id * listenerCounters.length + listenerField[counter]);
  }

  /** Over all workers. */
  backend(id: number, counter: BackendCounter): number {
    return this.sum(listenerWords + id * backendCounters.length + backendField[counter]);
  }

  /** Flows of a listener that ended with `code`, over all workers. */
  ends(listenerId: number, code: TerminationCode): number {
    const row = listenerWords + backendWords + listenerId * terminationCodes.length;
    return this.sum(row + terminationIndex.get(code)!);
  }

  /** Control only, when worker `worker` is dead: what it had open is gone. */
  clearGauges(worker: number): void {
    const base = worker * blockWords + globalWords;
    this.words[base - globalWords] = 0;
    for (let id = 0; id < listenersMax; id++) this.words[base + id * listenerCounters.length] = 0;
    for (let id = 0; id <= backendIdsMax; id++) {
      this.words[base + listenerWords + id * backendCounters.length] = 0;
    }
  }

  private sum(offset: number): number {
    let total = 0;
    for (let worker = 0; worker < this.shared.workers; worker++) {
      total += this.words[worker * blockWords + globalWords + offset]!;
    }
    return total;
  }
}
