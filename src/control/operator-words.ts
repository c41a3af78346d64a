/**
 * The words operators have said about this instance's backends: its own and those for all of the cluster. Pure; whoever says one
 * carries it out, and gives it to the cluster, which keeps it over restarts.
 */
import {
  everywhere,
  isNewer,
  isSameWill,
  type OperatorOrder,
  type OperatorRow,
  type OperatorTopic,
  type OperatorWill,
  type OperatorWord,
  valuesOf,
  willOf,
} from '../core/operator-word.ts';

/** By whom they are for and what they are about. */
type Words = Map<string, OperatorRow>;

export interface Heard {
  /** Those for which something else is in force now. */
  readonly changed: readonly (readonly [pool: string, backend: string])[];
  /** What the cluster does not know yet, or knows an older word of. */
  readonly untold: readonly OperatorRow[];
}

export class OperatorWords {
  private readonly instance: string;
  private readonly areKept: boolean;
  /** By `pool/backend`. */
  private readonly words = new Map<string, Words>();

  /**
   * @param instance this one's name in its cluster
   * @param areKept whether a cluster keeps them
   */
  constructor(instance: string, areKept: boolean) {
    this.instance = instance;
    this.areKept = areKept;
  }

  /** What is in force for a backend. */
  of(pool: string, backend: string): OperatorWill {
    const words = this.words.get(`${pool}/${backend}`);
    return willOf(this.newest(words, 'state'), this.newest(words, 'weight'));
  }

  /** An order has come. @returns the words to tell, newer than all that is known here about the same, whatever the clock says */
  say(pool: string, backend: string, order: OperatorOrder, isForAll: boolean, nowMs: number): OperatorRow[] {
    const on = isForAll ? everywhere : this.instance;
    return valuesOf(order).map(([topic, value]) => {
      const before = this.newest(this.words.get(`${pool}/${backend}`), topic);
      const atMs = Math.max(Math.floor(nowMs), (before?.atMs ?? 0) + 1);
      const row = { on, pool, backend, topic, word: { atMs, value } };
      this.take(row);
      return row;
    });
  }

  /**
   * What the cluster has written down.
   * @param isKnown whether there is such a backend. Of others only what is written down is remembered
   */
  heard(rows: readonly OperatorRow[], isKnown: (pool: string, backend: string) => boolean): Heard {
    const written = new Map<string, OperatorWord>();
    const before = new Map<string, OperatorWill>();
    const names = new Map<string, readonly [string, string]>();
    for (const [name, words] of this.words) {
      const { pool, backend } = [...words.values()][0]!;
      if (!isKnown(pool, backend)) this.words.delete(name);
    }
    for (const row of rows) {
      const { on, pool, backend } = row;
      if (on !== this.instance && on !== everywhere) continue;
      const name = `${pool}/${backend}`;
      if (!before.has(name)) before.set(name, this.of(pool, backend));
      names.set(name, [pool, backend]);
      written.set(keyOf(row), row.word);
      this.take(row);
    }
    const changed = [...names].flatMap(([name, [pool, backend]]) =>
      isSameWill(before.get(name)!, this.of(pool, backend)) ? [] : [[pool, backend] as const],
    );
    const untold = [...this.words.values()]
      .flatMap((words) => [...words.values()])
      .filter((row) => isNewer(row.word, written.get(keyOf(row))));
    return { changed, untold };
  }

  /** It is gone from the file. What a cluster keeps holds when it is back. */
  forget(pool: string, backend: string): void {
    if (!this.areKept) this.words.delete(`${pool}/${backend}`);
  }

  private newest(words: Words | undefined, topic: OperatorTopic): OperatorWord | undefined {
    const own = words?.get(`${this.instance}/${topic}`)?.word;
    const ofAll = words?.get(`${everywhere}/${topic}`)?.word;
    return own !== undefined && isNewer(own, ofAll) ? own : ofAll;
  }

  private take(row: OperatorRow): void {
    const name = `${row.pool}/${row.backend}`;
    const words = this.words.get(name) ?? new Map<string, OperatorRow>();
    this.words.set(name, words);
    const about = `${row.on}/${row.topic}`;
    if (isNewer(row.word, words.get(about)?.word)) words.set(about, row);
  }
}

function keyOf({ on, pool, backend, topic }: OperatorRow): string {
  return `${on}/${pool}/${backend}/${topic}`;
}
