/**
 * How many flows are open, exactly: of the instance, of each listener and of each backend. A worker takes a place
 * before it opens a flow, and one compare-and-exchange both looks and takes: a limit holds however many workers reach
 * it at once. That is one atomic operation for each count and flow, none for a datagram or a byte.
 *
 *    limits.flows  =  | reserve of listener 1 | of listener 2 | ... | common: whoever comes first |
 *                                                                   | UDP's part of it |         |
 *
 * A flow takes of its listener's reserve while there is some, then of the common places; one that ends gives back a
 * common place if its listener has any. So nobody's reserve is ever used by others, and a reload may change the shares
 * at any time: what is taken above them is given back as flows end, and the total is kept all the while.
 *
 * Each worker also keeps what it has taken itself, in a block where it alone writes, for control to give back when it
 * died. A thread that is torn down between two of these words (by `terminate`, nothing else ends it there) leaves one
 * place too many taken, never one too few.
 */
import { backendIdsMax, listenersMax } from './limits.ts';

/** What a listener may take, and what everybody together. */
export interface FlowLimit {
  readonly listenerId: number;
  readonly isUdp: boolean;
  readonly listenerMax: number;
  /** Places that only this listener may take. */
  readonly reserve: number;
  readonly flowsMax: number;
  /** Places that are in no reserve. */
  readonly commonMax: number;
  /** Of those, what UDP listeners may take together. */
  readonly udpCommonMax: number;
}

/** The rows of all workers together: | totals | listeners | backends |. */
const totals = { flows: 0, common: 1, udpCommon: 2, count: 8 } as const;
const field = { open: 0, ofReserve: 1, ofCommon: 2, isUdp: 3, count: 4 } as const;
const listenersAt = totals.count;
const backendsAt = listenersAt + listenersMax * field.count;
const sharedWords = backendsAt + backendIdsMax + 1;
/** A worker's own: | listeners | backends |, a word each. */
const ownWords = listenersMax + backendIdsMax + 1;

export class Places {
  private readonly words: Int32Array;
  private readonly ownAt: number;

  /** @param worker who takes and gives; a reader may leave it at 0 and must do neither */
  constructor(buffer: SharedArrayBuffer, worker = 0) {
    this.words = new Int32Array(buffer);
    this.ownAt = sharedWords + worker * ownWords;
  }

  static bufferOf(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer((sharedWords + workers * ownWords) * 4);
  }

  flows(): number {
    return Atomics.load(this.words, totals.flows);
  }

  listener(id: number): number {
    return Atomics.load(this.words, rowOf(id) + field.open);
  }

  backend(id: number): number {
    return Atomics.load(this.words, backendsAt + id);
  }

  /** Whether a flow of this listener that ends makes room for other listeners: it has more than its reserve. */
  hasCommon(listenerId: number): boolean {
    return Atomics.load(this.words, rowOf(listenerId) + field.ofCommon) > 0;
  }

  /** Takes a place for a flow. @returns the limit that is reached; undefined: taken */
  takeFlow(limit: FlowLimit): 'limit-flows' | 'limit-listener' | undefined {
    const row = rowOf(limit.listenerId);
    if (!this.take(row + field.open, limit.listenerMax)) return 'limit-listener';
    if (this.take(totals.flows, limit.flowsMax)) {
      if (this.takeShare(row, limit)) {
        this.words[this.ownAt + limit.listenerId]!++;
        return undefined;
      }
      this.give(totals.flows);
    }
    this.give(row + field.open);
    return 'limit-flows';
  }

  giveFlow(listenerId: number): void {
    this.disown(listenerId);
    this.giveFor(listenerId);
  }

  /** This worker has one flow less, whose place another worker has taken over already: see {@link giveFor}. */
  disown(listenerId: number): void {
    this.words[this.ownAt + listenerId]!--;
  }

  /** Gives back the place of another worker's flow, which that worker then disowns. */
  giveFor(listenerId: number): void {
    const row = rowOf(listenerId);
    this.giveShare(row);
    this.give(totals.flows);
    this.give(row + field.open);
  }

  /**
   * A flow that the kernel carries: it holds no descriptor, so it takes nothing of `limits.flows`, and is counted at its listener
   * alone. A worker's own count of such flows is below 0.
   */
  takeCarried(listenerId: number): void {
    Atomics.add(this.words, rowOf(listenerId) + field.open, 1);
    this.words[this.ownAt + listenerId]!--;
  }

  giveCarried(listenerId: number): void {
    this.words[this.ownAt + listenerId]!++;
    this.give(rowOf(listenerId) + field.open);
  }

  /** Takes a place at the backend. @returns false: it has `max` flows already */
  takeBackend(id: number, max: number): boolean {
    if (!this.take(backendsAt + id, max)) return false;
    this.words[this.ownAt + listenersMax + id]!++;
    return true;
  }

  giveBackend(id: number): void {
    this.words[this.ownAt + listenersMax + id]!--;
    this.give(backendsAt + id);
  }

  /**
   * Control only, when worker `worker` is dead: gives back what it had.
   * @param takenOver how many places of its flows of a listener others have taken over
   */
  giveAllOf(worker: number, takenOver: (listenerId: number) => number): void {
    const { words } = this;
    const ownAt = sharedWords + worker * ownWords;
    for (let id = 0; id < listenersMax; id++) {
      const own = words[ownAt + id]!;
      if (own < 0) Atomics.add(words, rowOf(id) + field.open, own);
      for (let left = own - takenOver(id); left > 0; left--) this.giveFor(id);
    }
    for (let id = 0; id <= backendIdsMax; id++) {
      const taken = words[ownAt + listenersMax + id]!;
      if (taken > 0) Atomics.sub(words, backendsAt + id, taken);
    }
    words.fill(0, ownAt, ownAt + ownWords);
  }

  /** Of the reserve, else of what is common. */
  private takeShare(row: number, { isUdp, reserve, commonMax, udpCommonMax }: FlowLimit): boolean {
    if (this.take(row + field.ofReserve, reserve)) return true;
    if (isUdp) {
      if (!this.take(totals.udpCommon, udpCommonMax)) return false;
      if (Atomics.load(this.words, row + field.isUdp) === 0) Atomics.store(this.words, row + field.isUdp, 1);
    }
    if (this.take(totals.common, commonMax)) {
      Atomics.add(this.words, row + field.ofCommon, 1);
      return true;
    }
    if (isUdp) this.give(totals.udpCommon);
    return false;
  }

  private giveShare(row: number): void {
    const { words } = this;
    const at = row + field.ofCommon;
    for (let common = Atomics.load(words, at); common > 0; common = Atomics.load(words, at)) {
      if (Atomics.compareExchange(words, at, common, common - 1) !== common) continue;
      this.give(totals.common);
      if (Atomics.load(words, row + field.isUdp) === 1) this.give(totals.udpCommon);
      return;
    }
    this.give(row + field.ofReserve);
  }

  private take(at: number, max: number): boolean {
    const { words } = this;
    for (;;) {
      const taken = Atomics.load(words, at);
      if (taken >= max) return false;
      if (Atomics.compareExchange(words, at, taken, taken + 1) === taken) return true;
    }
  }

  private give(at: number): void {
    Atomics.sub(this.words, at, 1);
  }
}

function rowOf(listenerId: number): number {
  return listenersAt + listenerId * field.count;
}
