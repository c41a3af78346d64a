/**
 * From the checked file to the plan: fills in defaults, turns the file's words into the plan's, freezes all.
 * Everything here is allowed to assume that shape.ts and check.ts found nothing.
 */
import type {
  BackendPlan,
  Bind,
  ListenerPlan,
  OpenFlowsPlan,
  Plan,
  PoolPlan,
  Protocol,
  UpstreamPlan,
} from '../core/plan.ts';
import { buildCluster } from './cluster-shape.ts';
import {
  affinityDefaults,
  affinityKeyDefault,
  backendDefaults,
  instanceDefaults,
  listenerLimitDefaults,
  noReplyClients,
  poolDefaults,
  tcpDefaults,
  timeoutDefaults,
} from './defaults.ts';
import { digestOf } from './digest.ts';
import { buildDiscovery } from './discovery-shape.ts';
import { buildHealth } from './health-shape.ts';
import type { ListenerShape } from './listener-shape.ts';
import type { BackendShape, PoolShape } from './pool-shape.ts';
import type { FileShape } from './shape.ts';

/** The plan of a file without problems, frozen to the leaves. */
export function buildPlan(file: FileShape, source: string): Plan {
  const { log, limits } = instanceDefaults;
  const instanceLimits = {
    flows: file.limits?.flows ?? limits.flows,
    udpShare: file.limits?.udp_share ?? limits.udpShare,
    pins: file.limits?.pins ?? limits.pins,
  };
  const protocols = protocolsByPool(file);
  const plan: Omit<Plan, 'digest'> = {
    source,
    engine: file.engine ?? instanceDefaults.engine,
    workers: file.workers ?? instanceDefaults.workers,
    log: {
      level: file.log?.level ?? log.level,
      flows: {
        level: file.log?.flows?.level ?? log.flows.level,
        sample: file.log?.flows?.sample ?? log.flows.sample,
      },
    },
    metrics: file.metrics,
    admin: file.admin,
    cluster: buildCluster(file.cluster),
    shutdown: { drainMs: file.shutdown?.drain ?? instanceDefaults.shutdown.drainMs },
    limits: instanceLimits,
    listeners: file.listeners.map((listener) => buildListener(listener)),
    pools: Object.entries(file.pools).map(([name, pool]) => buildPool(name, pool, protocols.get(name))),
  };
  const digest = digestOf(plan);
  // Source addresses and devices are one machine's own: added after the digest, which a pair compares.
  const upstreams = new Map(Object.entries(file.pools).map(([name, pool]) => [name, buildUpstream(pool)]));
  const listeners = plan.listeners.map((listener): ListenerPlan => {
    const upstream = upstreams.get(listener.pool);
    return upstream === undefined ? listener : { ...listener, upstream };
  });
  const pools = plan.pools.map((each): PoolPlan => {
    const pool = withZone(each, file.zone);
    const upstream = upstreams.get(pool.name);
    if (upstream === undefined) return pool;
    const { sources } = upstream;
    return { ...pool, upstream, ...(sources.length === 0 ? {} : { health: { ...pool.health, sources } }) };
  });
  return deepFreeze({ ...plan, listeners, pools, digest });
}

/** A zone is one machine's own, too. Where no backend has one, nor may one that is found, it would be a difference that makes none. */
function withZone(pool: PoolPlan, zone: string | undefined): PoolPlan {
  const isAny = pool.discovery !== undefined || pool.backends.some((backend) => backend.zone !== undefined);
  return zone === undefined || !isAny ? pool : { ...pool, zone };
}

function buildListener(listener: ListenerShape): ListenerPlan {
  const { protocol, bind } = listener.bind;
  const timeouts = timeoutDefaults(protocol);
  const limits = listenerLimitDefaults;
  return {
    name: listener.name,
    protocol,
    bind: buildBind(bind, listener.bind_device),
    pool: listener.pool,
    affinity: buildAffinity(listener.affinity, bind.kind),
    timeouts: {
      connectMs: listener.timeouts?.connect ?? timeouts.connectMs,
      idleMs: listener.timeouts?.idle ?? timeouts.idleMs,
      halfCloseMs: listener.timeouts?.half_close ?? timeouts.halfCloseMs,
    },
    limits: {
      flows: listener.limits?.flows ?? limits.flows,
      reserve: listener.limits?.reserve ?? limits.reserve,
      flowsPerClient: listener.limits?.flows_per_client ?? limits.flowsPerClient,
      newFlowsPerClientPerSecond: listener.limits?.new_flows_per_client ?? limits.newFlowsPerClientPerSecond,
      newFlowsPerSecond: listener.limits?.new_flows ?? limits.newFlowsPerSecond,
    },
    tcp: buildTcp(listener.tcp ?? {}),
    ...(listener.udp === undefined ? {} : { udp: buildUdp(listener.udp) }),
  };
}

