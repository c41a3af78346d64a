/**
 * Which candidates have come since the last `clear`. Clearing is one addition, not a pass over the memory,
 * because a cursor starts for every new flow and mostly gives one candidate.
 */
export class Marks {
  private readonly generations: Uint32Array;
  private generation = 1;

  constructor(size: number) {
    this.generations = new Uint32Array(size);
  }

  clear(): void {
    this.generation++;
    if (this.generation > 0xffffffff) {
      // After 2^32 clears an old mark would look like a new one.
      this.generations.fill(0);
      this.generation = 1;
    }
  }

  has(index: number): boolean {
    return this.generations[index] === this.generation;
  }

  /** Marks `index`; false if it was marked already. */
  add(index: number): boolean {
    if (this.generations[index] === this.generation) return false;
    this.generations[index] = this.generation;
    return true;
  }
}
