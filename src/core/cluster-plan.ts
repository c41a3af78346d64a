/**
 * The cluster part of the plan: which Redis, under which name, and the limits of what is shared through it. Plain
 * frozen data like the rest of the plan. Instances of one cluster must agree on `name` and `shards`; everything
 * else may differ. Durations are milliseconds.
 */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

export type RedisForm =
  | { readonly kind: 'single'; readonly node: HostPort }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'sentinel'; readonly nodes: readonly HostPort[]; readonly master: string }
  | { readonly kind: 'cluster'; readonly nodes: readonly HostPort[] };

export interface RedisTlsPlan {
  /** PEM files. Undefined: the certificate authorities Node trusts; no client certificate. */
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
  /** The name the certificate must carry; undefined: the host of the URL. */
  readonly serverName: string | undefined;
}

export interface RedisPlan {
  readonly form: RedisForm;
  readonly username: string | undefined;
  readonly password: string | undefined;
  /** Read at every connect, so a changed password needs no restart. `credential:NAME`: a systemd credential. */
  readonly passwordFile: string | undefined;
  /** For the Sentinels themselves, which have users of their own. */
  readonly sentinelUsername: string | undefined;
  readonly sentinelPasswordFile: string | undefined;
  readonly database: number;
  readonly tls: RedisTlsPlan | undefined;
  readonly connectTimeoutMs: number;
  readonly commandTimeoutMs: number;
}

export interface ClusterPlan {
  readonly name: string;
  readonly instance: string;
  readonly redis: RedisPlan;
  /** Parts the pins are divided into: one stream each, and in a Redis Cluster one hash slot each. */
  readonly shards: number;
  /** An instance that was not heard of for this long is gone: its counts, rows and right to write lapse. */
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** How often changes are collected from the pin table. */
  readonly flushMs: number;
  /** Pins in one step: one round trip, one run of a script, one stream entry. */
  readonly batchPins: number;
  /** Changes kept while Redis is away, over all shards; beyond it the oldest go and a sweep makes up for them. */
  readonly journalPinsMax: number;
  /** Changes the streams hold, over all shards: how far a follower may fall behind without reading everything. */
  readonly streamPinsMax: number;
  /** Flows that may wait for `affinity.claim: before-dial` at once. */
  readonly claimsWaitingMax: number;
  /** Rows of the connection table one instance publishes. */
  readonly flowRowsMax: number;
  /** Every pin is compared with Redis once in this time, for what no event told of (evicted keys). */
  readonly sweepMs: number;
}

export const redisDefaults = {
  username: undefined,
  password: undefined,
  passwordFile: undefined,
  sentinelUsername: undefined,
  sentinelPasswordFile: undefined,
  database: 0,
  tls: undefined,
  connectTimeoutMs: 2_000,
  commandTimeoutMs: 1_000,
} as const satisfies Omit<RedisPlan, 'form'>;

export const clusterDefaults = {
  shards: 16,
  leaseMs: 5_000,
  heartbeatMs: 1_000,
  flushMs: 10,
  batchPins: 128,
  journalPinsMax: 200_000,
  streamPinsMax: 262_144,
  claimsWaitingMax: 10_000,
  flowRowsMax: 10_000,
  sweepMs: 600_000,
} as const satisfies Omit<ClusterPlan, 'name' | 'instance' | 'redis'>;

/**
 * A plan with the defaults filled in, frozen.
 * @throws RangeError when limits contradict each other
 */
export function clusterPlan(
  given: Pick<ClusterPlan, 'name' | 'instance' | 'redis'> & Partial<ClusterPlan>,
): ClusterPlan {
  const plan: ClusterPlan = Object.freeze({ ...clusterDefaults, ...given });
  if (!Number.isInteger(plan.shards) || plan.shards < 1 || plan.shards > 256) {
    throw new RangeError(`cluster: shards must be 1 to 256, not ${plan.shards}`);
  }
  if (plan.leaseMs < plan.heartbeatMs * 3) {
    throw new RangeError('cluster: the lease must last three heartbeats, or one lost packet ends it');
  }
  return plan;
}
