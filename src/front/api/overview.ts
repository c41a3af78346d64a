/** The state of the instance for all who ask: one status page is made for those who ask together, and its text once. */
import { pageFreshMs } from '../../core/limits.ts';
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
  readonly atMs: number;
  readonly page: CommonStatus;
  text: string | undefined;
}

export class Overview {
  private readonly options: OverviewOptions;
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
    made.text ??= JSON.stringify(made.page);
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
    this.made = undefined;
  }

  private async current(): Promise<Made> {
    const { made } = this;
    if (made !== undefined && performance.now() - made.atMs < pageFreshMs) return made;
    this.making ??= this.make().finally(() => {
      this.making = undefined;
    });
    return this.making;
  }

  private async make(): Promise<Made> {
    const { state, pins } = await this.parts();
    const made: Made = {
      atMs: performance.now(),
      page: statusPage(state, this.options, pins, Date.now()),
      text: undefined,
    };
    this.made = made;
    return made;
  }
}
