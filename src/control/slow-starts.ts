/**
 * Slow start: a backend that has come up gets its share of new clients by and by (`slow_start`). Time is kept here; the workers read
 * how far each has come in shared memory, so a step costs no message.
 *
 * The share grows in a straight line from a tenth, as in Envoy: from nothing it would not be tried at all, and what is told
 * of it by then would come from nobody.
 */
import type { BackendStates } from '../core/backend-states.ts';
import { slowStartStepMs } from '../core/limits.ts';

const firstShare = 0.1;

interface SlowStart {
  readonly startedAtMs: number;
  durationMs: number;
}

export class SlowStarts {
  private readonly states: BackendStates;
  private readonly nowMs: () => number;
  private readonly started = new Map<number, SlowStart>();
  private timer: NodeJS.Timeout | undefined;

  /** `nowMs`: milliseconds on a clock that does not jump. */
  constructor(states: BackendStates, nowMs: () => number) {
    this.states = states;
    this.nowMs = nowMs;
  }

  /** It has come up. @param durationMs until it has its whole share; 0: at once */
  begin(backendId: number, durationMs: number): void {
    if (durationMs === 0) return this.end(backendId);
    this.started.set(backendId, { startedAtMs: this.nowMs(), durationMs });
    this.step();
    this.timer ??= setInterval(() => this.step(), slowStartStepMs);
  }

  /** Its pool says another time now: what has passed counts. */
  change(backendId: number, durationMs: number): void {
    const slowStart = this.started.get(backendId);
    if (slowStart === undefined || slowStart.durationMs === durationMs) return;
    slowStart.durationMs = durationMs;
    this.step();
  }

  /** It is down, or gone: the next start is another one. */
  end(backendId: number): void {
    this.started.delete(backendId);
    this.states.setRamp(backendId, 1);
    this.restIfIdle();
  }

  /** Its share of the whole, 0 to 1; undefined: it has it. */
  shareOf(backendId: number): number | undefined {
    return this.started.has(backendId) ? this.states.ramp(backendId) : undefined;
  }

  stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }

  private step(): void {
    const nowMs = this.nowMs();
    for (const [id, { startedAtMs, durationMs }] of this.started) {
      const passed = durationMs === 0 ? 1 : (nowMs - startedAtMs) / durationMs;
      if (passed >= 1) this.started.delete(id);
      this.states.setRamp(id, Math.min(1, firstShare + (1 - firstShare) * passed));
    }
    this.restIfIdle();
  }

  private restIfIdle(): void {
    if (this.started.size === 0) this.stop();
  }
}
