/**
 * The words operators have said about this instance's backends: its own and those for all of the cluster, the newer in force.
 * Pure; whoever says one carries it out, and gives it to the cluster, which keeps it over restarts.
 */
import {
  everywhere,
  noWord,
  type OperatorOrder,
  type OperatorRow,
  type OperatorWord,
  wordAfter,
} from '../core/operator-word.ts';

interface Words {
  own: OperatorWord | undefined;
  ofAll: OperatorWord | undefined;
}

export class OperatorWords {
  private readonly instance: string;
  private readonly areKept: boolean;
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
  of(pool: string, backend: string): OperatorWord {
    const words = this.words.get(nameOf(pool, backend));
    return words === undefined ? noWord : newerOf(words);
  }

  /** An order has come. @returns the word to carry out and to tell */
  say(pool: string, backend: string, order: OperatorOrder, isForAll: boolean, nowMs: number): OperatorRow {
    const word = wordAfter(this.of(pool, backend), order, nowMs);
    const row: OperatorRow = { on: isForAll ? everywhere : this.instance, pool, backend, word };
    this.take(row);
    return row;
  }

  /**
   * What the cluster has written down.
   * @returns whose word in force is another one now; and what it does not know yet, or knows an older word of
   */
  heard(rows: readonly OperatorRow[]): { changed: readonly OperatorRow[]; untold: readonly OperatorRow[] } {
    const changed: OperatorRow[] = [];
    const known = new Map<string, number>();
    for (const row of rows) {
      if (row.on !== this.instance && row.on !== everywhere) continue;
      known.set(`${row.on}/${nameOf(row.pool, row.backend)}`, row.word.atMs);
      const before = this.of(row.pool, row.backend);
      this.take(row);
      if (this.of(row.pool, row.backend) !== before) changed.push(row);
    }
    return { changed, untold: this.rows().filter((row) => (known.get(keyOf(row)) ?? -1) < row.word.atMs) };
  }

  /** It is gone from the file. What a cluster keeps holds when it is back. */
  forget(pool: string, backend: string): void {
    if (!this.areKept) this.words.delete(nameOf(pool, backend));
  }

  private take({ on, pool, backend, word }: OperatorRow): void {
    const name = nameOf(pool, backend);
    const words = this.words.get(name) ?? { own: undefined, ofAll: undefined };
    this.words.set(name, words);
    const which = on === everywhere ? 'ofAll' : 'own';
    if ((words[which]?.atMs ?? -1) < word.atMs) words[which] = word;
  }

  private rows(): OperatorRow[] {
    return [...this.words].flatMap(([name, { own, ofAll }]) => {
      const [pool = '', backend = ''] = name.split('/');
      const rows: OperatorRow[] = [];
      if (own !== undefined) rows.push({ on: this.instance, pool, backend, word: own });
      if (ofAll !== undefined) rows.push({ on: everywhere, pool, backend, word: ofAll });
      return rows;
    });
  }
}

function newerOf({ own, ofAll }: Words): OperatorWord {
  if (own === undefined) return ofAll ?? noWord;
  return ofAll === undefined || own.atMs >= ofAll.atMs ? own : ofAll;
}

function nameOf(pool: string, backend: string): string {
  return `${pool}/${backend}`;
}

function keyOf({ on, pool, backend }: OperatorRow): string {
  return `${on}/${nameOf(pool, backend)}`;
}
