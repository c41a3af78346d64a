/** `pinion pools`: the pools in a table. */
import type { PoolRow } from '../../front/api/shapes.ts';
import type { LookOptions } from '../commands/options.ts';
import { type Line, span } from '../screen/line.ts';
import { tableOf } from '../screen/table.ts';
import { look } from './look.ts';
import { poolFields } from './rows.ts';

export interface PoolsBody {
  readonly pools: readonly PoolRow[];
}

export async function pools(options: LookOptions): Promise<void> {
  await look<PoolsBody>(options, { path: '/v1/pools', draw: poolsLines });
}

function poolsLines({ pools: rows }: PoolsBody, width: number): Line[] {
  if (rows.length === 0) return [[span('there are no pools', 'dim')]];
  return tableOf(poolFields('last10s'), rows, width);
}
