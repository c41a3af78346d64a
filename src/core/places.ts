/**
 * How many flows are open, exactly: of the instance, of each listener and of each backend. A worker takes a place
 * before it opens a flow, and one compare-and-exchange both looks and takes: a limit holds however many workers reach
 * it at once. That is one atomic operation for each count and flow, none for a datagram or a byte.
 *
 *    | flows | listeners | backends |            words that all workers change
 *    | listeners | backends | of worker 0 | ...  what of them this worker has taken; it alone writes
 *
 * The second part is for a worker that died: control gives back what it had. A thread that is torn down between two of
 * these words (by `terminate`, nothing else ends it there) leaves one place too many taken, never one too few.
 */
import { backendIdsMax, listenersMax } from './limits.ts';

const flowsAt = 0;
const listenersAt = 1;
const backendsAt = listenersAt + listenersMax;
const sharedWords = backendsAt + backendIdsMax + 1;
/** A worker's own block has the layout of the shared one, without the flows. */
const ownWords = sharedWords - listenersAt;

export class Places {
  private readonly words: Int32Array;
  private readonly ownAt: number;

  /** @param worker who takes and gives; a reader may leave it at 0 and must do neither */
  constructor(buffer: SharedArrayBuffer, worker = 0) {
    this.words = new Int32Array(buffer);
    this.ownAt = ownAtOf(worker);
  }

  static bufferOf(workers: number): SharedArrayBuffer {
    return new SharedArrayBuffer((sharedWords + workers * ownWords) * 4);
  }

  flows(): number {
    return Atomics.load(this.words, flowsAt);
  }

  listener(id: number): number {
    return Atomics.load(this.words, listenersAt + id);
  }

  backend(id: number): number {
    return Atomics.load(this.words, backendsAt + id);
  }

  /** Takes a place for a flow of the listener. @returns the limit that is reached; undefined: taken */
  takeFlow(
    listenerId: number,
    listenerMax: number,
    flowsMax: number,
  ): 'limit-flows' | 'limit-listener' | undefined {
    if (!this.take(flowsAt, flowsMax)) return 'limit-flows';
    if (this.take(listenersAt + listenerId, listenerMax)) {
      this.own(listenersAt + listenerId, 1);
      return undefined;
    }
    Atomics.sub(this.words, flowsAt, 1);
    return 'limit-listener';
  }

  giveFlow(listenerId: number): void {
    this.own(listenersAt + listenerId, -1);
    Atomics.sub(this.words, listenersAt + listenerId, 1);
    Atomics.sub(this.words, flowsAt, 1);
  }

  /** Takes a place at the backend. @returns false: it has `max` flows already */
  takeBackend(id: number, max: number): boolean {
    if (!this.take(backendsAt + id, max)) return false;
    this.own(backendsAt + id, 1);
    return true;
  }

  giveBackend(id: number): void {
    this.own(backendsAt + id, -1);
    Atomics.sub(this.words, backendsAt + id, 1);
  }

  /** Control only, when worker `worker` is dead: gives back what it had. */
  giveAllOf(worker: number): void {
    const { words } = this;
    const ownAt = ownAtOf(worker);
    for (let at = listenersAt; at < sharedWords; at++) {
      const taken = words[ownAt + at]!;
      if (taken === 0) continue;
      words[ownAt + at] = 0;
      Atomics.sub(words, at, taken);
      if (at < backendsAt) Atomics.sub(words, flowsAt, taken);
    }
  }

  private take(at: number, max: number): boolean {
    const { words } = this;
    for (;;) {
      const taken = Atomics.load(words, at);
      if (taken >= max) return false;
      if (Atomics.compareExchange(words, at, taken, taken + 1) === taken) return true;
    }
  }

  private own(at: number, amount: number): void {
    this.words[this.ownAt + at]! += amount;
  }
}

function ownAtOf(worker: number): number {
  return sharedWords + worker * ownWords - listenersAt;
}
