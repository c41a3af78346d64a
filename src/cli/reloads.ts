/**
 * Reloads, one after the other. Each answers for the file as it was when it was asked for, or later: who comes before a
 * run has begun to read shares it, and who comes after waits for one more.
 */
import type { Answer } from '../front/http.ts';

export class Reloads {
  private readonly run: () => Promise<Answer>;
  /** Has not begun yet. */
  private next: Promise<Answer> | undefined;
  private last: Promise<unknown> = Promise.resolve();

  /** `run` reads the file before it waits for anything. */
  constructor(run: () => Promise<Answer>) {
    this.run = run;
  }

  /** No run begins before this has ended, well or not. To be called before the first {@link ask}. */
  waitFor(start: Promise<unknown>): void {
    this.last = start;
  }

  ask(): Promise<Answer> {
    if (this.next === undefined) {
      const begin = (): Promise<Answer> => {
        this.next = undefined;
        return this.run();
      };
      this.next = this.last.then(begin, begin);
      this.last = this.next;
    }
    return this.next;
  }
}
