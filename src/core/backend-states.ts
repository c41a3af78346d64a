/**
 * What every worker must know of a backend at once: is it up, is it draining, how much weight has it now, and
 * how many flows do other instances hold on it. One row of shared memory per backend id; control writes, workers read.
 * Each field is one word, so a reader sees the old or the new value and never half of one.
 */
import { backendIdsMax } from './limits.ts';

const rowWords = 4;
const field = { flags: 0, weight: 1, peerFlows: 2, heldBack: 3 } as const;
const flag = { up: 1, draining: 2, movesPinned: 4 } as const;

/** Weights are shared in thousandths so that slow start can grow in small steps. */
const weightScale = 1000;
/** What a slow start holds back, in parts of the whole: 0, as memory begins, is nothing. */
const heldBackScale = 65_536;

export class BackendStates {
  readonly shared: SharedArrayBuffer;
  private readonly words: Int32Array;
  /** Weights without slow start, of those that were set here: by control alone. */
  private readonly wholeWeights = new Map<number, number>();

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

  /** Its clients are to go elsewhere, those that are pinned to it as well. */
  movesPinned(id: number): boolean {
    return (this.flags(id) & flag.movesPinned) !== 0;
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

  /** The part of its weight that a slow start leaves it, above 0 to 1. */
  ramp(id: number): number {
    return 1 - Atomics.load(this.words, id * rowWords + field.heldBack) / heldBackScale;
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

  /** @param weight without slow start */
  setWeight(id: number, weight: number): void {
    this.wholeWeights.set(id, weight);
    this.storeWeight(id, weight);
  }

  /** @param share above 0 to 1: what a slow start leaves of the weight */
  setRamp(id: number, share: number): void {
    const heldBack = Math.min(heldBackScale - 1, Math.round((1 - share) * heldBackScale));
    Atomics.store(this.words, id * rowWords + field.heldBack, heldBack);
    this.storeWeight(id, this.wholeWeights.get(id) ?? 0);
  }

  private storeWeight(id: number, whole: number): void {
    const ramp = this.ramp(id);
    const scaled = Math.round(whole * ramp * weightScale);
    // However little a slow start leaves: with nothing it would take no new clients.
    const least = ramp < 1 && whole > 0 ? 1 : 0;
    Atomics.store(this.words, id * rowWords + field.weight, Math.max(least, scaled));
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
