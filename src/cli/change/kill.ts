/** `pinion connections kill`: ends connections and UDP conversations. */
import { readDuration } from '../../config/units.ts';
import { formatDuration } from '../../core/quantities.ts';
import { ask, complainOfUsage } from '../ask.ts';
import type { KillOptions } from '../commands/look.ts';
import { count } from '../screen/amounts.ts';
import { print } from '../standard-output.ts';

export interface Killed {
  readonly connections: number;
  readonly overMs: number;
  readonly others?: 'told' | 'not-told';
}

const filters = ['listener', 'pool', 'backend', 'client'] as const;

export async function kill(options: KillOptions): Promise<void> {
  const query = new URLSearchParams();
  for (const key of filters) if (options[key] !== undefined) query.set(key, options[key]);
  if (query.size === 0 && options.all !== true)
    return complainOfUsage(
      'connections kill: say which: --listener, --pool, --backend or --client; --all for every one',
    );
  if (options.all === true) query.set('all', '1');
  if (options.everywhere === true) query.set('everywhere', '');
  if (options.over !== undefined) {
    const over = readDuration(options.over);
    if ('refused' in over) return complainOfUsage(`--over ${over.refused}`);
    query.set('over-ms', String(over.value));
  }
  const killed = await ask<Killed>(options, 'POST', `/connections/kill?${query}`);
  if (killed !== undefined) print(`${killedText(killed)}\n`);
}

export function killedText({ connections, overMs, others }: Killed): string {
  if (connections === 0 && others === undefined) return 'no connection matches: nothing is ended';
  const what = connections === 1 ? '1 connection ends' : `${count(connections)} connections end`;
  const when = overMs > 0 ? ` over ${formatDuration(overMs)}` : '';
  return `${what}${when}${others === 'told' ? ' here; the other instances are told' : ''}`;
}
