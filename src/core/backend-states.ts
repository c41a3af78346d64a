/**
 * What every worker must know of a backend at once: is it up, is it draining, how much weight has it now, and
 * how many flows do other instances hold on it. One row of shared memory per backend id; control writes, workers read.
 * Each field is one word, so a reader sees the old or the new value and never half of one.
 */
import { backendIdsMax } from './limits.ts';

const rowWords = 4;
const field = { flags: 0, weight: 1, peerFlows: 2 } as const;
const flag = { up: 1, draining: 2, movesPinned: 4 } as const;

/** Weights are shared in thousandths so that slow start can grow in small steps. */
const weightScale = 1000;

export class BackendStates {
  readonly shared: SharedArrayBuffer;
  private readonly words: Int32Array;

  constructor(shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer((backendIdsMax + 1) * rowWords * 4);
    this.words = new Int32Array(this.shared);
  }

  isUp(id: number): boolean {
    return (this.flags(id) & flag.up) !== 0;
  }

  isDraining(id: number): boolean {
    return (this.flags(id) & flag.draining) !== 0;
  }

  /** Serves flows of clients pinned to it: up, draining or not, unless it drains them away, too. */
  servesPinned(id: number): boolean {
    return (this.flags(id) & (flag.up | flag.movesPinned)) === flag.up;
  }

  /** Serves clients that were not there before: up, not draining, with weight. */
  servesNew(id: number): boolean {
    return this.flags(id) === flag.up && Atomics.load(this.words, id * rowWords + field.weight) > 0;
  }

  /** The weight in force, in the plan's unit (0 to 256, with fractions during slow start). */
  weight(id: number): number {
    return Atomics.load(this.words, id * rowWords + field.weight) / weightScale;
  }

  /** Flows other instances hold on this backend, as last told. */
  peerFlows(id: number): number {
    return Atomics.load(this.words, id * rowWords + field.peerFlows);
  }

  setUp(id: number, up: boolean): void {
    this.setFlag(id, flag.up, up);
  }

  /** @param movesPinned pinned clients go elsewhere with their next connection */
  setDraining(id: number, draining: boolean, movesPinned = false): void {
    this.setFlag(id, flag.movesPinned, draining && movesPinned);
    this.setFlag(id, flag.draining, draining);
  }

  setWeight(id: number, weight: number): void {
    Atomics.store(this.words, id * rowWords + field.weight, Math.round(weight * weightScale));
  }

  setPeerFlows(id: number, flows: number): void {
    Atomics.store(this.words, id * rowWords + field.peerFlows, flows);
  }

  private flags(id: number): number {
    return Atomics.load(this.words, id * rowWords + field.flags);
  }

  private setFlag(id: number, bit: number, on: boolean): void {
    const index = id * rowWords + field.flags;
    if (on) Atomics.or(this.words, index, bit);
    else Atomics.and(this.words, index, ~bit);
  }
}
