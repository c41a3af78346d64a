/**
 * What has happened lately, kept for operators who ask later: by control, so that it outlives a front room. Numbered from 1 without gaps,
 * so whoever gets them one by one sees that some are missing.
 *
 * Flows are told of only where they failed, and not more than some each second: a crowd that fails must not push out what explains it.
 */
import type { ControlEvent } from '../control/events.ts';
import { isFailed } from '../core/flow-log.ts';
import { eventsKeptMax, failedFlowsToldPerS } from '../core/limits.ts';

export interface KeptEvent {
  readonly number: number;
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly event: ControlEvent;
  /** So many failed flows were not told of since the one before. */
  readonly untold: number;
}

export class EventsKept {
  private readonly nowMs: () => number;
  private readonly kept: KeptEvent[] = [];
  private last = 0;
  private secondAtMs = Number.NEGATIVE_INFINITY;
  private toldInSecond = 0;
  private untold = 0;

  /** @param nowMs milliseconds since 1970 */
  constructor(nowMs: () => number = Date.now) {
    this.nowMs = nowMs;
  }

  /** @returns the event as it is kept; undefined: it is none that is */
  add(event: ControlEvent): KeptEvent | undefined {
    const atMs = this.nowMs();
    let untold = 0;
    if (event.event === 'flow-ended') {
      if (!isFailed(event.flow)) return undefined;
      if (!this.mayTellFlow(atMs)) {
        this.untold++;
        return undefined;
      }
      untold = this.untold;
      this.untold = 0;
    }
    const one: KeptEvent = { number: ++this.last, atMs, event, untold };
    this.kept.push(one);
    if (this.kept.length > eventsKeptMax) this.kept.shift();
    return one;
  }

  /** The oldest first. */
  all(): readonly KeptEvent[] {
    return this.kept;
  }

  private mayTellFlow(nowMs: number): boolean {
    if (nowMs - this.secondAtMs >= 1_000 || nowMs < this.secondAtMs) {
      this.secondAtMs = nowMs;
      this.toldInSecond = 0;
    }
    return ++this.toldInSecond <= failedFlowsToldPerS;
  }
}
