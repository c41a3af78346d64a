/**
 * A set of networks, for one question: is this address in it, and by which line of the list? A hundred thousand networks are
 * sorted once, by control; then they are words of shared memory that every worker searches where they are.
 *
 *    counts | IPv4: first address | IPv4: line and bits | IPv6: first address, 4 words | IPv6: line and bits
 *
 * Of two networks one contains the other, or they have nothing in common. So those inside of others are left out, and what
 * remains is disjoint: one binary search finds the only one that can hold an address. Neighbours are not merged, as each is
 * to name its line. A look-up reads at most 17 places of 100,000, and makes no objects.
 *
 * The families are apart: `::/0` is every IPv6 address and no IPv4 one.
 */
import { Address } from './address.ts';
import type { Cidr } from './cidr.ts';

const v4CountWord = 0;
const v6CountWord = 1;
const headerWords = 2;
/** The bits of a network are in the low byte of its word, the line above. */
const lineShift = 8;
const bitsMask = 255;

/** A network, and the line it stands in, from 1. */
export interface ListedCidr extends Cidr {
  readonly line: number;
}

/**
 * Takes networks one by one, and sorts them into memory that threads may share. Kept as words, not as objects: a hundred thousand
 * of these cost more to collect than to sort.
 */
export class RangesBuilder {
  private readonly v4 = new Family(4);
  private readonly v6 = new Family(6);

  /** Networks added. */
  get size(): number {
    return this.v4.count + this.v6.count;
  }

  /** @param line from 1, below 2^24 */
  add({ address, bits }: Cidr, line: number): void {
    (address.family === 4 ? this.v4 : this.v6).add(address, (line << lineShift) | bits);
  }

  /** O(n log n). */
  build(): SharedArrayBuffer {
    const v4 = this.v4.outermost();
    const v6 = this.v6.outermost();
    const words = new Uint32Array(
      new SharedArrayBuffer((headerWords + v4.length * 2 + v6.length * 5) * Uint32Array.BYTES_PER_ELEMENT),
    );
    words[v4CountWord] = v4.length;
    words[v6CountWord] = v6.length;
    const v6At = headerWords + v4.length * 2;
    for (const [i, at] of v4.entries()) {
      words[headerWords + i] = this.v4.words[at + 3]!;
      words[headerWords + v4.length + i] = this.v4.words[at + markWord]!;
    }
    for (const [i, at] of v6.entries()) {
      for (let word = 0; word < 4; word++) words[v6At + i * 4 + word] = this.v6.words[at + word]!;
      words[v6At + v6.length * 4 + i] = this.v6.words[at + markWord]!;
    }
    return words.buffer as SharedArrayBuffer;
  }
}

/** Line and bits of an entry, behind the four words of its address. */
const markWord = 4;
const entryWords = 5;

class Family {
  words = new Uint32Array(entryWords * 64);
  count = 0;
  private readonly firstWord: number;

  constructor(family: 4 | 6) {
    this.firstWord = family === 4 ? 3 : 0;
  }

  add({ w0, w1, w2, w3 }: Address, mark: number): void {
    const at = this.count++ * entryWords;
    if (at === this.words.length) {
      const grown = new Uint32Array(at * 2);
      grown.set(this.words);
      this.words = grown;
    }
    this.words[at] = w0;
    this.words[at + 1] = w1;
    this.words[at + 2] = w2;
    this.words[at + 3] = w3;
    this.words[at + markWord] = mark;
  }

  /** Where the entries are that lie in no other one, sorted by address. Of two that are equal the first line stays. */
  outermost(): Uint32Array {
    const sorted = Uint32Array.from({ length: this.count }, (_, i) => i * entryWords);
    sorted.sort((a, b) => this.compare(a, b));
    let kept = 0;
    for (const at of sorted) if (kept === 0 || !this.contains(sorted[kept - 1]!, at)) sorted[kept++] = at;
    return sorted.subarray(0, kept);
  }

  private compare(a: number, b: number): number {
    const { words } = this;
    for (let word = this.firstWord; word < 4; word++) {
      if (words[a + word] !== words[b + word]) return words[a + word]! - words[b + word]!;
    }
    const [ofA, ofB] = [words[a + markWord]!, words[b + markWord]!];
    return (ofA & bitsMask) - (ofB & bitsMask) || ofA - ofB;
  }

