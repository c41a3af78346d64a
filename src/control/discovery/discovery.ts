/**
 * Backends that are found while pinion runs. Each pool with `discovery` has a source that looks for it; this is what is kept of
 * what they say, and when control is asked to take it into use.
 *
 *    source --list--> kept --a moment, at most once a second--> control: the way of a reload
 *          \--fault-> the list of before stays, and it is told once
 *
 * Sources are known by their pool and options: a reload that changes neither goes on with the list there is, and asks nobody.
 * One that is new begins with the list of the one before, until it knows better. A list is taken whole or not at all.
 *
 * Not promised: anything over a restart. A process that starts while nothing can be found has what the file lists.
 */
import { canonical } from '../../config/digest.ts';
import type { BackendPlan, Plan, PoolPlan } from '../../core/plan.ts';
import type { ControlWatcher } from '../events.ts';
import type { RoomForNames } from '../ids.ts';
import { StartFailure } from '../listeners.ts';
import { misfit, withFound } from './fit.ts';
import type { Means, Source, SourceKind } from './source.ts';
import { sourceOf } from './sources.ts';

/** What comes together is taken into use together. */
const gatherMs = 100;
const applyEveryMs = 1_000;
/** A fault that has become another one is told so often. */
const tellEveryMs = 60_000;

export interface DiscoveryStatus {
  readonly pool: string;
  readonly type: string;
  /** Where it looks. */
  readonly place: string;
  /** Backends found last. */
  readonly found: number;
  /** ISO 8601, when it found all it looked for; null: it never did. */
  readonly lastSuccessAt: string | null;
  /** Looks that failed. */
  readonly failures: number;
  /** What is wrong now; null: nothing. */
  readonly fault: string | null;
}

export interface DiscoveryOptions {
  readonly means: Means;
  readonly watch: ControlWatcher;
  /** A list is another one: {@link Discovery.applied} is to be taken into use. */
  readonly changed: () => void;
  /** Numbers that are left for names beside those that the file has. */
  readonly room: (plan: Pick<Plan, 'listeners' | 'pools'>) => Pick<RoomForNames, 'take'>;
  /** Default: the sources there are. */
  readonly kindOf?: (type: string) => SourceKind | undefined;
}

/** The lists a plan was filled with, by pool. */
type Lists = ReadonlyMap<string, readonly BackendPlan[]>;

export interface Applied {
  readonly plan: Plan;
  readonly lists: Lists;
}

interface Finding {
  readonly pool: string;
  readonly type: string;
  readonly place: string;
  source: Source | undefined;
  /** Undefined: nothing was found so far. */
  list: readonly BackendPlan[] | undefined;
  lastSuccessAtMs: number | undefined;
  failures: number;
  fault: string | undefined;
  /** Why the list was not taken into use. */
  unfit: string | undefined;
  /** The fault that was told last; undefined: that all is well. */
  told: string | undefined;
  toldAtMs: number;
  /** Called with the first word. */
  spoken: (() => void)[];
  hasSpoken: boolean;
}

export class Discovery {
  private readonly options: DiscoveryOptions;
  private readonly findings = new Map<string, Finding>();
  /** What is in use, by pool. */
  private inUse: Lists = new Map();
  private timer: NodeJS.Timeout | undefined;
  private appliedAtMs = Number.NEGATIVE_INFINITY;
  private isStopped = false;

  constructor(options: DiscoveryOptions) {
    this.options = options;
  }

