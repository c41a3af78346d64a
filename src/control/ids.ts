/**
 * Numbers for names. A pool, backend or listener gets its number when it is first seen and keeps it for the life
 * of the process: rows of shared memory and pins hold numbers, and a number must never come to mean another
 * backend, however often the configuration is reloaded.
 */
import { backendIdsMax, listenersMax, poolIdsMax } from '../core/limits.ts';
import type { Bind, Plan } from '../core/plan.ts';

export class Ids {
  private readonly pools = new Map<string, number>();
  private readonly backends = new Map<string, number>();
  private readonly listeners = new Map<string, number>();
  private readonly backendNames: { pool: string; backend: string }[] = [{ pool: '', backend: '' }];

  pool(name: string): number {
    return numberOf(this.pools, name, 1, poolIdsMax, 'pools');
  }

  backend(pool: string, name: string): number {
    const known = this.backends.size;
    const id = numberOf(this.backends, backendKey(pool, name), 1, backendIdsMax, 'backends');
    if (this.backends.size > known) this.backendNames[id] = { pool, backend: name };
    return id;
  }

  /** A listener that moves to another address is another listener: its old one may still have flows. */
  listener(name: string, protocol: string, bind: Bind): number {
    return numberOf(this.listeners, listenerKey(name, protocol, bind), 0, listenersMax, 'listeners');
  }

  /**
   * Whether there are numbers for all names of a plan; gives none yet.
   * @throws TooManyNames
   */
  admit({ listeners, pools }: Pick<Plan, 'listeners' | 'pools'>): void {
    const backends = pools.flatMap((pool) => pool.backends.map(({ name }) => backendKey(pool.name, name)));
    const places = listeners.map(({ name, protocol, bind }) => listenerKey(name, protocol, bind));
    check(
      this.pools,
      pools.map(({ name }) => name),
      poolIdsMax,
      'pools',
    );
    check(this.backends, backends, backendIdsMax, 'backends');
    check(this.listeners, places, listenersMax, 'listeners');
  }

  /** The number of a pool that has one already; 0: none. */
  knownPool(name: string): number {
    return this.pools.get(name) ?? 0;
  }

  knownPools(): { readonly id: number; readonly pool: string }[] {
    return [...this.pools].map(([pool, id]) => ({ id, pool }));
  }

  knownBackends(): { readonly id: number; readonly pool: string; readonly backend: string }[] {
    return this.backendNames.slice(1).map((names, index) => ({ id: index + 1, ...names }));
  }

  knownBackend(pool: string, name: string): number {
    return this.backends.get(backendKey(pool, name)) ?? 0;
  }

  backendName(id: number): { readonly pool: string; readonly backend: string } | undefined {
    return id === 0 ? undefined : this.backendNames[id];
  }

  poolName(id: number): string | undefined {
    for (const [name, known] of this.pools) if (known === id) return name;
    return undefined;
  }
}

/** Thrown when more names have been seen than there are rows; a restart starts counting anew. */
export class TooManyNames extends Error {}

function backendKey(pool: string, backend: string): string {
  return `${pool}\n${backend}`;
}

function listenerKey(name: string, protocol: string, bind: Bind): string {
  const place = bind.kind === 'unix' ? bind.path : `${bind.ip} ${bind.port} ${bind.device ?? ''}`;
  return `${name}\n${protocol} ${place}`;
}

function check(map: Map<string, number>, names: readonly string[], most: number, what: string): void {
  const fresh = new Set(names.filter((name) => !map.has(name)));
  if (map.size + fresh.size > most) throw tooMany(most, what);
}

function tooMany(most: number, what: string): TooManyNames {
  return new TooManyNames(`this process has seen ${most} ${what}; restart it to use new names`);
}

function numberOf(map: Map<string, number>, name: string, first: number, most: number, what: string): number {
  const known = map.get(name);
  if (known !== undefined) return known;
  if (map.size >= most) throw tooMany(most, what);
  const id = first + map.size;
  map.set(name, id);
  return id;
}
