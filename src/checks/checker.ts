/**
 * Checks one backend again and again and says when its health changes. The interval has a jitter of a tenth, so that the checks
 * of many backends (and of many instances) spread out; while an answer contradicts the state, the next check comes after the
 * fast interval, so a verdict of several checks does not take several intervals.
 *
 * Clients that fail bring the next check forward, but not to sooner than the fast interval after the last one began: under load
 * thousands of them fail within a moment, which a server that restarts or drops a burst may outlast. `fall` checks are to see more than that moment.
 */
import { type HealthState, initialHealth, observe } from '../core/health.ts';
import type { Bind, HealthPlan } from '../core/plan.ts';
import { formatDuration } from '../core/quantities.ts';
import { Cancellation } from './cancel.ts';
import { CheckGrid } from './check-grid.ts';
import type { CheckTurns } from './check-turns.ts';
import { type CheckResult, type Dialect, failed } from './dialect.ts';
import { resultOf } from './faults.ts';
import { greetingOf } from './greeting.ts';
import type { CheckFacts, CheckVerdict } from './messages-from-checks.ts';

const jitter = 0.1;
/** Steps of the grid on which checks begin. Of an interval from a second on the coarse one leaves the jitter some of them. */
const gridMs = { coarse: 50, fine: 10 };
const coarseFromMs = 1_000;

export interface CheckerOptions {
  readonly plan: HealthPlan;
  /** What it speaks. */
  readonly dialect: Dialect;
  /** The backend's own address. */
  readonly target: Bind;
  /** What is known from before (a reload keeps it); undefined: nobody has looked yet. */
  readonly wasUp: boolean | undefined;
  /** It waits for one before each check. */
  readonly turns: CheckTurns;
  /** Shared with others it begins together with them. */
  readonly grid?: CheckGrid;
  /** The verdict is another one, or has another reason; never after `stop`. */
  readonly onVerdict: (verdict: CheckVerdict) => void;
  /** After each check; never after `stop`. */
  readonly onChecked?: (facts: CheckFacts) => void;
}

export class HealthChecker {
  private readonly options: CheckerOptions;
  private readonly target: Bind;
  /** The source addresses of the check: each is used until a check by it fails. */
  private readonly sources: readonly string[];
  private source = 0;
  private readonly greeting: Uint8Array | undefined;
  private state: HealthState;
  private told: CheckVerdict | undefined;
  /** Checks in a row with the same outcome. */
  private streak = 0;
  private hasPassed: boolean | undefined;
  private readonly grid: CheckGrid;
  private timer: NodeJS.Timeout | undefined;
  private point: number | undefined;
  private dueAtMs = Number.POSITIVE_INFINITY;
  /** When the last check had its turn. */
  private beganAtMs = Number.NEGATIVE_INFINITY;
  private abort: Cancellation | undefined;
  private isUnderWay = false;
  private isStopped = false;

  constructor(options: CheckerOptions) {
    const { plan, target, wasUp } = options;
    this.options = options;
    this.grid = options.grid ?? new CheckGrid();
    this.target = targetOf(plan, target);
    this.sources = (plan.sources ?? []).filter((source) => isOfFamilyOf(source, this.target));
    this.greeting = greetingOf(plan, target);
    this.state =
      wasUp === undefined ? initialHealth(plan.start === 'up') : { up: wasUp, opposite: 0, observed: true };
  }

  /** The first check is immediate; with many backends the caller spreads the starts. */
  start(delayMs = 0): void {
    this.wait(delayMs);
  }

  stop(): void {
    this.isStopped = true;
    this.unwait();
    this.abort?.abort();
  }

  /** Real flows failed: look as soon as the last check is a fast interval ago. One that is under way looks already. */
  suspect(): void {
    if (this.isStopped || this.isUnderWay) return;
    const nowMs = performance.now();
    const soonestMs = Math.max(nowMs, this.beganAtMs + this.options.plan.fastIntervalMs);
    if (soonestMs >= this.dueAtMs) return;
    this.unwait();
    this.wait(Math.ceil(soonestMs - nowMs));
  }

  private wait(delayMs: number): void {
    this.dueAtMs = performance.now() + delayMs;
    this.timer = setTimeout(this.begin, delayMs);
  }

  /** As {@link wait}, and together with others. */
  private waitOnGrid(delayMs: number, stepMs: number): void {
    this.point = this.grid.put(delayMs, stepMs, this.begin);
    this.dueAtMs = this.point;
  }

  private unwait(): void {
    clearTimeout(this.timer);
    if (this.point !== undefined) this.grid.drop(this.point, this.begin);
  }

  private readonly begin = (): void => {
    this.point = undefined;
    this.isUnderWay = true;
    const { turns } = this.options;
    if (turns.takeNow()) this.check();
    else void turns.take().then(() => this.check());
  };

