/**
 * Pages that cost more than a moment (all pins, all connections, a policy) take turns: one is made at a time, a few wait,
 * and who comes beyond that is told to come again. Between two of them others get a turn of the loop. So they cannot keep
 * each other, or a monitor's question, waiting for long.
 */
import { heavyPagesWaitingMax } from '../core/limits.ts';
import { turnOfTheLoop } from '../pins/walk.ts';
import type { Answer } from './http.ts';

const busy: Answer = {
  status: 503,
  body: { error: 'too many lists are being made; try again' },
  headers: { 'retry-after': '1' },
};

export class Turns {
  private last: Promise<unknown> = Promise.resolve();
  private waiting = 0;

  /** @returns what `make` returns when its turn has come, or an answer that says that too many wait */
  async take(make: () => Answer | Promise<Answer>): Promise<Answer> {
    if (this.waiting >= heavyPagesWaitingMax) return busy;
    this.waiting++;
    const own = this.last.then(turnOfTheLoop, turnOfTheLoop).then(make);
    this.last = own;
    return own.finally(() => {
      this.waiting--;
    });
  }
}