  private contains(outer: number, inner: number): boolean {
    const { words, firstWord } = this;
    let bits = words[outer + markWord]! & bitsMask;
    for (let word = firstWord; word < 4 && bits > 0; word++, bits -= 32) {
      if (!sameStart(words[outer + word]!, words[inner + word]!, bits)) return false;
    }
    return true;
  }
}

/** Whether the first `bits` of two words are the same; below 1 none count, above 31 all do. */
function sameStart(a: number, b: number, bits: number): boolean {
  return bits <= 0 || (bits >= 32 ? a === b : (a ^ b) >>> (32 - bits) === 0);
}

export class AddressRanges {
  private readonly words: Uint32Array;
  private readonly v4Count: number;
  private readonly v6Count: number;
  private readonly v6At: number;

  /** @param shared made by a {@link RangesBuilder}; nobody writes to it any more */
  constructor(shared: SharedArrayBuffer) {
    this.words = new Uint32Array(shared);
    this.v4Count = this.words[v4CountWord]!;
    this.v6Count = this.words[v6CountWord]!;
    this.v6At = headerWords + this.v4Count * 2;
  }

  /** Networks, without those inside of others. */
  get size(): number {
    return this.v4Count + this.v6Count;
  }

  has(address: Address): boolean {
    return this.place(address) >= 0;
  }

  /** All of them, sorted, with their lines. */
  *networks(): Generator<ListedCidr> {
    const { words, v4Count, v6Count, v6At } = this;
    for (let i = 0; i < v4Count; i++) {
      const word = words[headerWords + v4Count + i]!;
      const address = Address.v4(words[headerWords + i]!, 0);
      yield { address, bits: word & bitsMask, line: word >>> lineShift };
    }
    for (let i = 0; i < v6Count; i++) {
      const word = words[v6At + v6Count * 4 + i]!;
      const at = v6At + i * 4;
      const address = new Address(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!, 0);
      yield { address, bits: word & bitsMask, line: word >>> lineShift };
    }
  }

  /** The network that holds `address`, and its line; undefined: none does. */
  find(address: Address): ListedCidr | undefined {
    const place = this.place(address);
    if (place < 0) return undefined;
    const { words } = this;
    if (address.family === 4) {
      const word = words[headerWords + this.v4Count + place]!;
      const first = Address.v4(words[headerWords + place]!, 0);
      return { address: first, bits: word & bitsMask, line: word >>> lineShift };
    }
    const at = this.v6At + place * 4;
    const word = words[this.v6At + this.v6Count * 4 + place]!;
    const first = new Address(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!, 0);
    return { address: first, bits: word & bitsMask, line: word >>> lineShift };
  }

  /** Its place among those of its family; -1: none holds it. */
  private place(address: Address): number {
    return address.family === 4 ? this.placeV4(address.w3) : this.placeV6(address);
  }

  private placeV4(word: number): number {
    const { words } = this;
    let low = 0;
    let high = this.v4Count;
    // The first place whose address is above: the one before it is the last that is not.
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (words[headerWords + middle]! > word) high = middle;
      else low = middle + 1;
    }
    if (low === 0) return -1;
    const bits = words[headerWords + this.v4Count + low - 1]! & bitsMask;
    return sameStart(words[headerWords + low - 1]!, word, bits) ? low - 1 : -1;
  }

  private placeV6({ w0, w1, w2, w3 }: Address): number {
    const { words, v6At } = this;
    let low = 0;
    let high = this.v6Count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const at = v6At + middle * 4;
      let order = words[at]! - w0;
      if (order === 0) order = words[at + 1]! - w1;
      if (order === 0) order = words[at + 2]! - w2;
      if (order === 0) order = words[at + 3]! - w3;
      if (order > 0) high = middle;
      else low = middle + 1;
    }
    if (low === 0) return -1;
    const at = v6At + (low - 1) * 4;
    const bits = words[v6At + this.v6Count * 4 + low - 1]! & bitsMask;
    const isIn =
      sameStart(words[at]!, w0, bits) &&
      sameStart(words[at + 1]!, w1, bits - 32) &&
      sameStart(words[at + 2]!, w2, bits - 64) &&
      sameStart(words[at + 3]!, w3, bits - 96);
    return isIn ? low - 1 : -1;
  }
}
