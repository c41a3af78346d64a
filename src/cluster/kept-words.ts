/**
 * Operators' words about backends, as the cluster keeps them in Redis: over restarts of an instance, and for all of its instances
 * if an operator wants that. They are read with every beat; what could not be written is so with a later one. What Redis loses,
 * instances that know it write again.
 */
import {
  everywhere,
  formatWord,
  latestMs,
  type OperatorRow,
  operatorTopics,
  parseWord,
} from '../core/operator-word.ts';
import type { HandOutcome } from '../pins/by-hand.ts';

/** What is asked of Redis. Both reject when it does not answer. */
export interface WordsStore {
  /** @returns false: a newer one stands */
  putWord(name: string, word: string, latestMs: number): Promise<boolean>;
  words(): Promise<readonly (readonly [name: string, word: string])[]>;
}

export interface KeptWordsOptions {
  readonly store: WordsStore;
  readonly instance: string;
  /** Not while this instance shares nothing (its name is taken, another layout). */
  readonly mayWrite: () => boolean;
  /** Called when they are others than before. @returns false: not heard, to be told again */
  readonly tell: (rows: readonly OperatorRow[]) => boolean;
  /** Milliseconds since 1970. */
  readonly nowMs: () => number;
}

export class KeptWords {
  /** They have been read once. */
  areRead = false;
  private readonly options: KeptWordsOptions;
  /** Not written yet, by name. */
  private readonly unwritten = new Map<string, OperatorRow>();
  private told: string | undefined;

  constructor(options: KeptWordsOptions) {
    this.options = options;
  }

  /** Resolves when Redis has them (`shared`), or when they will be written later, or somebody else's newer ones stand. */
  async keep(rows: readonly OperatorRow[]): Promise<HandOutcome> {
    for (const row of rows) this.unwritten.set(nameOf(row), row);
    if (!this.options.mayWrite()) return 'here-only';
    const written = await Promise.allSettled(rows.map((row) => this.write(nameOf(row), row)));
    return written.every((one) => one.status === 'fulfilled' && one.value) ? 'shared' : 'here-only';
  }

  /** They are written with the next beat. */
  keepLater(rows: readonly OperatorRow[]): void {
    for (const row of rows) this.unwritten.set(nameOf(row), row);
  }

  /** Rejects when Redis does not answer. */
  async read(): Promise<void> {
    const { store, tell } = this.options;
    const rows = (await store.words()).flatMap(([name, word]) => this.rowOf(name, word));
    const text = JSON.stringify(rows.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)));
    if (text !== this.told) this.told = tell(rows) ? text : undefined;
    this.areRead = true;
  }

  /** Writes what is left to write. Rejects when Redis does not answer. */
  async flush(): Promise<void> {
    for (const [name, row] of [...this.unwritten]) {
      if (this.options.mayWrite()) await this.write(name, row);
    }
  }

  private async write(name: string, row: OperatorRow): Promise<boolean> {
    const { store, nowMs } = this.options;
    const stands = await store.putWord(name, formatWord(row.word), latestMs(nowMs()));
    // Redis may lose it before it is read: what is read then is no news, and yet to be told.
    this.told = undefined;
    // A newer one may have been said meanwhile.
    if (this.unwritten.get(name) === row) this.unwritten.delete(name);
    return stands;
  }

  /** Those for other instances are none of ours, and what reads like none is none. */
  private rowOf(name: string, text: string): OperatorRow[] {
    const { instance, nowMs } = this.options;
    const [on = '', pool = '', backend = '', about, more] = name.split('/');
    const topic = operatorTopics.find((one) => one === about);
    const isOurs = on === instance || on === everywhere;
    if (topic === undefined || !isOurs || pool === '' || backend === '' || more !== undefined) return [];
    const word = parseWord(topic, text, nowMs());
    return word === undefined ? [] : [{ on, pool, backend, topic, word }];
  }
}

function nameOf({ on, pool, backend, topic }: OperatorRow): string {
  return `${on}/${pool}/${backend}/${topic}`;
}
