/** What of backends, pools and listeners stands in which column: for the tables of commands and of `top`. */
import type { BackendRow, BackendState, ListenerRow, PoolRow, Rates } from '../../front/api/shapes.ts';
import { age, bytes, count, percent, rate, took } from '../screen/amounts.ts';
import { printable, type Span, type Style, span } from '../screen/line.ts';
import type { Cell, Field } from '../screen/table.ts';

/** What numbers per second are of: a command is one look and shows the last ten seconds, `top` the last one. */
export type RateWindow = keyof Rates;

const stateStyles: Readonly<Record<BackendState | PoolRow['state'], Style>> = {
  up: 'good',
  'coming-up': 'warning',
  draining: 'warning',
  drained: 'warning',
  maintenance: 'warning',
  degraded: 'warning',
  down: 'bad',
};

/** In capitals: it is found without colour too. */
export function stateCell(state: BackendState | PoolRow['state']): Span {
  return span(state.toUpperCase(), stateStyles[state]);
}

/** Where somebody should look first: what is down, then what is on its way, then the rest. */
export function urgency(state: BackendState | PoolRow['state']): number {
  return state === 'down' ? 0 : state === 'up' ? 2 : 1;
}

function checkCell({ check }: BackendRow): Cell {
  if (check === null) return '';
  return check.ok ? took(check.tookMs) : span(`${count(check.inARow)} failed`, 'bad');
}

/** The one word and the sentence, and where that is if the sentence does not say it. */
export function whyText({ code, cause, state, at }: BackendRow): string {
  const sentence = printable(cause);
  if (code === null) return sentence;
  const what = sentence === '' || sentence.startsWith(code) ? sentence || code : `${code}: ${sentence}`;
  return state === 'down' && at !== null && !what.includes(at) ? `${what} (${at})` : what;
}

function whyCell(row: BackendRow): Cell {
  return span(whyText(row), row.state === 'down' ? 'bad' : undefined);
}

function shareCell(share: number | null): Cell {
  return share === null ? '' : percent(share);
}

function numberOf(value: number | null): Cell {
  return value === null ? '' : count(value);
}

/** A number that is best 0. */
function troubleOf(value: number): Cell {
  return value === 0 ? '0' : span(count(value), 'warning');
}

function weightText({ weight }: BackendRow): string {
  const rounded = Math.round(weight.live * 10) / 10;
  return rounded === weight.configured ? `${weight.configured}` : `${rounded} of ${weight.configured}`;
}

const right = 'right' as const;

/** With `isWide` it is too much for most terminals. */
type BackendField = Field<BackendRow> & { readonly isWide?: boolean };

/** @param isWide with what is too much for most terminals */
export function backendFields(window: RateWindow, isWide = false): Field<BackendRow>[] {
  const fields: BackendField[] = [
    {
      title: 'POOL/BACKEND',
      cutTo: 16,
      cell: ({ pool, backend }) => span(`${pool}/${backend}`),
      order: ({ pool, backend }) => `${pool}/${backend}`,
    },
    {
      title: 'STATE',
      cell: ({ state }) => stateCell(state),
      order: ({ state }) => urgency(state),
    },
    {
      title: 'SINCE',
      align: right,
      leaves: 5,
      cell: ({ sinceMs }) => age(sinceMs),
      order: ({ sinceMs }) => sinceMs,
    },
    { title: 'ADDRESS', isWide: true, leaves: 11, cell: ({ address }) => address },
    {
      title: 'FLOWS',
      align: right,
      leaves: 1,
      cell: ({ flows }) => count(flows),
      order: ({ flows }) => -flows,
    },
    { title: 'MAX', align: right, isWide: true, leaves: 10, cell: ({ flowsMax }) => numberOf(flowsMax) },
    newFlowsField(window, 3),
    ...byteFields<BackendRow>(window, 8).map((field) => ({ ...field, isWide: true })),
    {
      title: 'PINS',
      align: right,
      leaves: 4,
      cell: ({ pins }) => numberOf(pins),
      order: ({ pins }) => -(pins ?? 0),
    },
    { title: 'SHARE', align: right, leaves: 6, cell: ({ share }) => shareCell(share) },
    { title: 'EXPECTED', align: right, leaves: 7, cell: ({ expectedShare }) => shareCell(expectedShare) },
    { title: 'WEIGHT', align: right, isWide: true, leaves: 12, cell: weightText },
    { title: 'TIER', align: right, isWide: true, leaves: 13, cell: tierText },
    {
      title: 'FAILED',
      align: right,
      isWide: true,
      leaves: 9,
      cell: ({ failedDials }) => troubleOf(failedDials),
    },
    { title: 'FLAPS', align: right, isWide: true, leaves: 9, cell: ({ flapCount }) => troubleOf(flapCount) },
    { title: 'CHECK', align: right, leaves: 2, cell: checkCell },
    { title: 'WHY', leaves: 0, cutTo: 12, cell: whyCell },
  ];
  return fields.filter((field) => isWide || field.isWide !== true);
}