  /** It is its turn. What is answered at once is judged at once: most of a thousand a second are. */
  private check(): void {
    const { turns } = this.options;
    if (this.isStopped) return turns.give();
    this.beganAtMs = performance.now();
    const abort = new Cancellation();
    const answer = this.ask(abort);
    if (answer instanceof Promise) {
      this.abort = abort;
      void this.inTime(answer, abort).then(this.answered);
    } else this.answered(answer);
  }

  private readonly answered = (result: CheckResult): void => {
    const { turns, plan } = this.options;
    turns.give();
    this.abort = undefined;
    this.isUnderWay = false;
    if (this.isStopped) return;
    this.judge(result, performance.now() - this.beganAtMs);
    const intervalMs = this.state.opposite > 0 ? plan.fastIntervalMs : plan.intervalMs;
    const spread = 1 - jitter + Math.random() * 2 * jitter;
    this.waitOnGrid(intervalMs * spread, intervalMs < coarseFromMs ? gridMs.fine : gridMs.coarse);
  };

  /** A dialect that throws before it has promised anything is judged like one that rejects. */
  private ask(signal: Cancellation): CheckResult | Promise<CheckResult> {
    const { plan, dialect } = this.options;
    const { timeoutMs, options } = plan;
    const { target, sources, source, greeting } = this;
    try {
      return dialect.ask({
        target,
        source: sources[source],
        greeting,
        timeoutMs,
        signal,
        options: options as never,
      });
    } catch (error) {
      return resultOf(error);
    }
  }

  /** Never rejects, and never takes longer than the time-out. */
  private inTime(answer: Promise<CheckResult>, abort: Cancellation): Promise<CheckResult> {
    const { timeoutMs } = this.options.plan;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        const lateMs = performance.now() - this.beganAtMs - timeoutMs;
        // When this timer is late, the answer may lie unread in the same queue: our stall is not its failure.
        if (lateMs > timeoutMs / 2)
          resolve({ verdict: 'unknown', why: `own event loop ${Math.round(lateMs)} ms late` });
        else
          resolve(
            failed(
              'timeout',
              `${this.options.dialect.silence ?? 'no answer'} within ${formatDuration(timeoutMs)}`,
            ),
          );
        abort.abort();
      }, timeoutMs);
      const done = (result: CheckResult): void => {
        clearTimeout(timer);
        resolve(result);
      };
      answer.then(done, (error) => done(resultOf(error)));
    });
  }

  /** It counts neither for nor against. But one that nobody could ever look at is down for a reason that people must know. */
  private couldNotTell(why: string): void {
    if (this.state.observed || this.state.up || this.told !== undefined) return;
    this.told = { isUp: false, reason: 'local-fault', why: `this machine cannot check it: ${why}` };
    this.options.onVerdict(this.told);
  }

  private judge(result: CheckResult, tookMs: number): void {
    // Another source may have a port, or a way there.
    if (result.verdict !== 'pass') this.source = (this.source + 1) % Math.max(1, this.sources.length);
    if (result.verdict === 'unknown') return this.couldNotTell(result.why);
    const hasPassed = result.verdict === 'pass';
    this.streak = hasPassed === this.hasPassed ? this.streak + 1 : 1;
    this.hasPassed = hasPassed;
    this.state = observe(this.state, hasPassed, this.options.plan).state;
    const verdict = verdictOf(this.state.up, result);
    const why = result.verdict === 'fail' ? result.why : 'passed';
    const ownMs = result.verdict === 'pass' ? result.tookMs : undefined;
    this.options.onChecked?.({ hasPassed, why, tookMs: ownMs ?? tookMs, streak: this.streak });
    // A failure that does not suffice yet says nothing of why it is down, nor does one of a backend that is up.
    if (verdict === undefined || !isNews(this.told, verdict)) return;
    this.told = verdict;
    this.options.onVerdict(verdict);
  }
}

/** Undefined: the check contradicts what the backend is, and does not suffice to change that. */
function verdictOf(isUp: boolean, result: CheckResult): CheckVerdict | undefined {
  if (result.verdict === 'pass') return isUp ? { isUp, share: result.share ?? 1 } : undefined;
  if (result.verdict === 'fail' && !isUp) return { isUp, reason: result.reason, why: result.why };
  return undefined;
}

/** Sentences differ from check to check (times, counts); reasons do not. */
function isNews(told: CheckVerdict | undefined, verdict: CheckVerdict): boolean {
  if (verdict.isUp) return !(told?.isUp === true && told.share === verdict.share);
  return !(told?.isUp === false && told.reason === verdict.reason);
}

function targetOf({ port, address }: HealthPlan, target: Bind): Bind {
  if (target.kind !== 'inet' || (port === undefined && address === undefined)) return target;
  const { portShift: _, ...own } = target;
  return {
    ...(port === undefined ? target : own),
    ...(address === undefined ? {} : { ip: address }),
    ...(port === undefined ? {} : { port }),
  };
}

function isOfFamilyOf(source: string, target: Bind): boolean {
  return target.kind === 'inet' && source.includes(':') === target.ip.includes(':');
}
