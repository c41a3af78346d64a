/** The one page that shows everything (`/v1/status`), and its parts: pools with their backends, listeners, cluster, banners. */
import type { BackendStatus } from '../../control/backend-status.ts';
import { pinIdOf } from '../../core/choose.ts';
import { expectedShares } from '../../core/expected-shares.ts';
import { isInPanic } from '../../core/panic.ts';
import { poolsOf } from '../../core/routes.ts';
import type { BackendView, PoolView, Snapshot } from '../../core/snapshot.ts';
import type { SharedViews } from '../../rooms/shared.ts';
import type { FrontState } from '../state.ts';
import { backendRow } from './backend-row.ts';
import { bannersOf } from './banners.ts';
import { filled, listenerRow } from './listener-row.ts';
import type { PinCounts } from './pin-counts.ts';
import type { RateWatch } from './rates.ts';
import type { BackendRow, ClusterRow, ListenerRow, PoolRow, StatusPage } from './shapes.ts';
import { standingNow } from './standing.ts';

export interface StatusSource {
  readonly views: SharedViews;
  readonly rates: RateWatch;
  readonly version: string;
}

/** Without what depends on who asks. */
export type CommonStatus = Omit<StatusPage, 'access'>;

export function statusPage(
  state: FrontState,
  source: StatusSource,
  pins: PinCounts | undefined,
  atMs: number,
): CommonStatus {
  const pools = poolRows(state, source, pins, atMs);
  const listeners = listenerRows(state, source);
  const { snapshot } = state.published;
  const { counters } = source.views;
  const stats = source.views.pins.stats();
  return {
    at: new Date(atMs).toISOString(),
    instance: {
      name: state.instance,
      version: source.version,
      node: process.versions.node,
      pid: process.pid,
      state: state.draining ? 'draining' : state.ready ? 'ready' : 'starting',
      startedAt: state.startedAt,
      uptimeMs: Math.max(0, atMs - Date.parse(state.startedAt)),
      config: state.source,
      digest: state.digest,
      engine: state.engine,
      engineWhy: state.engineWhy,
      workers: state.workers,
      workerRestarts: state.workerRestarts,
    },
    totals: {
      flows: counters.flows(),
      flowsMax: snapshot?.flowsMax ?? 0,
      pins: stats.live,
      pinsMax: stats.capacity,
      rates: source.rates.all((snapshot?.listeners ?? []).map(({ id }) => id)),
    },
    banners: bannersOf(state, pools, atMs),
    pendingRestart: [...state.pendingRestart],
    listeners,
    pools,
    cluster: clusterRow(state),
    rooms: state.rooms.map(({ lastDeath, ...room }) => ({ ...room, lastDeath: lastDeath ?? null })),
    discovery: state.discovery.map((one) => ({ ...one })),
    accessLists: state.accessLists.map((one) => ({ ...one })),
    files: state.files.unusable.map((one) => ({ ...one })),
  };
}

function listenerRows({ published }: FrontState, { views, rates }: StatusSource): ListenerRow[] {
  const { snapshot } = published;
  return (snapshot?.listeners ?? []).map((one) => listenerRow(one, views, rates, snapshot!.flowsMax));
}

function poolRows(
  { published: { snapshot }, backends }: Pick<FrontState, 'published' | 'backends'>,
  source: StatusSource,
  pins: PinCounts | undefined,
  atMs: number,
): PoolRow[] {
  if (snapshot === undefined) return [];
  const byId = new Map(backends.map((status) => [status.id, status]));
  const leading = leadingTo(snapshot);
  return snapshot.pools.map((pool) =>
    poolRow(pool, leading.get(pool.plan.name) ?? [], byId, source, pins, atMs),
  );
}

/** The listeners that lead to each pool. There may be a thousand of both: each is looked at once. */
function leadingTo({ listeners }: Snapshot): ReadonlyMap<string, readonly string[]> {
  const leading = new Map<string, string[]>();
  for (const { plan } of listeners) {
    for (const pool of poolsOf(plan)) {
      const names = leading.get(pool) ?? [];
      leading.set(pool, names);
      names.push(plan.name);
    }
  }
  return leading;
}

function poolRow(
  pool: PoolView,
  listeners: readonly string[],
  statuses: ReadonlyMap<number, BackendStatus>,
  source: StatusSource,
  pins: PinCounts | undefined,
  atMs: number,
): PoolRow {
  const { views, rates } = source;
  const { name, policy } = pool.plan;
  const ids = pool.backends.map(({ id }) => id);
  const expected = expectedShares(pool, (backend) => standingNow(backend, views.states));
  const poolOpenedInMinute = ids.reduce((sum, id) => sum + rates.openedInMinute(id), 0);
  const pinsOf = (backend: BackendView): number | null =>
    pins === undefined ? null : (pins.get(pool.scope?.id ?? pool.id)?.get(pinIdOf(backend)) ?? 0);
  const rows = pool.backends.flatMap((backend): BackendRow[] => {
    const status = statuses.get(backend.id);
    // Added this moment: control has published it before it was asked how it is.
    if (status === undefined) return [];
    const expectedShare = expected.get(backend.id) ?? 0;
    return [
      backendRow(status, { views, rates, atMs, pins: pinsOf(backend), poolOpenedInMinute, expectedShare }),
    ];
  });
  const taking = ids.filter((id) => views.states.servesNew(id)).length;
  return {
    pool: name,
    state: taking === 0 ? 'down' : taking < ids.length ? 'degraded' : 'up',
    policy,
    listeners: [...listeners],
    isInPanic: isInPanic(pool, views.states),
    flows: rows.reduce((sum, { flows }) => sum + flows, 0),
    pins: pins === undefined ? null : rows.reduce((sum, row) => sum + (row.pins ?? 0), 0),
    rates: rates.backend(...ids),
    backends: rows,
  };
}

function clusterRow({ cluster, digest }: FrontState): ClusterRow | null {
  if (cluster === undefined) return null;
  const { name, instance, state, caughtUp, differingDigests, peerFlows, lastFault } = cluster;
  return {
    name,
    instance,
    state,
    caughtUp,
    shards: { live: cluster.liveShards, all: cluster.shards },
    members: cluster.members.map((member) => ({
      instance: member.instance,
      host: member.host,
      version: member.version,
      digest: member.digest,
      hasOurDigest: member.digest === digest,
      startedAt: member.startedAt,
      listeners: [...member.listeners],
      flows: member.flows,
      pins: member.pins,
      left: member.left,
      isSelf: member.instance === instance,
    })),
    differingDigests,
    peerFlows,
    journal: { waiting: cluster.journal, dropped: cluster.journalDropped },
    faults: filled(Object.entries(cluster.faults)),
    lastFault: lastFault === undefined ? null : { code: lastFault.fault, message: lastFault.message },
  };
}
