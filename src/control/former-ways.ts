/**
 * Ways to backends that are used no more, and on which TCP flows are still open: a former address, or a former source, mark or
 * device. `on_address_change` says what becomes of those flows. As long as there are any the address is checked: when the
 * server there dies they are treated by `on_down`, like those of any backend that goes down.
 *
 *    left --> watched --> empty (nobody is on it), or used again
 *               |  ^
 *               v  |   on_down
 *              down
 *
 * Workers count the flows now and then, seldom when they stay long.
 */
import type { Check, Checks } from '../checks/client.ts';
import type { CheckVerdict } from '../checks/messages-from-checks.ts';
import { formatAddress } from '../core/address-text.ts';
import type { DownReason } from '../core/down-reason.ts';
import { formerWaysMax } from '../core/limits.ts';
import type { OpenFlowsPlan, PoolPlan } from '../core/plan.ts';
import { onDownFor } from '../core/verdict.ts';
import { isSameWay, type Way } from '../core/way.ts';
import type { WayCount } from '../worker/messages-from-worker.ts';
import type { ControlWatcher } from './events.ts';

const countMsMin = 1_000;
const countMsMax = 30_000;

export interface FormerWaysOptions {
  readonly watch: ControlWatcher;
  readonly checks: Pick<Checks, 'check'>;
  readonly nowMs: () => number;
  readonly endFlows: (backendId: number, code: 'backend-down' | 'address-changed', way: Way) => void;
  /** Those that are still to be ended over a time (`close_over`) for one of these codes are left alone. */
  readonly keepFlows: (
    backendId: number,
    way: Way,
    codes: readonly ('backend-down' | 'address-changed')[],
  ) => void;
  /** TCP flows that are on another way than their backend's present one. Undefined: not every worker has answered. */
  readonly countFlows: () => Promise<readonly WayCount[] | undefined>;
  /** All that are open to the backend. */
  readonly flowsOf: (backendId: number) => number;
}

/** A backend as it was when its way changed. */
export interface Leaving {
  readonly id: number;
  readonly name: string;
  /** Why its check says that it is down; undefined: it does not. */
  readonly down: DownReason | undefined;
  readonly downSinceMs: number;
}

interface Former {
  readonly backendId: number;
  readonly name: string;
  readonly way: Way;
  readonly leftAtMs: number;
  pool: PoolPlan;
  /** The sources of its checks: those of the way and not of the pool as it is now. */
  readonly sources: readonly string[];
  down: DownReason | undefined;
  downSinceMs: number;
  check: Check | undefined;
  leaveTimer: NodeJS.Timeout | undefined;
  downTimer: NodeJS.Timeout | undefined;
  /** What its flows have been treated by. */
  onAddressChange: OpenFlowsPlan | undefined;
  onDown: OpenFlowsPlan | undefined;
  flows: number;
}

export interface FormerStatus {
  readonly address: string;
  readonly up: boolean;
  /** As counted last. */
  readonly flows: number;
}

export class FormerWays {
  private readonly options: FormerWaysOptions;
  private formers: Former[] = [];
  private timer: NodeJS.Timeout | undefined;
  private countMs = countMsMin;

  constructor(options: FormerWaysOptions) {
    this.options = options;
  }

  /** The backend is reached by another way from the next snapshot on; its flows are treated once {@link settle} is called. */
  left(backend: Leaving, pool: PoolPlan, way: Way): void {
    const { id: backendId, name, down, downSinceMs } = backend;
    const others = this.of(backendId);
    if (others.length >= formerWaysMax) this.forget(others[0]!);
    const former: Former = {
      backendId,
      name,
      way,
      leftAtMs: this.options.nowMs(),
      pool,
      sources: way.upstream?.sources ?? [],
      down,
      downSinceMs,
      check: undefined,
      leaveTimer: undefined,
      downTimer: undefined,
      onAddressChange: undefined,
      onDown: undefined,
      flows: this.options.flowsOf(backendId),
    };
    this.formers.push(former);
  }

  /** A former way is the backend's present one again: who is on it is where newcomers go. */
  returned(backendId: number, way: Way): void {
    for (const former of this.of(backendId)) {
      if (!isSameWay(former.way, way)) continue;
      this.forget(former);
      this.options.keepFlows(backendId, way, ['backend-down', 'address-changed']);
    }
  }

  /** The workers know the ways of these pools: what is open on others is treated as the pools say now. */
  settle(pools: readonly PoolPlan[]): void {
    const byName = new Map(pools.map((pool) => [pool.name, pool]));
    for (const former of this.formers) {
      const before = former.pool;
      former.pool = byName.get(before.name) ?? before;
      const isFresh = former.onAddressChange === undefined;
      if (isFresh || !isEqual(before.health, former.pool.health)) this.watch(former);
      if (!isEqual(former.onAddressChange, former.pool.onAddressChange)) this.treatLeft(former);
      if (former.down !== undefined && !isEqual(former.onDown, onDownFor(former.pool, former.down)))
        this.treatDown(former);
      if (isFresh && former.flows > 0) this.tell(former);
    }
    if (this.formers.length === 0) return;
    this.countMs = countMsMin;
    this.countLater();
  }

