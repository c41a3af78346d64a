/**
 * The state of the instance for all who ask: one status page is made for those who ask together, and its text once. After it the thread is
 * others' for several times as long, however many ask: a page of thousands of backends takes long to make.
 */
import { pageFreshMs, pageFreshMsMax, pageRestPerRenderTime } from '../../core/limits.ts';
import type { SharedViews } from '../../rooms/shared.ts';
import type { Access } from '../answer.ts';
import type { Outside } from '../outside.ts';
import type { FrontState } from '../state.ts';
import type { PinCounter, PinCounts } from './pin-counts.ts';
import type { RateWatch } from './rates.ts';
import { type CommonStatus, statusPage } from './status.ts';

const sampleEveryMs = 1_000;
/** Names and numbers of what is sampled are asked for so often where nobody asks for a page. */
const namesEveryMs = 10_000;

export interface OverviewOptions {
  readonly outside: Outside;
  readonly views: SharedViews;
  readonly rates: RateWatch;
  readonly pins: PinCounter;
  readonly version: string;
}

interface Made {
  freshUntilMs: number;
  readonly page: CommonStatus;
  text: string | undefined;
}

export class Overview {
  /** How often something was changed here. What was made from the state before is old then. */
  changes = 0;
  private readonly options: OverviewOptions;
  private restUntilMs = Number.NEGATIVE_INFINITY;
  private made: Made | undefined;
  private making: Promise<Made> | undefined;
  private askedAtMs = Number.NEGATIVE_INFINITY;
  /** There are listeners and pools. */
  private knowsNames = false;
  private sampler: NodeJS.Timeout | undefined;

  constructor(options: OverviewOptions) {
    this.options = options;
  }

  get views(): SharedViews {
    return this.options.views;
  }

  /** Begins to watch rates, until the thread ends. */
  watch(): void {
    const look = async (): Promise<void> => {
      const { outside, rates } = this.options;
      const nowMs = performance.now();
      try {
        if (!this.knowsNames || nowMs - this.askedAtMs > namesEveryMs) {
          this.askedAtMs = nowMs;
          this.knowsNames = (await outside.state()).published.snapshot !== undefined;
        }
        const { snapshot } = outside.known.published;
        rates.sample({
          listeners: (snapshot?.listeners ?? []).map(({ id }) => id),
          backends: outside.known.backends.map(({ id }) => id),
        });
      } catch {
        // Control does not answer now: there is nothing to show either.
      }
    };
    this.sampler ??= setInterval(() => void look(), sampleEveryMs);
    void look();
  }

  /** @throws ControlSilent */
  async status(): Promise<CommonStatus> {
    return (await this.current()).page;
  }

  /** The status page as JSON, as whoever may do this much sees it. @throws ControlSilent */
  async statusText(access: Access): Promise<string> {
    const made = await this.current();
    if (made.text === undefined) {
      const startMs = performance.now();
      made.text = JSON.stringify(made.page);
      this.rest(startMs, made);
    }
    return `{"access":${JSON.stringify(access)},${made.text.slice(1)}`;
  }

  /** What the page is made from. @throws ControlSilent */
  async parts(): Promise<{ readonly state: FrontState; readonly pins: PinCounts | undefined }> {
    const { outside, pins } = this.options;
    const [state, counts] = await Promise.all([outside.state(), pins.now()]);
    return { state, pins: counts };
  }

  /** After a change: whoever asks from now on sees it. */
  forget(): void {
    this.changes += 1;
    this.made = undefined;
    // What is being made now may have been asked of control before.
    this.making = undefined;
  }

  private async current(): Promise<Made> {
    const { made } = this;
    if (made !== undefined && performance.now() < made.freshUntilMs) return made;
    this.making ??= this.make();
    return this.making;
  }

  private async make(): Promise<Made> {
    const { changes } = this;
    try {
      const restMs = this.restUntilMs - performance.now();
      if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
      const { state, pins } = await this.parts();
      const startMs = performance.now();
      const page = statusPage(state, this.options, pins, Date.now());
      const made: Made = { freshUntilMs: performance.now() + pageFreshMs, page, text: undefined };
      this.rest(startMs, made);
      if (this.changes === changes) this.made = made;
      return made;
    } finally {
      if (this.changes === changes) this.making = undefined;
    }
  }

  /** The page is good while others have the thread. */
  private rest(startMs: number, made: Made): void {
    const nowMs = performance.now();
    const restMs = Math.max(0, this.restUntilMs - nowMs) + (nowMs - startMs) * pageRestPerRenderTime;
    this.restUntilMs = nowMs + Math.min(restMs, pageFreshMsMax);
    made.freshUntilMs = Math.max(made.freshUntilMs, this.restUntilMs);
  }
}