function buildBind(bind: Bind, device: string | undefined): Bind {
  return device === undefined || bind.kind === 'unix' ? bind : { ...bind, device };
}

/** What is left to the kernel stays out: 0 says so as well as a key that is not there. */
function buildTcp(tcp: NonNullable<ListenerShape['tcp']>): ListenerPlan['tcp'] {
  return {
    backlog: tcp.backlog ?? tcpDefaults.backlog,
    noDelay: tcp.no_delay ?? tcpDefaults.noDelay,
    keepAliveMs: tcp.keepalive ?? tcpDefaults.keepAliveMs,
    ...(tcp.keepalive_interval === undefined ? {} : { keepAliveIntervalMs: tcp.keepalive_interval }),
    ...(tcp.keepalive_probes === undefined ? {} : { keepAliveProbes: tcp.keepalive_probes }),
    ...(tcp.user_timeout ? { userTimeoutMs: tcp.user_timeout } : {}),
    ...(tcp.fast_open ? { fastOpenQueue: tcp.fast_open } : {}),
    ...buildBuffers(tcp),
  };
}

function buildUdp(from: NonNullable<ListenerShape['udp']>): NonNullable<ListenerPlan['udp']> {
  const { backend_receive_buffer: receive, backend_send_buffer: send } = from;
  return {
    ...buildBuffers(from),
    ...(receive === undefined ? {} : { backendReceiveBufferBytes: receive }),
    ...(send === undefined ? {} : { backendSendBufferBytes: send }),
  };
}

function buildBuffers(
  from: Pick<NonNullable<ListenerShape['udp']>, 'receive_buffer' | 'send_buffer'>,
): Pick<ListenerPlan['tcp'], 'receiveBufferBytes' | 'sendBufferBytes'> {
  return {
    ...(from.receive_buffer === undefined ? {} : { receiveBufferBytes: from.receive_buffer }),
    ...(from.send_buffer === undefined ? {} : { sendBufferBytes: from.send_buffer }),
  };
}

/** Undefined: connections leave as the kernel likes. */
function buildUpstream(pool: PoolShape): UpstreamPlan | undefined {
  const { source, transparent = false, mark, device } = pool;
  if (source === undefined && !transparent && mark === undefined && device === undefined) return undefined;
  return {
    sources: source ?? [],
    transparent,
    ...(mark === undefined ? {} : { mark }),
    ...(device === undefined ? {} : { device }),
  };
}

function buildAffinity(
  affinity: ListenerShape['affinity'],
  bindKind: 'inet' | 'unix',
): ListenerPlan['affinity'] {
  if (affinity === 'none') return { ...affinityDefaults, key: 'none' };
  return {
    key: affinity?.key ?? affinityKeyDefault(bindKind),
    prefixV4: affinity?.prefix_v4 ?? affinityDefaults.prefixV4,
    prefixV6: affinity?.prefix_v6 ?? affinityDefaults.prefixV6,
    ttlMs: affinity?.ttl ?? affinityDefaults.ttlMs,
    claim: affinity?.claim ?? affinityDefaults.claim,
    claimTimeoutMs: affinity?.claim_timeout ?? affinityDefaults.claimTimeoutMs,
  };
}