  /** The backend is removed, and so are its flows. */
  drop(backendId: number): void {
    for (const former of this.of(backendId)) this.forget(former);
  }

  status(backendId: number): FormerStatus[] {
    return this.of(backendId).map(({ way, down, flows }) => ({
      address: wayText(way),
      up: down === undefined,
      flows,
    }));
  }

  stop(): void {
    clearTimeout(this.timer);
    for (const former of [...this.formers]) this.forget(former);
  }

  private of(backendId: number): Former[] {
    return this.formers.filter((former) => former.backendId === backendId);
  }

  private forget(former: Former): void {
    former.check?.stop();
    clearTimeout(former.leaveTimer);
    clearTimeout(former.downTimer);
    this.formers = this.formers.filter((one) => one !== former);
  }

  private tell({ pool, name, way, flows }: Former): void {
    const { action, graceMs } = pool.onAddressChange;
    this.options.watch({
      event: 'address-left',
      pool: pool.name,
      backend: name,
      address: wayText(way),
      flows,
      action,
      graceMs,
    });
  }

  private watch(former: Former): void {
    const { check, pool, way, sources } = former;
    check?.stop();
    former.check = undefined;
    if (pool.health.type === 'none' || way.target === undefined) return;
    const health = sources.length === 0 ? withoutSources(pool.health) : { ...pool.health, sources };
    const delayMs = Math.random() * health.intervalMs;
    const wasUp = former.down === undefined;
    former.check = this.options.checks.check(health, way.target, wasUp, delayMs, (verdict) =>
      this.checkSaid(former, verdict),
    );
  }

  private checkSaid(former: Former, verdict: CheckVerdict): void {
    const { pool, name, way, flows, down: before } = former;
    former.down = verdict.isUp ? undefined : verdict.reason;
    if (former.down === before) return;
    if (before !== undefined && former.down !== undefined) {
      // For another reason its flows may have another fate.
      if (!isEqual(former.onDown, onDownFor(pool, former.down))) this.treatDown(former);
      return;
    }
    this.options.watch({
      event: verdict.isUp ? 'address-up' : 'address-down',
      pool: pool.name,
      backend: name,
      address: wayText(way),
      flows,
      why: verdict.isUp ? 'check passed' : verdict.why,
    });
    former.downSinceMs = this.options.nowMs();
    if (verdict.isUp) {
      clearTimeout(former.downTimer);
      former.onDown = undefined;
      this.keepThose(former, 'backend-down');
    } else this.treatDown(former);
  }

  private treatLeft(former: Former): void {
    if (former.onAddressChange !== undefined) this.keepThose(former, 'address-changed');
    former.onAddressChange = former.pool.onAddressChange;
    clearTimeout(former.leaveTimer);
    former.leaveTimer = this.treat(former, former.onAddressChange, former.leftAtMs, 'address-changed');
  }

  private treatDown(former: Former): void {
    // For another reason or by another plan they may have another fate.
    if (former.onDown !== undefined) this.keepThose(former, 'backend-down');
    former.onDown = onDownFor(former.pool, former.down);
    clearTimeout(former.downTimer);
    former.downTimer = this.treat(former, former.onDown, former.downSinceMs, 'backend-down');
  }

  private keepThose({ backendId, way }: Former, code: 'backend-down' | 'address-changed'): void {
    this.options.keepFlows(backendId, way, [code]);
  }

  private treat(
    { backendId, way }: Former,
    { action, graceMs }: OpenFlowsPlan,
    sinceMs: number,
    code: 'backend-down' | 'address-changed',
  ): NodeJS.Timeout | undefined {
    if (action === 'keep') return undefined;
    const end = (): void => {
      this.options.endFlows(backendId, code, way);
      this.countMs = countMsMin;
      this.countLater();
    };
    const leftMs = sinceMs + graceMs - this.options.nowMs();
    if (leftMs > 0) return setTimeout(end, leftMs);
    end();
    return undefined;
  }

  private countLater(): void {
    clearTimeout(this.timer);
    if (this.formers.length === 0) return;
    this.timer = setTimeout(() => void this.count(), this.countMs);
    this.countMs = Math.min(countMsMax, this.countMs * 2);
  }

  private async count(): Promise<void> {
    const asked = this.formers;
    const counts = await this.options.countFlows();
    // Who left meanwhile was not asked for.
    for (const former of counts === undefined ? [] : asked) {
      const same = counts!.filter(
        ({ backendId, way }) => backendId === former.backendId && isSameWay(way, former.way),
      );
      former.flows = same.reduce((sum, { flows }) => sum + flows, 0);
      if (former.flows === 0) this.forget(former);
    }
    this.countLater();
  }
}

function withoutSources(health: PoolPlan['health']): PoolPlan['health'] {
  const { sources: _, ...rest } = health;
  return rest;
}

function isEqual(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function wayText({ target }: Way): string {
  return target === undefined ? '' : formatAddress(target);
}
