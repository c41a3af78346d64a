/** `pinion pins list` and `pinion pins get`. */
import { mostRule, readMost } from '../../front/most.ts';
import type { PinRow } from '../../pins/by-hand.ts';
import { complainOfUsage } from '../ask.ts';
import type { PinFilterOptions } from '../commands/change.ts';
import { age, count } from '../screen/amounts.ts';
import { type Line, printable, span } from '../screen/line.ts';
import { type Field, tableOf } from '../screen/table.ts';
import { look } from './look.ts';

export interface PinsBody {
  readonly pins: readonly PinRow[];
}

export async function listPins(options: PinFilterOptions): Promise<void> {
  const { most = '' } = options;
  if (readMost(most) === undefined) return complainOfUsage(`--most ${most}: ${mostRule}`);
  await look<PinsBody>(options, { path: `/pins?${filterOf(options)}`, draw: pinsLines });
}

export async function getPin(client: string, options: PinFilterOptions): Promise<void> {
  await look<PinsBody>(options, { path: `/pins?${filterOf({ ...options, client })}`, draw: pinsLines });
}

export function filterOf(options: PinFilterOptions): URLSearchParams {
  const query = new URLSearchParams();
  for (const key of ['pool', 'backend', 'client', 'most'] as const) {
    const value = options[key];
    if (value !== undefined) query.set(key, value);
  }
  if (options.all === true) query.set('all', '1');
  return query;
}

/** Others are written with their kind, as commands take them. */
function isAddress(kind: PinRow['kind']): boolean {
  return kind === 'client-ip' || kind === 'client-subnet' || kind === 'flow';
}

const fields: readonly Field<PinRow>[] = [
  { title: 'CLIENT', cell: ({ kind, client }) => printable(isAddress(kind) ? client : `${kind}=${client}`) },
  { title: 'POOL/BACKEND', cell: ({ pool, backend }) => `${pool}/${backend}` },
  { title: 'BY', leaves: 2, cell: ({ reason }) => reason },
  { title: 'EXPIRES', align: 'right', cell: ({ expiresInMs }) => age(expiresInMs) },
  {
    title: 'CONFIRMED',
    leaves: 1,
    cell: ({ confirmed }) => (confirmed ? 'yes' : span('not yet', 'warning')),
  },
  { title: 'WRITER', leaves: 3, cutTo: 8, cell: ({ writer }) => printable(writer) },
];

export function pinsLines({ pins }: PinsBody, width: number): Line[] {
  if (pins.length === 0) return [[span('there are no such pins', 'dim')]];
  return [
    ...tableOf(fields, pins, width),
    [span(`${count(pins.length)} ${pins.length === 1 ? 'pin' : 'pins'}`, 'dim')],
  ];
}
