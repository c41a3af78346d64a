/** `pinion drain`, `undrain`, `maintenance` and `weight`: an operator's order for one backend, or what it would do. */
import type { Preview } from '../../front/api/shapes.ts';
import { ask, complainOfUsage } from '../ask.ts';
import type { BackendOrderOptions } from '../commands/change.ts';
import { percent } from '../screen/amounts.ts';
import { printable } from '../screen/line.ts';
import { print } from '../standard-output.ts';

/** What is answered once it is carried out. */
export interface Obeyed {
  readonly pool: string;
  readonly backend: string;
  readonly state: 'ready' | 'drain' | 'maintenance';
  readonly weight: number | null;
  readonly movesPinned: boolean;
  readonly everywhere: boolean;
  readonly kept: 'until-stop' | 'in-redis' | 'in-redis-later';
}

export async function giveOrder(
  order: string,
  target: string,
  options: BackendOrderOptions,
  query: Readonly<Record<string, string>>,
): Promise<void> {
  const slash = target.indexOf('/');
  if (slash <= 0 || slash === target.length - 1)
    return complainOfUsage(`${target}: write POOL/BACKEND, for example pg/pg1`);
  const pool = encodeURIComponent(target.slice(0, slash));
  const backend = encodeURIComponent(target.slice(slash + 1));
  const words = new URLSearchParams(query);
  if (options.everywhere === true) words.set('everywhere', '');
  if (options.force === true) words.set('force', '');
  if (options.dryRun === true) {
    words.set('dry_run', 'true');
    const path = `/v1/backends/${pool}/${backend}/${order}?${words}`;
    const preview = await ask<Preview>(options, 'POST', path, {
      isRefusal: ({ refused }) => refused !== null,
    });
    if (preview !== undefined)
      print([...previewLines(preview), 'Nothing was changed.'].map((line) => `${line}\n`).join(''));
    return;
  }
  const path = `/pools/${pool}/backends/${backend}/${order}`;
  const done = await ask<Obeyed>(options, 'POST', words.size === 0 ? path : `${path}?${words}`);
  if (done !== undefined) print(`${obeyedText(done)}\n`);
}

export function obeyedText({ pool, backend, state, weight, movesPinned, everywhere, kept }: Obeyed): string {
  const does = {
    ready: 'takes new clients',
    drain: movesPinned
      ? 'drains: no new clients; pinned ones go elsewhere with their next connection'
      : 'drains: no new clients; pinned ones stay',
    maintenance: 'is in maintenance: it counts as down',
  }[state];
  const weighs = weight === null ? '' : `, weight ${weight}`;
  const where = everywhere ? ' on all instances' : '';
  const lasts = {
    'until-stop': state === 'ready' && weight === null ? '' : '; until this instance stops',
    'in-redis': '',
    'in-redis-later': '; Redis does not take it now, and is told later',
  }[kept];
  return `${pool}/${backend} ${does}${weighs}${where}${lasts}`;
}

/** What would happen, a line each. */
export function previewLines({ text, newClients }: Preview): string[] {
  const shares = newClients
    .filter(({ before, after }) => before !== after)
    .map(({ backend, before, after }) => `  ${backend}  ${percent(before)} -> ${percent(after)}`);
  return [text, ...(shares.length === 0 ? [] : ['Shares of new clients:', ...shares])].map(printable);
}
