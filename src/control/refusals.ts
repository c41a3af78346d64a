/**
 * What the workers say of clients they turned away, made one event for each listener and code: the first at once, then
 * one a second with how many there were since. Each worker sums up by itself already, so what arrives here is bounded.
 */
import { refusalsToldEveryMs } from '../core/limits.ts';
import type { TerminationCode } from '../core/termination.ts';
import type { ControlWatcher } from './events.ts';

export interface RefusalReport {
  readonly listener: string;
  readonly code: TerminationCode;
  readonly count: number;
  /** One of them. */
  readonly client: string;
}

/** What has not been told yet. */
interface Tally {
  count: number;
  client: string;
}

export class Refusals {
  private readonly watch: ControlWatcher;
  /** Those told within the last second. */
  private readonly tallies = new Map<string, Tally>();

  constructor(watch: ControlWatcher) {
    this.watch = watch;
  }

  add({ listener, code, count, client }: RefusalReport): void {
    const key = `${code} ${listener}`;
    const tally = this.tallies.get(key);
    if (tally !== undefined) {
      if (tally.count === 0) tally.client = client;
      tally.count += count;
      return;
    }
    this.watch({ event: 'clients-refused', listener, code, count, client });
    const untold: Tally = { count: 0, client };
    this.tallies.set(key, untold);
    setTimeout(() => {
      this.tallies.delete(key);
      if (untold.count > 0) this.add({ listener, code, ...untold });
    }, refusalsToldEveryMs).unref();
  }
}
