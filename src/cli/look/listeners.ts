/** `pinion listeners`: the listeners in a table. */
import type { ListenerRow } from '../../front/api/shapes.ts';
import type { LookOptions } from '../commands/options.ts';
import { type Line, span } from '../screen/line.ts';
import { tableOf } from '../screen/table.ts';
import { look } from './look.ts';
import { listenerFields } from './rows.ts';

export interface ListenersBody {
  readonly listeners: readonly ListenerRow[];
}

export async function listeners(options: LookOptions): Promise<void> {
  await look<ListenersBody>(options, { path: '/v1/listeners', draw: listenersLines });
}

function listenersLines({ listeners: rows }: ListenersBody, width: number): Line[] {
  if (rows.length === 0) return [[span('there are no listeners', 'dim')]];
  return tableOf(listenerFields('last10s'), rows, width);
}
