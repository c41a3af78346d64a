/** What all parts of the page are drawn from: the newest state, the minutes before it, and what whoever looks may do. */
import type { StatusPage } from '../api/shapes.ts';
import { History } from './history.ts';

export interface Look {
  readonly status: StatusPage;
  readonly history: History;
  /** The state is fresh, and whoever looks may change something. */
  readonly canAct: boolean;
}

/** Five minutes. */
const samplesMax = 300;

export const series = {
  atS: 'at',
  newFlows: 'new-flows',
  bytesIn: 'bytes-in',
  bytesOut: 'bytes-out',
  newFlowsOf: (listener: string) => `new-flows of ${listener}`,
} as const;

export function createHistory(): History {
  return new History(samplesMax);
}

export function remember(history: History, { at, totals, listeners }: StatusPage): void {
  const { last1s } = totals.rates;
  history.add(
    new Map([
      [series.atS, Date.parse(at) / 1_000],
      [series.newFlows, last1s.newFlowsPerS],
      [series.bytesIn, last1s.bytesInPerS],
      [series.bytesOut, last1s.bytesOutPerS],
      ...listeners.map(
        ({ listener, rates }) => [series.newFlowsOf(listener), rates.last1s.newFlowsPerS] as const,
      ),
    ]),
  );
}