function buildPool(name: string, pool: PoolShape, usedBy: readonly Protocol[] = []): PoolPlan {
  const discovery = buildDiscovery(pool.discovery);
  return {
    name,
    policy: pool.policy ?? poolDefaults.policy,
    bound: pool.bound === 'none' ? undefined : (pool.bound ?? poolDefaults.bound),
    tableSize: pool.table_size ?? poolDefaults.tableSize,
    identity: pool.identity ?? poolDefaults.identity,
    health: buildHealth(pool.health, usedBy),
    passive: buildPassive(pool.passive ?? {}),
    ...buildOnDown(pool.on_down),
    onAddressChange: buildOpenFlows(pool.on_address_change, poolDefaults.onAddressChange),
    closeOverMs: pool.close_over ?? poolDefaults.closeOverMs,
    maxConnectionAgeMs: pool.max_connection_age ?? poolDefaults.maxConnectionAgeMs,
    closesBackup: pool.on_up?.close_backup ?? poolDefaults.closesBackup,
    tries: pool.tries ?? poolDefaults.tries,
    retryOn: pool.retry_on ?? poolDefaults.retryOn,
    failOpen: pool.fail_open ?? poolDefaults.failOpen,
    spillBelow: pool.spill_below ?? poolDefaults.spillBelow,
    panicBelow: pool.panic_below ?? poolDefaults.panicBelow,
    slowStartMs: pool.slow_start ?? poolDefaults.slowStartMs,
    backends: (pool.backends ?? []).map(buildBackend),
    ...(discovery === undefined ? {} : { discovery }),
  };
}

function buildPassive(passive: NonNullable<PoolShape['passive']>): PoolPlan['passive'] {
  const { failures, ejectMs, ejectMsMax, ejectedShareMax } = poolDefaults.passive;
  const baseMs = passive.eject ?? ejectMs;
  const noReply = passive.no_reply;
  return {
    failures: passive.failures ?? failures,
    ejectMs: baseMs,
    ejectMsMax: passive.eject_max ?? Math.max(ejectMsMax, baseMs),
    ejectedShareMax: passive.max_ejected ?? ejectedShareMax,
    noReply:
      noReply === undefined
        ? undefined
        : {
            datagrams: noReply.datagrams,
            withinMs: noReply.within,
            clients: noReply.clients ?? noReplyClients,
          },
  };
}

/** One word is for all reasons; a map says what it names, and `default` the rest but for those that have defaults of their own. */
function buildOnDown(option: PoolShape['on_down']): Pick<PoolPlan, 'onDown' | 'onDownBecause'> {
  const { onDown, onDownBecause } = poolDefaults;
  if (option === undefined) return { onDown: { ...onDown }, onDownBecause: { ...onDownBecause } };
  if (typeof option === 'string' || 'grace' in option)
    return { onDown: buildOpenFlows(option, onDown), onDownBecause: {} };
  const { default: rest, ...named } = option;
  const because = Object.entries(named).map(([reason, fate]) => [reason, buildOpenFlows(fate, onDown)]);
  return {
    onDown: buildOpenFlows(rest, onDown),
    onDownBecause: { ...(rest === undefined ? onDownBecause : {}), ...Object.fromEntries(because) },
  };
}

function buildOpenFlows(option: PoolShape['on_address_change'], missing: OpenFlowsPlan): OpenFlowsPlan {
  if (option === undefined) return { ...missing };
  return typeof option === 'string'
    ? { action: option, graceMs: 0 }
    : { action: 'close', graceMs: option.grace };
}

/** A backend with every default. */
export function buildBackend(backend: BackendShape): BackendPlan {
  return {
    name: backend.name,
    address: backend.address,
    weight: backend.weight ?? backendDefaults.weight,
    maxConnections: backend.max_connections ?? backendDefaults.maxConnections,
    ...(backend.priority === undefined || backend.priority === backendDefaults.priority
      ? {}
      : { priority: backend.priority }),
    ...(backend.backup === true ? { isBackup: true } : {}),
    ...(backend.zone === undefined ? {} : { zone: backend.zone }),
  };
}

/** What the listeners in front of each pool speak. */
function protocolsByPool(file: FileShape): ReadonlyMap<string, readonly Protocol[]> {
  const protocols = new Map<string, Protocol[]>();
  for (const { pool, bind } of file.listeners) {
    const known = protocols.get(pool) ?? [];
    if (!known.includes(bind.protocol)) known.push(bind.protocol);
    protocols.set(pool, known);
  }
  return protocols;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    for (const part of Object.values(value)) deepFreeze(part);
    Object.freeze(value);
  }
  return value;
}
