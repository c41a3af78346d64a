/**
 * Three words that control and one room share: signs of life, and how many messages each side has taken from the other.
 * Each is written by one thread alone and only ever grows (modulo 2^32); the other one compares.
 */
const words = { beats: 0, takenByRoom: 1, takenByControl: 2 } as const;
export type PulseWord = keyof typeof words;

export class Pulse {
  readonly shared: SharedArrayBuffer;
  readonly #words: Int32Array;

  /** @param shared that of the other side; undefined: a new one */
  constructor(shared?: SharedArrayBuffer) {
    this.shared = shared ?? new SharedArrayBuffer(Object.keys(words).length * 4);
    this.#words = new Int32Array(this.shared);
  }

  add(word: PulseWord): void {
    Atomics.add(this.#words, words[word], 1);
  }

  read(word: PulseWord): number {
    return Atomics.load(this.#words, words[word]);
  }
}
