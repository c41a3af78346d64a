/**
 * Candidates from best to worst, one at a time: a binary heap in preallocated memory. Policies use it from the
 * second candidate on, so that a pool with most of its backends down costs n log n and not n squared.
 */
export class Ranking {
  private readonly scores: Float64Array;
  private readonly ties: Float64Array;
  private readonly heap: Uint16Array;
  private size = 0;

  constructor(candidatesMax: number) {
    this.scores = new Float64Array(candidatesMax);
    this.ties = new Float64Array(candidatesMax);
    this.heap = new Uint16Array(candidatesMax);
  }

  clear(): void {
    this.size = 0;
  }

  /** Puts a candidate in. Higher scores come first, then higher ties, then lower indices. Call `settle` after the last. */
  add(candidate: number, score: number, tie: number): void {
    this.scores[candidate] = score;
    this.ties[candidate] = tie;
    this.heap[this.size++] = candidate;
  }

  /** Makes a heap of what was added, in linear time (Floyd 1964). */
  settle(): void {
    for (let parent = (this.size >>> 1) - 1; parent >= 0; parent--) this.sink(parent);
  }

  /** Removes the best candidate; -1 when none is left. */
  take(): number {
    if (this.size === 0) return -1;
    const best = this.heap[0]!;
    this.heap[0] = this.heap[--this.size]!;
    this.sink(0);
    return best;
  }

  private sink(from: number): void {
    const { heap, size } = this;
    let parent = from;
    for (;;) {
      let child = parent * 2 + 1;
      if (child >= size) return;
      if (child + 1 < size && this.isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!this.isBefore(heap[child]!, heap[parent]!)) return;
      const moved = heap[parent]!;
      heap[parent] = heap[child]!;
      heap[child] = moved;
      parent = child;
    }
  }

  private isBefore(a: number, b: number): boolean {
    const { scores, ties } = this;
    if (scores[a] !== scores[b]) return scores[a]! > scores[b]!;
    if (ties[a] !== ties[b]) return ties[a]! > ties[b]!;
    return a < b;
  }
}
