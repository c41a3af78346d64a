/**
 * Flows that were to be logged and are only counted, over all workers: the first count is told at once, then one a second, so that
 * a flood of them does not push out of log and events what explains it.
 */
import { untoldFlowsToldEveryMs } from '../core/limits.ts';
import type { ControlWatcher } from './events.ts';

export class UntoldFlows {
  private readonly watch: ControlWatcher;
  private count = 0;
  private timer: NodeJS.Timeout | undefined;

  constructor(watch: ControlWatcher) {
    this.watch = watch;
  }

  add(count: number): void {
    this.count += count;
    if (this.timer === undefined) this.tell();
  }

  /** What was not told yet is told now: nothing follows. */
  end(): void {
    clearTimeout(this.timer);
    this.tell();
    clearTimeout(this.timer);
  }

  private tell(): void {
    if (this.count === 0) return;
    this.watch({ event: 'flows-untold', count: this.count });
    this.count = 0;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.tell();
    }, untoldFlowsToldEveryMs);
    this.timer.unref();
  }
}
