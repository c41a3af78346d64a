/** What the metrics page is made from. */
import type { FrontState } from '../front/state.ts';
import type { SharedViews } from '../rooms/shared.ts';

export interface MetricsSource {
  readonly views: SharedViews;
  /** As it was asked for last: before each page. */
  readonly state: () => FrontState;
  readonly version: string;
  /** HTTP requests and connections that were refused or cut, by reason, on all pages together. */
  readonly httpRefusals: () => Readonly<Record<string, number>>;
  /** There is a cluster: without, nothing is said of one. */
  readonly isShared: boolean;
}
