/** The last minutes of numbers that come about once a second: a ring for each name. Pure. */

export class History {
  readonly #samplesMax: number;
  readonly #series = new Map<string, number[]>();

  constructor(samplesMax: number) {
    this.#samplesMax = samplesMax;
  }

  /** One more of each; names that are not among them are forgotten. */
  add(values: ReadonlyMap<string, number>): void {
    for (const name of this.#series.keys()) if (!values.has(name)) this.#series.delete(name);
    for (const [name, value] of values) {
      const samples = this.#series.get(name) ?? [];
      samples.push(value);
      if (samples.length > this.#samplesMax) samples.shift();
      this.#series.set(name, samples);
    }
  }

  /** Oldest first. */
  of(name: string): readonly number[] {
    return this.#series.get(name) ?? [];
  }
}
