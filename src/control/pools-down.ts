/** Which pools have no backend that is up, told when one loses its last, and when it has one again. */
import type { Backend } from './backend.ts';
import type { ControlWatcher } from './events.ts';

export class PoolsDown {
  private readonly watch: ControlWatcher;
  private readonly pools = new Set<string>();

  constructor(watch: ControlWatcher) {
    this.watch = watch;
  }

  get names(): readonly string[] {
    return [...this.pools];
  }

  /** After anything that may change which are. */
  review(backends: Iterable<Pick<Backend, 'pool' | 'verdict'>>): void {
    const best = new Map<string, 'up' | 'unchecked' | 'down'>();
    for (const { pool, verdict } of backends) {
      const is = verdict.isUp ? 'up' : verdict.reason === 'unchecked' ? 'unchecked' : 'down';
      const before = best.get(pool.name);
      if (before === undefined || is === 'up' || before === 'down') best.set(pool.name, is);
    }
    for (const pool of this.pools) if (!best.has(pool)) this.pools.delete(pool);
    for (const [pool, is] of best) {
      const isDown = this.pools.has(pool);
      // Nobody knows yet: it is told when somebody does.
      if (is === 'unchecked' || (is === 'down') === isDown) continue;
      if (is === 'up') this.pools.delete(pool);
      else this.pools.add(pool);
      this.watch({ event: is === 'up' ? 'pool-up' : 'pool-down', pool });
    }
  }
}
