/** The rows and columns of each view of `top`: those that pass the filter, in the order that was asked for. */
import type { BackendRow, ClusterRow, EventRow, FlowRow, ListenerRow } from '../../front/api/shapes.ts';
import { backendFields, listenerFields } from '../look/rows.ts';
import { age, bytes, count, took } from '../screen/amounts.ts';
import { printable, span } from '../screen/line.ts';
import type { Field } from '../screen/table.ts';
import type { TopState, ViewName } from './state.ts';

/** One view's table. */
export interface ViewTable {
  readonly columns: readonly Field<unknown>[];
  readonly rows: readonly ViewRow[];
  /** Rows before the filter. */
  readonly all: number;
}

export interface ViewRow {
  /** Stays while numbers and order change. */
  readonly name: string;
  readonly row: unknown;
}

interface View<Row> {
  readonly fields: readonly Field<Row>[];
  readonly rows: readonly Row[];
  readonly name: (row: Row) => string;
  /** What a filter looks through. */
  readonly text: (row: Row) => string;
}

type Member = ClusterRow['members'][number];

const flowFields: readonly Field<FlowRow>[] = [
  { title: 'CLIENT', cell: ({ client }) => client, order: ({ client }) => client },
  {
    title: 'LISTENER',
    leaves: 3,
    cutTo: 10,
    cell: ({ listener }) => listener,
    order: ({ listener }) => listener,
  },
  {
    title: 'POOL/BACKEND',
    cutTo: 14,
    cell: ({ pool, backend }) => (backend === null ? span(`${pool}/none`, 'warning') : `${pool}/${backend}`),
    order: ({ pool, backend }) => `${pool}/${backend}`,
  },
  { title: 'BY', leaves: 2, cell: ({ why }) => why ?? '' },
  { title: 'AGE', align: 'right', cell: ({ ageMs }) => age(ageMs), order: ({ ageMs }) => ageMs },
  {
    title: 'CONNECT',
    align: 'right',
    leaves: 5,
    cell: ({ connectMs }) => (connectMs === null ? '' : took(connectMs)),
  },
  {
    title: 'IN',
    align: 'right',
    leaves: 1,
    cell: ({ bytesIn }) => bytes(bytesIn),
    order: ({ bytesIn }) => -bytesIn,
  },
  {
    title: 'OUT',
    align: 'right',
    leaves: 1,
    cell: ({ bytesOut }) => bytes(bytesOut),
    order: ({ bytesOut }) => -bytesOut,
  },
  { title: 'ASKS FOR', leaves: 6, cutTo: 10, cell: ({ serverName }) => printable(serverName ?? '') },
];

const levelStyles = { error: 'bad', warning: 'warning', info: undefined } as const;

const eventFields: readonly Field<EventRow>[] = [
  // Of the time without its date: who looks is here today.
  { title: 'UTC', cell: ({ at }) => /T(\d\d:\d\d:\d\d)/.exec(at)?.[1] ?? at },
  {
    title: '',
    cell: ({ level }) => span({ error: '!!', warning: '!', info: ' ' }[level], levelStyles[level]),
  },
  { title: 'EVENT', leaves: 1, cell: ({ event }) => event, order: ({ event }) => event },
  { title: 'WHAT', cutTo: 10, cell: ({ message, level }) => span(printable(message), levelStyles[level]) },
];

const memberFields: readonly Field<Member>[] = [
  {
    title: 'INSTANCE',
    cutTo: 10,
    cell: ({ instance, isSelf }) =>
      span(isSelf ? `${instance} (this one)` : instance, isSelf ? 'strong' : undefined),
    order: ({ instance }) => instance,
  },
  { title: 'STATE', cell: ({ left }) => (left ? span('LEFT', 'dim') : span('HERE', 'good')) },
  { title: 'HOST', leaves: 3, cutTo: 10, cell: ({ host }) => printable(host) },
  { title: 'VERSION', leaves: 4, cell: ({ version }) => version },
  {
    title: 'CONFIGURATION',
    leaves: 1,
    cell: ({ digest, hasOurDigest }) =>
      span(hasOurDigest ? 'as here' : `another (${digest})`, hasOurDigest ? undefined : 'warning'),
  },
  { title: 'FLOWS', align: 'right', cell: ({ flows }) => count(flows), order: ({ flows }) => -flows },
  { title: 'PINS', align: 'right', leaves: 2, cell: ({ pins }) => count(pins), order: ({ pins }) => -pins },
  { title: 'STARTED', leaves: 5, cell: ({ startedAt }) => startedAt },
];

function viewOf<Row>(view: View<Row>): View<unknown> {
  return view as unknown as View<unknown>;
}

const nameOfBackend = ({ pool, backend }: BackendRow): string => `${pool}/${backend}`;
const wordsOf = (words: readonly (string | null)[]): string =>
  words.filter((word) => word !== null).join(' ');

const views: Readonly<Record<ViewName, (state: TopState) => View<unknown>>> = {
  pools: ({ page }) =>
    viewOf<BackendRow>({
      fields: backendFields('last1s'),
      rows: page?.pools.flatMap(({ backends }) => backends) ?? [],
      name: nameOfBackend,
      text: (row) => wordsOf([nameOfBackend(row), row.state, row.address, row.at, row.code, row.cause]),
    }),
  listeners: ({ page }) =>
    viewOf<ListenerRow>({
      fields: listenerFields('last1s'),
      rows: page?.listeners ?? [],
      name: ({ listener }) => listener,
      text: ({ listener, address, pools, protocol }) => wordsOf([listener, protocol, address, ...pools]),
    }),
  flows: ({ flows }) =>
    viewOf<FlowRow>({
      fields: flowFields,
      rows: flows?.flows ?? [],
      name: ({ id }) => id,
      text: ({ client, listener, pool, backend, address, serverName }) =>
        wordsOf([client, listener, `${pool}/${backend}`, address, serverName]),
    }),
  events: ({ events }) =>
    viewOf<EventRow>({
      fields: eventFields,
      rows: events,
      name: ({ id }) => id,
      text: ({ event, message, level }) => wordsOf([level, event, message]),
    }),
  cluster: ({ page }) =>
    viewOf<Member>({
      fields: memberFields,
      rows: page?.cluster?.members ?? [],
      name: ({ instance }) => instance,
      text: ({ instance, host, version }) => wordsOf([instance, host, version]),
    }),
};

/** What is shown of the view that is open. */
export function tableOfView(state: TopState): ViewTable {
  const view = views[state.view](state);
  const { by, isReversed = false } = state.sorting[state.view] ?? {};
  const wanted = state.filter.toLowerCase();
  const passing =
    wanted === '' ? [...view.rows] : view.rows.filter((row) => view.text(row).toLowerCase().includes(wanted));
  const order = view.fields.find(({ title }) => title === by)?.order;
  if (order !== undefined) passing.sort((a, b) => compare(order(a), order(b)));
  if (isReversed) passing.reverse();
  return {
    columns: view.fields,
    rows: passing.map((row) => ({ name: view.name(row), row })),
    all: view.rows.length,
  };
}

function compare(a: number | string, b: number | string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Place of the row that the cursor is on: the first when that is gone. */
export function selectedIndex({ rows }: ViewTable, state: TopState): number {
  const name = state.selected[state.view];
  return Math.max(
    0,
    rows.findIndex((row) => row.name === name),
  );
}
