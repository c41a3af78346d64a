/**
 * Operators' words about backends, as the cluster keeps them in Redis: over restarts of an instance, and for all of its instances
 * if an operator wants that. They are read with every beat; what could not be written is so with a later one. What Redis loses,
 * instances that know it write again.
 */
import { everywhere, formatWord, type OperatorRow, parseWord } from '../../core/operator-word.ts';
import type { HandOutcome } from '../../pins/by-hand.ts';

/** What is asked of Redis. Both reject when it does not answer. */
export interface WordsStore {
  putWord(name: string, atMs: number, word: string): Promise<void>;
  words(): Promise<readonly (readonly [name: string, word: string])[]>;
}

export class KeptWords {
  /** They have been read once. */
  areRead = false;
  private readonly store: WordsStore;
  private readonly instance: string;
  private readonly tell: (rows: readonly OperatorRow[]) => boolean;
  /** Not written yet, by name. */
  private readonly unwritten = new Map<string, OperatorRow>();
  private told: string | undefined;

  /** @param tell called when they are others than before. @returns false: not heard, to be told again */
  constructor(store: WordsStore, instance: string, tell: (rows: readonly OperatorRow[]) => boolean) {
    this.store = store;
    this.instance = instance;
    this.tell = tell;
  }

  /** Resolves when Redis has it (`shared`), or when it will be written later. */
  async keep(row: OperatorRow): Promise<HandOutcome> {
    const name = nameOf(row);
    this.unwritten.set(name, row);
    return this.write(name, row).then(
      () => 'shared',
      () => 'here-only',
    );
  }

  /** Writes what is left to write, and reads. Rejects when Redis does not answer. */
  async beat(): Promise<void> {
    for (const [name, row] of [...this.unwritten]) await this.write(name, row);
    const rows = (await this.store.words()).flatMap(([name, word]) => this.rowOf(name, word));
    const text = JSON.stringify(rows.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)));
    if (text !== this.told && this.tell(rows)) this.told = text;
    this.areRead = true;
  }

  private async write(name: string, row: OperatorRow): Promise<void> {
    await this.store.putWord(name, row.word.atMs, formatWord(row.word));
    // A newer one may have been said meanwhile.
    if (this.unwritten.get(name) === row) this.unwritten.delete(name);
  }

  /** Those for other instances are none of ours, and what reads like none is none. */
  private rowOf(name: string, text: string): OperatorRow[] {
    const [on = '', pool = '', backend = '', more] = name.split('/');
    const word = parseWord(text);
    const isOurs = on === this.instance || on === everywhere;
    if (word === undefined || !isOurs || pool === '' || backend === '' || more !== undefined) return [];
    return [{ on, pool, backend, word }];
  }
}

function nameOf({ on, pool, backend }: OperatorRow): string {
  return `${on}/${pool}/${backend}`;
}