  /** Begins to look for pools that are looked for by nobody; resolves when these have been heard, or after `withinMs`. */
  async prepare(pools: readonly PoolPlan[], withinMs: number): Promise<void> {
    const first = pools.flatMap((pool) => {
      const key = keyOf(pool);
      if (key === undefined || this.findings.has(key) || this.isStopped) return [];
      const finding = this.begin(pool);
      this.findings.set(key, finding);
      return [new Promise<void>((resolve) => finding.spoken.push(resolve))];
    });
    if (first.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, withinMs);
    });
    await Promise.race([Promise.all(first), late]);
    clearTimeout(timer);
  }

  /**
   * A plan with what was found: the newest list that fits, else the one in use.
   * @throws StartFailure when that does not fit either, as the pool is another one
   */
  applied(plan: Plan): Applied {
    const lists = new Map<string, readonly BackendPlan[]>();
    const room = this.options.room(plan);
    const pools = plan.pools.map((pool) => {
      const list = this.listFor(pool, plan, room);
      if (list === undefined) return pool;
      lists.set(pool.name, list);
      return withFound(pool, list);
    });
    return { plan: lists.size === 0 ? plan : { ...plan, pools }, lists };
  }

  /**
   * A plan is in use: who looks for a pool it does not have stops.
   * @param lists what it was filled with; default: as before
   */
  settle(base: Plan, lists: Lists = this.inUse): void {
    const wanted = new Set(base.pools.map(keyOf));
    for (const [key, finding] of this.findings) {
      if (wanted.has(key)) continue;
      finding.source?.stop();
      this.findings.delete(key);
    }
    this.inUse = lists;
    this.appliedAtMs = performance.now();
    for (const finding of this.findings.values()) {
      if (finding.unfit === undefined || finding.list !== lists.get(finding.pool)) continue;
      finding.unfit = undefined;
      this.succeed(finding);
    }
  }

  /** What was found cannot be taken into use. */
  refused(why: string): void {
    for (const finding of this.findings.values()) {
      if (finding.list === undefined || finding.list === this.inUse.get(finding.pool)) continue;
      finding.unfit = why;
      this.fail(finding, why);
    }
  }

  status(): DiscoveryStatus[] {
    return [...this.findings.values()].map(
      ({ pool, type, place, list, lastSuccessAtMs, failures, fault }) => ({
        pool,
        type,
        place,
        found: list?.length ?? 0,
        lastSuccessAt: lastSuccessAtMs === undefined ? null : new Date(lastSuccessAtMs).toISOString(),
        failures,
        fault: fault ?? null,
      }),
    );
  }

  stop(): void {
    this.isStopped = true;
    clearTimeout(this.timer);
    for (const { source, spoken } of this.findings.values()) {
      source?.stop();
      for (const resolve of spoken) resolve();
    }
  }

  private begin(pool: PoolPlan): Finding {
    const { type, options } = pool.discovery!;
    const kind = (this.options.kindOf ?? sourceOf)(type);
    if (kind === undefined) throw new Error(`there is no discovery of type ${type}`);
    const finding: Finding = {
      pool: pool.name,
      type,
      place: kind.place(options),
      source: undefined,
      list: undefined,
      lastSuccessAtMs: undefined,
      failures: 0,
      fault: undefined,
      unfit: undefined,
      told: undefined,
      toldAtMs: Number.NEGATIVE_INFINITY,
      spoken: [],
      hasSpoken: false,
    };
    const { means } = this.options;
    const tell = (list: readonly BackendPlan[] | undefined, fault?: string): void =>
      this.hear(finding, list, fault);
    finding.source = kind.start({ options, means, tell });
    return finding;
  }

  private hear(finding: Finding, list: readonly BackendPlan[] | undefined, fault: string | undefined): void {
    if (this.isStopped) return;
    if (list !== undefined && canonical(list) !== canonical(finding.list ?? null)) {
      finding.list = list;
      this.changedSoon();
    }
    const wrong = fault ?? finding.unfit;
    if (wrong === undefined) this.succeed(finding);
    else this.fail(finding, wrong);
    finding.hasSpoken = true;
    for (const resolve of finding.spoken.splice(0)) resolve();
  }

  private succeed(finding: Finding): void {
    finding.lastSuccessAtMs = Date.now();
    finding.fault = undefined;
    if (finding.told === undefined) return;
    finding.told = undefined;
    this.options.watch({
      event: 'discovery-restored',
      pool: finding.pool,
      place: finding.place,
      backends: finding.list?.length ?? 0,
    });
  }

  private fail(finding: Finding, fault: string): void {
    const { pool, place, told, list, unfit } = finding;
    finding.failures++;
    finding.fault = fault;
    const nowMs = performance.now();
    if (fault === told || (told !== undefined && nowMs - finding.toldAtMs < tellEveryMs)) return;
    finding.told = fault;
    finding.toldAtMs = nowMs;
    const kept = ((unfit === undefined ? list : undefined) ?? this.inUse.get(pool))?.length ?? 0;
    this.options.watch({ event: 'discovery-failed', pool, place, message: fault, kept });
  }

  private changedSoon(): void {
    if (this.timer !== undefined) return;
    const waitMs = Math.max(gatherMs, this.appliedAtMs + applyEveryMs - performance.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.options.changed();
    }, waitMs);
  }

  /** Undefined: the pool has no discovery. */
  private listFor(
    pool: PoolPlan,
    { listeners }: Plan,
    room: Pick<RoomForNames, 'take'>,
  ): readonly BackendPlan[] | undefined {
    const key = keyOf(pool);
    if (key === undefined) return undefined;
    const finding = this.findings.get(key);
    const before = this.inUse.get(pool.name) ?? [];
    const list = finding?.list ?? before;
    const namesOf = (found: readonly BackendPlan[]): string[] => found.map(({ name }) => name);
    const wrong = misfit(withFound(pool, list), listeners) ?? room.take(pool.name, namesOf(list));
    if (wrong === undefined) return list;
    const sentence = `the backends that are found ${wrong}`;
    if (finding !== undefined && finding.unfit !== sentence) {
      finding.unfit = sentence;
      this.fail(finding, sentence);
    }
    const wrongBefore = list === before ? wrong : misfit(withFound(pool, before), listeners);
    if (wrongBefore === undefined) return before;
    throw new StartFailure(`pools.${pool.name}.discovery: the backends that are found ${wrongBefore}`);
  }
}

/** A source by its pool and options; undefined: the pool has none. */
function keyOf({ name, discovery }: PoolPlan): string | undefined {
  return discovery === undefined ? undefined : canonical([name, discovery]);
}
