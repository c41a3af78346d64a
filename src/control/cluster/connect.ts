/**
 * A connection to Redis in any of its forms, set up so that nothing waits for long and nothing queues: a command
 * without a connection fails at once, one without an answer fails after commandTimeoutMs, and a socket that owes an
 * answer for longer is closed, because an answer that comes later would find nobody. Reconnecting never ends.
 */
import { Cluster, Redis, type RedisOptions } from 'ioredis';
import type { RedisPlan } from '../../core/cluster-plan.ts';
import { passwordOf, readPassword, tlsOptions } from './redis-files.ts';

export type RedisConnection = Redis | Cluster;
type CommonOptions = Pick<
  RedisOptions,
  | 'protocol'
  | 'connectTimeout'
  | 'commandTimeout'
  | 'socketTimeout'
  | 'enableReadyCheck'
  | 'maxRetriesPerRequest'
  | 'autoResendUnfulfilledCommands'
  | 'disableClientInfo'
  | 'keepAlive'
  | 'reconnectOnError'
  | 'username'
  | 'password'
  | 'tls'
>;

/** A reconnect waits this long at first, twice as long each time, and at most retryMsMax; half of it by chance. */
const retryMsMin = 50;
const retryMsMax = 2_000;
/** Reconnects to one node of a Redis Cluster before it is given up: about a second. */
const nodeTriesMax = 4;
/** A socket is closed this long after its oldest command timed out. */
const socketGraceMs = 500;

/** Doubling, with jitter: instances that lost Redis together do not come back together. Milliseconds. */
export function retryDelayMs(times: number, random: () => number = Math.random): number {
  const ceiling = Math.min(retryMsMax, retryMsMin * 2 ** Math.min(times, 10));
  return Math.round(ceiling / 2 + random() * (ceiling / 2));
}

/**
 * @param blockMs how long commands may wait by themselves (XREAD BLOCK); 0 for none
 * @throws Error when a password or certificate file cannot be read or used; it says which
 */
export function connectRedis(plan: RedisPlan, blockMs: number): RedisConnection {
  const { form } = plan;
  const options = commonOptions(plan, blockMs);
  if (form.kind === 'cluster') {
    const cluster = new Cluster(
      form.nodes.map(({ host, port }) => ({ host, port })),
      {
        enableOfflineQueue: false,
        enableReadyCheck: false,
        clusterRetryStrategy: (times) => retryDelayMs(times),
        // Nodes that are not found where they were are given up one by one: once all are, the nodes of the plan are
        // asked anew. One that others still name is connected again when the slots are looked at.
        clusterNodeRetryStrategy: (times) => (times > nodeTriesMax ? null : retryDelayMs(times)),
        maxRedirections: 4,
        retryDelayOnFailover: 50,
        retryDelayOnClusterDown: 50,
        retryDelayOnTryAgain: 50,
        slotsRefreshTimeout: plan.commandTimeoutMs,
        slotsRefreshInterval: 2_000,
        // A name stays a name, as TLS wants to compare it with the certificate.
        dnsLookup: (address, callback) => callback(null, address),
        redisOptions: options,
      },
    );
    // Each node has a copy of the options. It uses it again when it reconnects, and the look at the slots borrows that of
    // any node, one that is connected as well.
    const renew = (): void => renewPassword(plan, cluster.nodes('all'));
    cluster.on('+node', (node: Redis) => {
      renewPassword(plan, [node]);
      node.on('close', renew);
    });
    cluster.on('node error', renew);
    return cluster;
  }
  const singleOptions: Omit<RedisOptions, 'replyMapping'> = {
    ...options,
    ...placeOptions(plan),
    enableOfflineQueue: false,
    retryStrategy: (times: number): number => {
      renewPassword(plan, [connection]);
      return retryDelayMs(Math.max(times, refused));
    },
  };
  const connection = new Redis(singleOptions);
  // ioredis (6.0) takes a connection into use whose SELECT was refused (BUSY, no permission) or not answered in time: in
  // database 0, beside the other instances. Told to close it, it says `ready` all the same, so the refusals are counted here.
  let refused = 0;
  connection.on('error', () => {
    if (connection.status !== 'connect') return;
    refused++;
    connection.disconnect(true);
  });
  connection.on('ready', () => {
    if (isUsable(connection)) refused = 0;
  });
  return connection;
}

/** Ready, and not being closed: what is asked gets an answer. */
export function isUsable(connection: RedisConnection): boolean {
  return connection.status === 'ready' && (connection instanceof Cluster || connection.stream.writable);
}

/** The next connect uses the password that is in the file by then. A file that cannot be read changes nothing. */
function renewPassword(plan: RedisPlan, connections: readonly Redis[]): void {
  const password = tryPassword(plan);
  if (password === undefined) return;
  for (const connection of connections) connection.options.password = password;
}

function placeOptions(plan: RedisPlan): Omit<RedisOptions, 'replyMapping'> {
  const { form, database: db } = plan;
  switch (form.kind) {
    case 'single':
      return { host: form.node.host, port: form.node.port, db };
    case 'unix':
      return { path: form.path, db };
    case 'sentinel': {
      const password = readPassword(plan.sentinelPasswordFile);
      return {
        sentinels: form.nodes.map(({ host, port }) => ({ host, port })),
        name: form.master,
        role: 'master',
        db,
        sentinelRetryStrategy: (times) => retryDelayMs(times),
        sentinelCommandTimeout: plan.commandTimeoutMs,
        ...(plan.sentinelUsername === undefined ? {} : { sentinelUsername: plan.sentinelUsername }),
        ...(password === undefined ? {} : { sentinelPassword: password }),
        ...(plan.tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tlsOptions(plan) }),
      };
    }
    case 'cluster':
      return {};
  }
}

function commonOptions(plan: RedisPlan, blockMs: number): CommonOptions {
  const password = passwordOf(plan);
  return {
    protocol: 2,
    connectTimeout: plan.connectTimeoutMs,
    commandTimeout: plan.commandTimeoutMs + blockMs,
    socketTimeout: plan.commandTimeoutMs + blockMs + socketGraceMs,
    // INFO may be forbidden; a server that is loading says so to every command, and is asked again.
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    disableClientInfo: true,
    keepAlive: 10_000,
    // A primary that became a replica: the connection is of no use, and Sentinel knows of the new one.
    reconnectOnError: onReadOnly(),
    ...(plan.username === undefined ? {} : { username: plan.username }),
    ...(password === undefined ? {} : { password }),
    ...(plan.tls === undefined ? {} : { tls: tlsOptions(plan) }),
  };
}

/** True for the first READONLY of a connection's end: all commands under way get one. */
function onReadOnly(): (error: Error) => boolean {
  let endedAtMs = Number.NEGATIVE_INFINITY;
  return (error) => {
    if (!error.message.includes('READONLY') || performance.now() - endedAtMs < retryMsMin) return false;
    endedAtMs = performance.now();
    return true;
  };
}

function tryPassword(plan: RedisPlan): string | undefined {
  try {
    return passwordOf(plan);
  } catch {
    // Being replaced at this moment: the old one is tried once more.
    return undefined;
  }
}
