/** `pinion pins set`, `move` and `delete`. */
import { ask, complainOfUsage } from '../ask.ts';
import type { MovePinsOptions, PinFilterOptions, SetPinOptions } from '../commands/change.ts';
import { filterOf } from '../look/pins.ts';
import { count } from '../screen/amounts.ts';
import { printable } from '../screen/line.ts';
import { print } from '../standard-output.ts';
import { type Killed, killedText } from './kill.ts';

interface SetAnswer {
  readonly pool: string;
  readonly key: string;
  readonly backend: string;
  readonly outcome: string;
}

export async function setPin(
  place: { readonly listener: string; readonly client: string; readonly backend: string },
  options: SetPinOptions,
): Promise<void> {
  const { pool } = options;
  const query = new URLSearchParams({ ...place, ...(pool === undefined ? {} : { pool }) });
  const done = await ask<SetAnswer>(options, 'POST', `/pins/set?${query}`);
  if (done !== undefined) print(`${setText(done)}\n`);
}

export function setText({ pool, key, backend, outcome }: SetAnswer): string {
  const where = outcome === 'shared' ? ' on all instances' : ' on this instance';
  return `${printable(key)} is pinned to ${pool}/${backend}${where}`;
}

/** With `--now` also what became of open connections. */
type MoveAnswer = { readonly moved: number } & Partial<Killed>;

export async function movePins(to: string, options: MovePinsOptions): Promise<void> {
  if (!saysWhich('move', options)) return;
  const query = filterOf(options);
  query.set('to', to);
  if (options.everywhere === true && options.now !== true)
    return complainOfUsage('pins move: pins move on all instances anyway; --everywhere goes with --now');
  if (options.now === true) query.set('now', '1');
  if (options.everywhere === true) query.set('everywhere', '');
  const done = await ask<MoveAnswer>(options, 'POST', `/pins/move?${query}`);
  if (done === undefined) return;
  const { moved, connections, overMs = 0, ...others } = done;
  print(`${pinsText(moved)} moved to ${to}\n`);
  if (connections !== undefined) print(`${killedText({ ...others, connections, overMs })}\n`);
}

export async function deletePins(options: PinFilterOptions): Promise<void> {
  if (!saysWhich('delete', options)) return;
  const done = await ask<{ readonly deleted: number }>(options, 'POST', `/pins/delete?${filterOf(options)}`);
  if (done !== undefined) print(`${pinsText(done.deleted)} forgotten\n`);
}

function pinsText(number: number): string {
  return number === 1 ? '1 pin is' : `${number === 0 ? 'no' : count(number)} pins are`;
}

/** A forgotten option must not move or forget the clients of every pool. */
function saysWhich(verb: string, { pool, backend, client, all }: PinFilterOptions): boolean {
  if (all === true || pool !== undefined || backend !== undefined || client !== undefined) return true;
  complainOfUsage(`pins ${verb}: say which: --pool, --backend or --client; --all for every pin`);
  return false;
}
