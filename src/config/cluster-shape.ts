/**
 * The shape of `cluster`: the Redis through which instances of one name share their pins and counts.
 */
import { hostname } from 'node:os';
import {
  type ClusterPlan,
  clusterDefaults,
  clusterPlan,
  type RedisPlan,
  redisDefaults,
} from '../core/cluster-plan.ts';
import type { Reading } from '../core/options.ts';
import { duration, name, readBy, section, whole } from './fields.ts';
import { showValue } from './problem.ts';
import { parseRedisUrl } from './redis-url.ts';
import { mayBeAddress } from './secret.ts';
import * as z from './zod.ts';

const urlForms =
  'redis://host:6379, rediss://, unix:/path, redis+sentinel://host,host/master or redis+cluster://host,host';

/** Reads the address of a Redis; a refusal does not repeat it. */
export function readRedisUrl(value: unknown): Reading<RedisPlan> {
  if (typeof value !== 'string')
    return { refused: `must be an address like redis://127.0.0.1:6379, not ${showValue(value)}` };
  try {
    return { value: parseRedisUrl(value) };
  } catch (error) {
    // Not the value itself: it may hold a password.
    return { refused: `is no address of a Redis: ${(error as Error).message}` };
  }
}

const url = readBy(readRedisUrl, `Where Redis is: ${urlForms}.`, { type: 'string' });
const text = (description: string) =>
  z
    .string({ error: 'must be text, in quotes if it looks like a number' })
    .min(1, { error: 'is empty' })
    // It would be printed, and told when it cannot be used.
    .refine((value) => !mayBeAddress(value), { error: 'is an address; that of Redis belongs to url' })
    .meta({ description })
    .optional();

const redisSection = section('Redis, with more to say than an address.', {
  url,
  username: text('ACL user.'),
  password_file: text(
    'A file with the password, or credential:NAME for a systemd credential. Read at every connect.',
  ),
  sentinel_username: text('ACL user at the Sentinels.'),
  sentinel_password_file: text('A file with the password for the Sentinels.'),
  tls: section('TLS, with rediss:// or here.', {
    ca_file: text('PEM: who is trusted. Default: what Node trusts.'),
    cert_file: text('PEM: our certificate.'),
    key_file: text('PEM: its key.'),
    server_name: text('The name the certificate must carry. Default: the host of the URL.'),
  }).optional(),
  connect_timeout: duration('Until a connection is up.', { defaultMs: redisDefaults.connectTimeoutMs }),
  command_timeout: duration('Until a command is answered.', { defaultMs: redisDefaults.commandTimeoutMs }),
});

export const clusterShape = section(
  'Share pins and counts with other instances. Left out: a single instance.',
  {
    name: name('The name of the cluster: instances with the same one and the same Redis belong together.'),
    instance: name('The name of this instance, unlike any other. Default: the host name.').optional(),
    redis: z
      .union([url, redisSection], {
        // Not "must be": what was written may hold a password and is not repeated.
        error: `is neither an address (${urlForms}) nor a map with url`,
      })
      .meta({ description: `Where Redis is: ${urlForms}. Or a map with url and more.` }),
    shards: whole(
      'Parts the pins are divided into; all instances must agree.',
      1,
      256,
      clusterDefaults.shards,
    ),
    lease: duration('An instance not heard of for this long is gone; that is told after as long again.', {
      minMs: 1_000,
      defaultMs: clusterDefaults.leaseMs,
    }),
  },
).optional();

export type ClusterShape = NonNullable<z.output<typeof clusterShape>>;

/** The plan of a `cluster` section without problems. */
export function buildCluster(cluster: ClusterShape | undefined): ClusterPlan | undefined {
  if (cluster === undefined) return undefined;
  const leaseMs = cluster.lease ?? clusterDefaults.leaseMs;
  return clusterPlan({
    name: cluster.name,
    instance: cluster.instance ?? instanceDefault(),
    redis: 'form' in cluster.redis ? cluster.redis : buildRedis(cluster.redis),
    shards: cluster.shards ?? clusterDefaults.shards,
    leaseMs,
    // Three beats a lease, or one lost packet ends it.
    heartbeatMs: Math.min(clusterDefaults.heartbeatMs, Math.floor(leaseMs / 3)),
  });
}

function buildRedis(redis: Exclude<ClusterShape['redis'], RedisPlan>): RedisPlan {
  const { tls } = redis;
  return {
    ...redis.url,
    username: redis.username ?? redis.url.username,
    passwordFile: redis.password_file,
    sentinelUsername: redis.sentinel_username,
    sentinelPasswordFile: redis.sentinel_password_file,
    tls:
      tls === undefined
        ? redis.url.tls
        : {
            caFile: tls.ca_file,
            certFile: tls.cert_file,
            keyFile: tls.key_file,
            serverName: tls.server_name,
          },
    connectTimeoutMs: redis.connect_timeout ?? redisDefaults.connectTimeoutMs,
    commandTimeoutMs: redis.command_timeout ?? redisDefaults.commandTimeoutMs,
  };
}

/** The host name, made to fit the rule for names. */
function instanceDefault(): string {
  const fitting = hostname()
    .replace(/[^A-Za-z0-9.-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 64);
  return fitting === '' ? 'pinion' : fitting;
}
