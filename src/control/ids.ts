/**
 * Numbers for names. A pool, backend or listener gets its number when it is first seen and keeps it for the life
 * of the process: rows of shared memory and pins hold numbers, and a number must never come to mean another
 * backend, however often the configuration is reloaded.
 */
import { bindKey, bindsOf } from '../core/binds.ts';
import { backendIdsMax, foundNamesPerPoolMax, listenersMax, poolIdsMax } from '../core/limits.ts';
import { groupBackends, groupScopes } from '../core/pin-scopes.ts';
import type { ListenerPlan, Plan } from '../core/plan.ts';

export class Ids {
  private readonly pools = new Map<string, number>();
  private readonly poolNames: string[] = [];
  private readonly backends = new Map<string, number>();
  /** By name, protocol and each of its addresses. */
  private readonly listeners = new Map<string, number>();
  private listenerCount = 0;
  private readonly listenerNames: string[] = [];
  /** When each number of a listener was asked for last, by number. */
  private readonly askedFor: number[] = [];
  private asked = 0;
  private readonly backendNames: { pool: string; backend: string }[] = [{ pool: '', backend: '' }];

  pool(name: string): number {
    const id = numberOf(this.pools, name, 1, poolIdsMax, 'pools');
    this.poolNames[id] = name;
    return id;
  }

  backend(pool: string, name: string): number {
    const known = this.backends.size;
    const id = numberOf(this.backends, backendKey(pool, name), 1, backendIdsMax, 'backends');
    if (this.backends.size > known) this.backendNames[id] = { pool, backend: name };
    return id;
  }

  /**
   * A listener that moves to another address is another listener: its old one may still have flows. One that keeps an address of
   * several is the same. (Of two that it has been by its addresses, it is the one that it was last.)
   */
  listener(plan: Pick<ListenerPlan, 'name' | 'protocol' | 'bind' | 'binds' | 'relay'>): number {
    const keys = listenerKeys(plan);
    let id = this.knownListener(keys);
    if (id === undefined) {
      if (this.listenerCount >= listenersMax) throw tooMany(listenersMax, 'listeners');
      id = this.listenerCount++;
      this.listenerNames[id] = plan.name;
    }
    this.askedFor[id] = ++this.asked;
    for (const key of keys) this.listeners.set(key, id);
    return id;
  }

  private knownListener(keys: readonly string[]): number | undefined {
    let last: number | undefined;
    for (const key of keys) {
      const id = this.listeners.get(key);
      if (id === undefined || (last !== undefined && this.askedFor[last]! >= this.askedFor[id]!)) continue;
      last = id;
    }
    return last;
  }

  /**
   * Whether there are numbers for all names of a plan; gives none yet.
   * @throws TooManyNames
   */
  admit({ listeners, pools }: Pick<Plan, 'listeners' | 'pools'>): void {
    const backends = pools.flatMap((pool) => pool.backends.map(({ name }) => backendKey(pool.name, name)));
    const scopes = groupBackends({ listeners, pools });
    for (const [scope, names] of scopes) for (const name of names) backends.push(backendKey(scope, name));
    check(this.pools, [...pools.map(({ name }) => name), ...scopes.keys()], poolIdsMax, 'pools');
    check(this.backends, backends, backendIdsMax, 'backends');
    const fresh = listeners.filter((plan) => this.knownListener(listenerKeys(plan)) === undefined);
    if (this.listenerCount + fresh.length > listenersMax) throw tooMany(listenersMax, 'listeners');
  }

  /** Reckons what found lists would need beside the backends that the file has; gives no numbers. */
  roomBeside({ listeners, pools }: Pick<Plan, 'listeners' | 'pools'>): RoomForNames {
    const own = pools.flatMap((pool) => pool.backends.map(({ name }) => backendKey(pool.name, name)));
    for (const [scope, names] of groupBackends({ listeners, pools }))
      for (const name of names) own.push(backendKey(scope, name));
    return new RoomForNames(this.backends, this.foundByPool(), own, groupScopes({ listeners }));
  }

  /** How many names each pool has had so far. */
  private foundByPool(): Map<string, number> {
    const counts = new Map<string, number>();
    for (const { pool } of this.backendNames.slice(1)) counts.set(pool, (counts.get(pool) ?? 0) + 1);
    return counts;
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

  listenerName(id: number): string | undefined {
    return this.listenerNames[id];
  }

  poolName(id: number): string | undefined {
    return this.poolNames[id];
  }
}

/** Numbers that are left for names that are found: a list of one pool that needs too many takes nothing from the others. */
export class RoomForNames {
  private readonly known: ReadonlyMap<string, number>;
  private readonly counts: Map<string, number>;
  private readonly taken: Set<string>;
  private readonly scopes: ReadonlyMap<string, string>;
  private left: number;

  /**
   * @param known the names that have a number
   * @param counts how many of them each pool has
   * @param own names that are to have one in any case
   * @param scopes of pools that are in a group, where each of their names has another number
   */
  constructor(
    known: ReadonlyMap<string, number>,
    counts: Map<string, number>,
    own: readonly string[],
    scopes: ReadonlyMap<string, string>,
  ) {
    this.known = known;
    this.counts = counts;
    this.scopes = scopes;
    this.taken = new Set(own.filter((key) => !known.has(key)));
    this.left = backendIdsMax - known.size - this.taken.size;
  }

  /** @returns why the names of a pool cannot all be used, a sentence without its subject; undefined: they can, and are reckoned with */
  take(pool: string, names: readonly string[]): string | undefined {
    const fresh = this.fresh(pool, names);
    const scope = this.scopes.get(pool);
    const ofScope = scope === undefined ? [] : this.fresh(scope, names);
    if (fresh.length + ofScope.length === 0) return undefined;
    const had = this.counts.get(pool) ?? 0;
    const left = scope === undefined ? this.left : Math.floor(this.left / 2);
    const most = Math.min(left, foundNamesPerPoolMax - had);
    if (fresh.length > most || fresh.length + ofScope.length > this.left)
      return `have ${fresh.length} new names, and this process has room for ${Math.max(0, most)} more of this pool; restart it to use new names`;
    for (const key of [...fresh, ...ofScope]) this.taken.add(key);
    this.left -= fresh.length + ofScope.length;
    this.counts.set(pool, had + fresh.length);
    return undefined;
  }

  /** Those without a number under this name, each once. */
  private fresh(pool: string, names: readonly string[]): string[] {
    const keys = new Set(names.map((name) => backendKey(pool, name)));
    return [...keys].filter((key) => !this.known.has(key) && !this.taken.has(key));
  }
}

/** Thrown when more names have been seen than there are rows; a restart starts counting anew. */
export class TooManyNames extends Error {}

function backendKey(pool: string, backend: string): string {
  return `${pool}\n${backend}`;
}

function listenerKeys(plan: Pick<ListenerPlan, 'name' | 'protocol' | 'bind' | 'binds' | 'relay'>): string[] {
  // Who carries it must let go of its address before another one has it.
  const by = plan.relay === 'kernel' ? ' kernel' : '';
  return bindsOf(plan).map((bind) => `${plan.name}\n${plan.protocol} ${bindKey(bind)}${by}`);
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
