/**
 * What control lends to the cluster: names for numbers, its own flows and counts, and the pin table. With no
 * `cluster` in the plan there is nothing to share with, and the pins can be looked at and changed by hand all
 * the same.
 */
import { hostname } from 'node:os';
import type { RedisPlan } from '../core/cluster-plan.ts';
import type { Plan } from '../core/plan.ts';
import type { FlowRecord } from '../worker/messages-from-worker.ts';
import type { SharedViews } from '../worker/shared.ts';
import type { Backends } from './backends.ts';
import { type Cluster, createCluster } from './cluster/cluster.ts';
import type { ClusterFlow } from './cluster/flow-table.ts';
import { PinsByHand } from './cluster/hand.ts';
import type { FlowCount } from './cluster/members.ts';
import { type ClusterNames, PinNames } from './cluster/names.ts';
import type { ControlWatcher } from './events.ts';
import type { Ids } from './ids.ts';
import { StartFailure } from './listeners.ts';

export interface SharingOptions {
  readonly version: string;
  readonly plan: () => Plan;
  /** What the workers know: more than the plan while a reload binds. */
  readonly published: () => Pick<Plan, 'pools'>;
  readonly startedAt: Date;
  readonly views: SharedViews;
  readonly ids: Ids;
  readonly backends: Backends;
  readonly listFlows: (most: number) => Promise<readonly FlowRecord[]>;
  readonly watch: ControlWatcher;
  readonly nowMs: () => number;
}

export interface Sharing {
  readonly cluster: Cluster | undefined;
  readonly hand: PinsByHand;
}

/** @throws StartFailure when a file the cluster section names cannot be read */
export function createSharing(options: SharingOptions): Sharing {
  const names = namesOf(options);
  const { pins, states } = options.views;
  const plan = options.plan().cluster;
  if (plan === undefined) {
    const hand = new PinsByHand({
      pins,
      names: new PinNames(names, pins, 1),
      instance: hostname(),
      nowMs: options.nowMs,
      share: () => false,
    });
    return { cluster: undefined, hand };
  }
  try {
    const cluster = createCluster({
      plan,
      identity: {
        host: hostname(),
        version: options.version,
        digest: () => options.plan().digest,
        startedAt: options.startedAt,
        listeners: () => options.plan().listeners.map(({ name }) => name),
      },
      names,
      pins,
      states,
      countFlows: () => countFlows(options),
      listFlows: async (most) => (await options.listFlows(most)).flatMap(clusterFlow),
      watch: options.watch,
      nowMs: options.nowMs,
    });
    return { cluster, hand: cluster.hand };
  } catch (error) {
    throw new StartFailure(unusable(plan.redis, error as NodeJS.ErrnoException));
  }
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

/** Only what the workers know has a number to others: a pin to a backend that is gone means nothing here. */
function namesOf({ ids, published }: Pick<SharingOptions, 'ids' | 'published'>): ClusterNames {
  let namedBy: Pick<Plan, 'pools'> | undefined;
  let known = new Map<string, ReadonlySet<string>>();
  const pools = (): typeof known => {
    const current = published();
    if (current !== namedBy) known = backendNames(current);
    namedBy = current;
    return known;
  };
  return {
    poolName: (poolId) => ids.poolName(poolId),
    backendName: (backendId) => ids.backendName(backendId)?.backend,
    poolId: (pool) => (pools().has(pool) ? ids.knownPool(pool) : 0),
    knownPoolId: (pool) => ids.knownPool(pool),
    backendId: (pool, backend) =>
      pools().get(pool)?.has(backend) === true ? ids.knownBackend(pool, backend) : 0,
  };
}

function backendNames({ pools }: Pick<Plan, 'pools'>): Map<string, ReadonlySet<string>> {
  return new Map(pools.map(({ name, backends }) => [name, new Set(backends.map((one) => one.name))]));
}

/** True if a plan has a backend that the one before had not: Redis may hold pins to it. */
export function addsBackends(before: Pick<Plan, 'pools'>, after: Pick<Plan, 'pools'>): boolean {
  const known = backendNames(before);
  return after.pools.some(({ name, backends }) =>
    backends.some((backend) => known.get(name)?.has(backend.name) !== true),
  );
}

function countFlows({ backends, views }: SharingOptions): FlowCount[] {
  return backends.status().flatMap(({ pool, backend, id }): FlowCount[] => {
    const flows = views.counters.backend(id, 'active');
    return flows > 0 ? [[pool, backend, flows]] : [];
  });
}

function clusterFlow(flow: FlowRecord): ClusterFlow[] {
  if (flow.backend === undefined) return [];
  const { client, listener, pool, backend, bytesIn, bytesOut } = flow;
  const id = `${flow.worker}-${flow.flowId}`;
  return [{ id, client, listener, pool, backend, ageMs: flow.durationMs, bytesIn, bytesOut }];
}
