/**
 * Checks one backend again and again and says when its health flips. The interval has a jitter of a tenth, so
 * that the checks of many backends (and of many instances) spread out; while an answer contradicts the state, the
 * next check comes after a quarter of the interval, so a verdict of several checks does not take several intervals.
 */
import { type HealthState, initialHealth, observe } from '../core/health.ts';
import type { Bind, HealthPlan } from '../core/plan.ts';
import type { CheckTurns } from './check-turns.ts';
import { checkTcp } from './tcp-check.ts';

const jitter = 0.1;
const doubtFactor = 0.25;

export class HealthChecker {
  private readonly plan: HealthPlan;
  private readonly target: Bind;
  /** One is used until it proves to be of no use. */
  private readonly sources: readonly string[];
  private source = 0;
  private readonly turns: CheckTurns;
  private readonly onFlip: (up: boolean, why: string) => void;
  private state: HealthState;
  private timer: NodeJS.Timeout | undefined;
  private isRunning = false;
  private isStopped = false;

  /**
   * @param wasUp what is known from before (a reload keeps it); undefined: nobody has looked yet
   * @param turns it waits for one before each check
   * @param onFlip called when the verdict changes, never after `stop`
   */
  constructor(
    plan: HealthPlan,
    target: Bind,
    wasUp: boolean | undefined,
    turns: CheckTurns,
    onFlip: (up: boolean, why: string) => void,
  ) {
    this.plan = plan;
    this.target = plan.port !== undefined && target.kind === 'inet' ? { ...target, port: plan.port } : target;
    this.sources = (plan.sources ?? []).filter((source) => isOfFamilyOf(source, target));
    this.turns = turns;
    this.onFlip = onFlip;
    this.state = wasUp === undefined ? initialHealth : { up: wasUp, opposite: 0, observed: true };
  }

  /** The first check is immediate; with many backends the caller spreads the starts. */
  start(delayMs = 0): void {
    this.timer = setTimeout(() => void this.check(), delayMs);
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
  }

  /** Real flows failed: look now instead of at the next interval. */
  suspect(): void {
    if (this.isStopped || this.isRunning) return;
    clearTimeout(this.timer);
    void this.check();
  }

  private async check(): Promise<void> {
    this.isRunning = true;
    await this.turns.take();
    if (this.isStopped) return this.turns.give();
    const result = await checkTcp(this.target, this.sources[this.source], this.plan.timeoutMs);
    this.turns.give();
    this.isRunning = false;
    if (this.isStopped) return;
    // Another source may have a port, or a way there.
    if (result.verdict !== 'pass') this.source = (this.source + 1) % Math.max(1, this.sources.length);
    if (result.verdict !== 'unknown') {
      const { state, flipped } = observe(this.state, result.verdict === 'pass', this.plan);
      this.state = state;
      if (flipped) this.onFlip(state.up, result.verdict === 'pass' ? 'check passed' : result.why);
    }
    const factor = this.state.opposite > 0 ? doubtFactor : 1;
    const spread = 1 - jitter + Math.random() * 2 * jitter;
    this.timer = setTimeout(() => void this.check(), this.plan.intervalMs * factor * spread);
  }
}

function isOfFamilyOf(source: string, target: Bind): boolean {
  return target.kind === 'inet' && source.includes(':') === target.ip.includes(':');
}
