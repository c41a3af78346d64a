/** Names by numbers as plain data: how control tells other threads which pools and backends there are and were. */
import type { Names } from './names.ts';

export interface NamesTable {
  readonly pools: readonly NamedPool[];
  readonly backends: readonly NamedBackend[];
}

export interface NamedPool {
  readonly id: number;
  readonly pool: string;
  /** Workers know it now. One that an earlier plan had keeps its number. */
  readonly isInUse: boolean;
}

export interface NamedBackend extends NamedPool {
  readonly backend: string;
}

export const noNames: NamesTable = { pools: [], backends: [] };

/** {@link Names} that are given as a table, and replaced when another one comes. */
export class TableNames implements Names {
  private pools = new Map<string, NamedPool>();
  private poolsById = new Map<number, NamedPool>();
  private backendsById = new Map<number, NamedBackend>();
  private backends = new Map<string, NamedBackend>();

  constructor(table: NamesTable = noNames) {
    this.use(table);
  }

  use({ pools, backends }: NamesTable): void {
    this.pools = new Map(pools.map((one) => [one.pool, one]));
    this.poolsById = new Map(pools.map((one) => [one.id, one]));
    this.backendsById = new Map(backends.map((one) => [one.id, one]));
    this.backends = new Map(backends.map((one) => [`${one.pool}\n${one.backend}`, one]));
  }

  /** Ids of all backends, also of those that are gone. */
  get backendIds(): Iterable<number> {
    return this.backendsById.keys();
  }

  /** Pool and name of a backend. */
  backend(id: number): NamedBackend | undefined {
    return this.backendsById.get(id);
  }

  poolName(poolId: number): string | undefined {
    return this.poolsById.get(poolId)?.pool;
  }

  backendName(backendId: number): string | undefined {
    return this.backendsById.get(backendId)?.backend;
  }

  poolId(pool: string): number {
    const found = this.pools.get(pool);
    return found?.isInUse === true ? found.id : 0;
  }

  knownPoolId(pool: string): number {
    return this.pools.get(pool)?.id ?? 0;
  }

  backendId(pool: string, backend: string): number {
    const found = this.backends.get(`${pool}\n${backend}`);
    return found?.isInUse === true ? found.id : 0;
  }
}
