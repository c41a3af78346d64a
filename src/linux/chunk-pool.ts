/**
 * Memory for bytes that were read and could not be sent: only such remainders are ever kept.
 *
 * Chunks come in three sizes, cut from arenas of 1 MiB that are made on demand up to a budget and kept for reuse; an
 * arena none of whose chunks is lent gives way to one of another size. When the budget is used up `take` says so and the
 * caller gives the flow up (`limit-memory`): a bound that is met, not hoped for.
 */
import { Arena, type Region } from './arena.ts';

const sizes = [4 * 1024, 16 * 1024, 64 * 1024] as const;
const arenaBytes = 1024 * 1024;

/** The largest remainder there can be. Bytes. */
const chunkBytesMax = sizes[2];

export class ChunkPool {
  readonly #budgetBytes: number;
  readonly #free: Region[][] = sizes.map(() => []);
  #madeBytes = 0;
  #usedBytes = 0;
  /** Chunks that came back since no arena was found to be unused. */
  #released = 0;

  constructor(budgetBytes: number) {
    this.#budgetBytes = budgetBytes;
  }

  /** Bytes lent now. */
  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** Half the budget is lent: what can do without a chunk should leave the rest to those who cannot. */
  get isScarce(): boolean {
    return this.#usedBytes > this.#budgetBytes / 2;
  }

  /** A chunk of at least `length` bytes, at most {@link chunkBytesMax}; undefined when the budget is used up. */
  take(length: number): Region | undefined {
    const size = length <= sizes[0] ? 0 : length <= sizes[1] ? 1 : 2;
    if (length > sizes[2]) throw new RangeError(`no chunk holds ${length} bytes`);
    if (this.#free[size]!.length === 0 && !this.#grow(size)) return undefined;
    const chunk = this.#free[size]!.pop()!;
    this.#usedBytes += chunk.length;
    return chunk;
  }

  release(chunk: Region): void {
    this.#usedBytes -= chunk.length;
    this.#released++;
    this.#free[chunk.length === sizes[0] ? 0 : chunk.length === sizes[1] ? 1 : 2]!.push(chunk);
  }

  #grow(size: number): boolean {
    if (this.#madeBytes + arenaBytes > this.#budgetBytes && !this.#giveUpUnused()) return false;
    this.#madeBytes += arenaBytes;
    const bytes = sizes[size]!;
    const arena = new Arena(arenaBytes);
    for (let made = 0; made < arenaBytes; made += bytes) this.#free[size]!.push(arena.cut(bytes));
    return true;
  }

  /** Forgets an arena none of whose chunks is lent. False if there is none. */
  #giveUpUnused(): boolean {
    // The look takes time: not again before as many came back as make the smallest arena.
    if (this.#released < arenaBytes / chunkBytesMax) return false;
    for (const [size, free] of this.#free.entries()) {
      const freeOfArena = new Map<ArrayBufferLike, number>();
      for (const { bytes } of free) {
        const count = (freeOfArena.get(bytes.buffer) ?? 0) + 1;
        if (count < arenaBytes / sizes[size]!) {
          freeOfArena.set(bytes.buffer, count);
          continue;
        }
        this.#free[size] = free.filter((chunk) => chunk.bytes.buffer !== bytes.buffer);
        this.#madeBytes -= arenaBytes;
        return true;
      }
    }
    this.#released = 0;
    return false;
  }
}
