/**
 * What control lends to the rooms that share or show pins: names for numbers, its own flows, and what it says of itself.
 */
import { hostname } from 'node:os';
import { ClusterClient, type ClusterClientOptions } from '../cluster/client.ts';
import type { SummedListener } from '../cluster/client-sums.ts';
import type { ClusterFlow } from '../cluster/flow-table.ts';
import type { MemberNetwork } from '../cluster/member-listeners.ts';
import { checkRedisFiles } from '../cluster/redis/secrets.ts';
import type { RedisPlan } from '../core/cluster-plan.ts';
import type { OperatorRow } from '../core/operator-word.ts';
import { groupBackends } from '../core/pin-scopes.ts';
import type { Plan } from '../core/plan.ts';
import type { NamesTable } from '../pins/names-table.ts';
import type { RoomEvents } from '../rooms/client.ts';
import type { SharedMemory, SharedViews } from '../rooms/shared.ts';
import type { FlowRecord } from '../worker/messages-from-worker.ts';
import type { ControlWatcher } from './events.ts';
import type { Ids } from './ids.ts';
import { StartFailure } from './listeners.ts';

export interface SharingOptions extends RoomEvents {
  readonly version: string;
  readonly plan: () => Plan;
  /** What the workers know: more than the plan while a reload binds. */
  readonly published: () => Pick<Plan, 'listeners' | 'pools'>;
  readonly startedAt: Date;
  readonly shared: SharedMemory;
  readonly views: SharedViews;
  readonly ids: Ids;
  readonly listFlows: (most: number) => Promise<readonly FlowRecord[]>;
  readonly watch: ControlWatcher;
  readonly network: () => MemberNetwork;
  readonly membersMoved: () => void;
  readonly operatorWords: (rows: readonly OperatorRow[]) => void;
  readonly killHeard: ClusterClientOptions['killHeard'];
}

/**
 * The cluster room of a plan that has a cluster; it is not started yet.
 * @throws StartFailure when a file the cluster section names cannot be read
 */
export function createClusterClient(options: SharingOptions): ClusterClient | undefined {
  const { shared, version, startedAt, watch, membersMoved, operatorWords, killHeard } = options;
  const { died, restarted, file } = options;
  const plan = options.plan().cluster;
  if (plan === undefined) return undefined;
  try {
    checkRedisFiles(plan.redis);
  } catch (error) {
    throw new StartFailure(unusable(plan.redis, error as NodeJS.ErrnoException));
  }
  return new ClusterClient({
    plan,
    shared,
    states: options.views.states,
    host: hostname(),
    version,
    startedAt,
    news: () => ({
      digest: options.plan().digest,
      listeners: options.plan().listeners.map(({ name }) => name),
      network: options.network(),
      names: namesTable(options.ids, options.published()),
      summed: summedListeners(options.ids, options.published()),
    }),
    listFlows: async (most) => (await options.listFlows(most)).flatMap(clusterFlow),
    watch,
    membersMoved,
    operatorWords,
    killHeard,
    died,
    restarted,
    file,
  });
}

/** Those whose limits are summed over the cluster. */
function summedListeners(ids: Ids, { listeners }: Pick<Plan, 'listeners'>): SummedListener[] {
  return listeners.flatMap((plan): SummedListener[] => {
    const { scope, flowsPerClient, perSubnet } = plan.limits;
    if (scope !== 'cluster') return [];
    const id = ids.listener(plan);
    return [{ id, name: plan.name, flowsPerClient, flowsPerSubnet: perSubnet?.flows ?? 0 }];
  });
}

const fileMistakes: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'may not be read by this user',
};

/** What cannot be used, by the key that names it: reading a file says only its path. */
function unusable(redis: RedisPlan, { code = '', path, message }: NodeJS.ErrnoException): string {
  const files = {
    password_file: redis.passwordFile,
    sentinel_password_file: redis.sentinelPasswordFile,
    'tls.ca_file': redis.tls?.caFile,
    'tls.cert_file': redis.tls?.certFile,
    'tls.key_file': redis.tls?.keyFile,
  };
  // A `credential:NAME` is the file NAME in systemd's folder.
  const key = Object.entries(files).find(
    ([, file]) => file !== undefined && path?.endsWith(file.replace(/^credential:/, '/')),
  )?.[0];
  if (key === undefined) return `cluster: ${message}`;
  return `cluster.redis.${key}: ${path}: ${fileMistakes[code] ?? message}`;
}

/** Only what the workers know is in use: a pin to a backend that is gone means nothing here. */
export function namesTable(ids: Ids, published: Pick<Plan, 'listeners' | 'pools'>): NamesTable {
  const inUse = backendNames(published);
  return {
    pools: ids.knownPools().map(({ id, pool }) => ({ id, pool, isInUse: inUse.has(pool) })),
    backends: ids.knownBackends().map(({ id, pool, backend }) => ({
      id,
      pool,
      backend,
      isInUse: inUse.get(pool)?.has(backend) === true,
    })),
  };
}

/** Of each pool, and of each group under the name of its scope. */
function backendNames(plan: Pick<Plan, 'listeners' | 'pools'>): Map<string, ReadonlySet<string>> {
  const ofPools = plan.pools.map(
    ({ name, backends }) => [name, new Set(backends.map((one) => one.name))] as const,
  );
  return new Map([...ofPools, ...groupBackends(plan)]);
}

/** True if a plan has a backend that the one before had not: Redis may hold pins to it. */
export function addsBackends(
  before: Pick<Plan, 'listeners' | 'pools'>,
  after: Pick<Plan, 'listeners' | 'pools'>,
): boolean {
  const known = backendNames(before);
  return [...backendNames(after)].some(([pool, backends]) =>
    [...backends].some((backend) => known.get(pool)?.has(backend) !== true),
  );
}

function clusterFlow(flow: FlowRecord): ClusterFlow[] {
  if (flow.backend === undefined) return [];
  const { client, listener, pool, backend, bytesIn, bytesOut } = flow;
  const id = `${flow.worker}-${flow.flowId}`;
  return [{ id, client, listener, pool, backend, ageMs: flow.durationMs, bytesIn, bytesOut }];
}
