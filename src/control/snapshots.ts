/**
 * Makes snapshots of plans: names become numbers, backends get their addresses, and a pool gets another version when
 * something of it has changed, so that the workers keep what they have built for the others.
 */
import { type FlowLog, flowLogOf } from '../core/flow-log.ts';
import { hasPrefaces, identifies } from '../core/identity.ts';
import { backendsPerPoolMax } from '../core/limits.ts';
import { groupBackends, groupScopes } from '../core/pin-scopes.ts';
import type { ListenerPlan, Plan, PoolPlan } from '../core/plan.ts';
import { poolsOf } from '../core/routes.ts';
import { shareFlows } from '../core/shares.ts';
import type { BackendView, ListenerView, PoolView, Snapshot } from '../core/snapshot.ts';
import type { AccessLists } from './access-lists.ts';
import type { Backends } from './backends.ts';
import type { Ids } from './ids.ts';

export class Snapshots {
  private readonly ids: Ids;
  private readonly backends: Backends;
  private readonly access: Pick<AccessLists, 'view'>;
  private readonly started: Pick<Plan, 'log' | 'admin'>;
  private readonly poolVersions = new Map<number, { version: number; text: string }>();
  private generation = 0;

  /** @param started the plan the process was started with: the file of finished flows, and the admin address, wait for a restart */
  constructor(
    ids: Ids,
    backends: Backends,
    access: Pick<AccessLists, 'view'>,
    started: Pick<Plan, 'log' | 'admin'>,
  ) {
    this.ids = ids;
    this.backends = backends;
    this.access = access;
    this.started = started;
  }

  of(
    plan: Plan,
    more: Pick<
      Snapshot,
      | 'flowsMax'
      | 'secondLooksMax'
      | 'arrivalsMax'
      | 'isShared'
      | 'machineIps'
      | 'memberListeners'
      | 'memberIps'
    >,
  ): Snapshot {
    return {
      ...more,
      generation: ++this.generation,
      listeners: this.listeners(plan),
      pools: this.pools(plan),
      shares: shareFlows(plan.listeners.map(sharing), more.flowsMax, plan.limits.udpShare),
      flowLog: this.flowLog(plan),
    };
  }

  private flowLog(plan: Plan): FlowLog {
    const { log, admin } = this.started;
    const { access: _, ...live } = plan.log;
    return flowLogOf({ log: log.access === undefined ? live : { ...live, access: log.access }, admin });
  }

  listeners({ listeners }: Pick<Plan, 'listeners'>): ListenerView[] {
    return listeners.map((plan) => ({
      id: this.ids.listener(plan),
      plan,
      poolId: plan.pool === undefined ? 0 : this.ids.pool(plan.pool),
      ...(plan.routes === undefined ? {} : { poolIds: poolsOf(plan).map((pool) => this.ids.pool(pool)) }),
      ...(identifies(plan) ? { identifies: true } : {}),
      ...(plan.rebind === undefined ? {} : { rebinds: true }),
      ...(hasPrefaces(plan) ? { hasPrefaces: true } : {}),
      ...this.access.view(plan),
    }));
  }

  /**
   * A plan, and besides what another one adds: a worker binds only what its snapshot has, and what a listener that is new
   * leads to has to be there when it is bound. All else is as the plan says.
   */
  joined(plan: Plan, next: Plan): Plan {
    const open = new Set(this.listeners(plan).map(({ id }) => id));
    const pools = new Set(plan.pools.map(({ name }) => name));
    const fresh = this.listeners(next).filter(({ id }) => !open.has(id));
    return {
      ...plan,
      listeners: [...plan.listeners, ...fresh.map((view) => view.plan)],
      pools: [...plan.pools, ...next.pools.filter(({ name }) => !pools.has(name))],
    };
  }

  private pools(plan: Plan): PoolView[] {
    const scopes = groupScopes(plan);
    const backends = groupBackends(plan);
    return plan.pools.map((pool) => {
      const scope = scopes.get(pool.name);
      return this.poolView(pool, scope, scope === undefined ? undefined : backends.get(scope));
    });
  }

  /** @param all names of the backends of the pool's group */
  private poolView(pool: PoolPlan, scope?: string, all: Iterable<string> = []): PoolView {
    const id = this.ids.pool(pool.name);
    const { backends: _, ...plan } = pool;
    const own = this.backends.views(pool).slice(0, backendsPerPoolMax);
    const pinIds = new Map(
      scope === undefined ? [] : [...all].map((name) => [name, this.ids.backend(scope, name)]),
    );
    const backends = own.map((backend) => withPinId(backend, pinIds.get(backend.name)));
    for (const { name } of own) pinIds.delete(name);
    const elsewhere = [...pinIds.values()];
    const of = scope === undefined ? undefined : { id: this.ids.pool(scope), name: scope, elsewhere };
    const text = JSON.stringify([plan, backends, of]);
    const known = this.poolVersions.get(id);
    const version = known?.text === text ? known.version : (known?.version ?? 0) + 1;
    this.poolVersions.set(id, { version, text });
    return { id, version, plan, backends, ...(of === undefined ? {} : { scope: of }) };
  }
}

/** What the kernel carries takes no descriptor, so nothing is kept free for it. */
function sharing({ protocol, limits, relay }: ListenerPlan): Pick<ListenerPlan, 'protocol' | 'limits'> {
  return { protocol, limits: relay === 'kernel' ? { ...limits, reserve: 0 } : limits };
}

function withPinId(backend: BackendView, pinId: number | undefined): BackendView {
  return pinId === undefined ? backend : { ...backend, pinId };
}