type HasRates = Pick<BackendRow, 'rates'>;

/** @param leaves when it is left out: see {@link Field} */
function newFlowsField<Row extends HasRates>(window: RateWindow, leaves: number): Field<Row> {
  return {
    title: 'NEW/s',
    align: right,
    leaves,
    cell: ({ rates }) => rate(rates[window].newFlowsPerS),
    order: ({ rates }) => -rates[window].newFlowsPerS,
  };
}

/** What comes in and goes out. */
function byteFields<Row extends HasRates>(window: RateWindow, leaves: number): Field<Row>[] {
  return [
    {
      title: 'IN/s',
      align: right,
      leaves,
      cell: ({ rates }) => bytes(rates[window].bytesInPerS),
      order: ({ rates }) => -rates[window].bytesInPerS,
    },
    {
      title: 'OUT/s',
      align: right,
      leaves,
      cell: ({ rates }) => bytes(rates[window].bytesOutPerS),
      order: ({ rates }) => -rates[window].bytesOutPerS,
    },
  ];
}

function tierText({ tier, isBackup, zone }: BackendRow): string {
  return `${tier}${isBackup ? ' backup' : ''}${zone === null ? '' : ` ${zone}`}`;
}

export function poolFields(window: RateWindow): Field<PoolRow>[] {
  return [
    { title: 'POOL', cutTo: 12, cell: ({ pool }) => pool, order: ({ pool }) => pool },
    {
      title: 'STATE',
      cell: ({ state, isInPanic }) => (isInPanic ? span('PANIC', 'bad') : stateCell(state)),
      order: ({ state }) => urgency(state),
    },
    {
      title: 'UP',
      align: right,
      cell: ({ backends }) =>
        `${backends.filter(({ state }) => state === 'up' || state === 'coming-up').length} of ${backends.length}`,
    },
    { title: 'POLICY', leaves: 4, cell: ({ policy }) => policy },
    { title: 'FLOWS', align: right, cell: ({ flows }) => count(flows), order: ({ flows }) => -flows },
    newFlowsField(window, 2),
    { title: 'IN/s', align: right, leaves: 3, cell: ({ rates }) => bytes(rates[window].bytesInPerS) },
    { title: 'OUT/s', align: right, leaves: 3, cell: ({ rates }) => bytes(rates[window].bytesOutPerS) },
    { title: 'PINS', align: right, leaves: 1, cell: ({ pins }) => numberOf(pins) },
    { title: 'LISTENERS', leaves: 5, cutTo: 12, cell: ({ listeners }) => listeners.join(', ') },
  ];
}

export function listenerFields(window: RateWindow): Field<ListenerRow>[] {
  return [
    { title: 'LISTENER', cutTo: 12, cell: ({ listener }) => listener, order: ({ listener }) => listener },
    { title: 'ADDRESS', leaves: 5, cutTo: 16, cell: ({ address }) => address },
    { title: 'POOL', leaves: 6, cutTo: 12, cell: ({ pools }) => pools.join(', ') },
    { title: 'FLOWS', align: right, cell: ({ flows }) => count(flows), order: ({ flows }) => -flows },
    newFlowsField(window, 1),
    ...byteFields<ListenerRow>(window, 3),
    {
      title: 'REFUSED',
      align: right,
      leaves: 2,
      cell: ({ refused }) => troubleOf(refused),
      order: ({ refused }) => -refused,
    },
    {
      title: 'DROPPED',
      align: right,
      leaves: 4,
      cell: ({ dropped }) => troubleOf(sumOf(dropped)),
      order: ({ dropped }) => -sumOf(dropped),
    },
    { title: 'MOST ENDS', leaves: 7, cutTo: 14, cell: ({ ended }) => mostEnds(ended) },
  ];
}

function sumOf(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, one) => sum + one, 0);
}

/** Why most flows ended: two codes with their part. */
export function mostEnds(ended: Readonly<Record<string, number>>): string {
  const all = sumOf(ended);
  return Object.entries(ended)
    .sort(([, a], [, b]) => b - a)
    .slice(0, 2)
    .map(([code, number]) => `${code} ${percent(number / all)}`)
    .join(', ');
}
