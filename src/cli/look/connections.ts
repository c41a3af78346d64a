/** `pinion connections`: who is connected where, through which backend. */
import { mostRule, readMost } from '../../front/most.ts';
import type { FlowRecord } from '../../worker/messages-from-worker.ts';
import { complainOfUsage } from '../ask.ts';
import type { ConnectionsOptions } from '../commands/look.ts';
import { age, bytes, count, took } from '../screen/amounts.ts';
import { type Line, printable, span } from '../screen/line.ts';
import { type Field, tableOf } from '../screen/table.ts';
import { look } from './look.ts';

/** What is known of those of other instances is less, and of which one they are. */
export type Connection = Pick<FlowRecord, 'listener' | 'client' | 'pool' | 'backend'> &
  Partial<FlowRecord> & { readonly instance?: string; readonly since?: string };

export interface ConnectionsBody {
  readonly connections: readonly Connection[];
}

export async function connections(options: ConnectionsOptions): Promise<void> {
  if (readMost(options.most) === undefined) return complainOfUsage(`--most ${options.most}: ${mostRule}`);
  const query = new URLSearchParams({ most: options.most });
  if (options.cluster) query.set('cluster', '1');
  await look<ConnectionsBody>(options, { path: `/connections?${query}`, draw: connectionsLines });
}

function ageMsOf({ durationMs, since }: Connection): number {
  return durationMs ?? (since === undefined ? 0 : Date.now() - Date.parse(since));
}

const fields: readonly Field<Connection>[] = [
  { title: 'CLIENT', cell: ({ client, movedTo }) => movedTo ?? client },
  { title: 'LISTENER', leaves: 3, cutTo: 10, cell: ({ listener }) => listener },
  {
    title: 'POOL/BACKEND',
    cutTo: 14,
    cell: ({ pool, backend }) =>
      backend === undefined ? span(`${pool}/none`, 'warning') : `${pool}/${backend}`,
  },
  { title: 'BY', leaves: 2, cell: ({ reason = '' }) => reason },
  { title: 'AGE', align: 'right', cell: (row) => age(ageMsOf(row)) },
  {
    title: 'CONNECT',
    align: 'right',
    leaves: 6,
    cell: ({ connectMs }) => (connectMs === undefined ? '' : took(connectMs)),
  },
  { title: 'IN', align: 'right', leaves: 1, cell: ({ bytesIn = 0 }) => bytes(bytesIn) },
  { title: 'OUT', align: 'right', leaves: 1, cell: ({ bytesOut = 0 }) => bytes(bytesOut) },
  { title: 'ASKS FOR', leaves: 7, cutTo: 12, cell: ({ serverName }) => printable(serverName ?? '') },
];

const instanceField: Field<Connection> = {
  title: 'INSTANCE',
  cutTo: 8,
  cell: ({ instance }) => instance ?? '',
};

export function connectionsLines({ connections: rows }: ConnectionsBody, width: number): Line[] {
  if (rows.length === 0) return [[span('nobody is connected', 'dim')]];
  const isOfCluster = rows.some(({ instance }) => instance !== undefined);
  // The newest last, where the eye is when a long list has passed.
  const sorted = [...rows].sort((a, b) => ageMsOf(b) - ageMsOf(a));
  return [
    ...tableOf(isOfCluster ? [instanceField, ...fields] : fields, sorted, width),
    [span(`${count(rows.length)} ${rows.length === 1 ? 'connection' : 'connections'}`, 'dim')],
  ];
}
