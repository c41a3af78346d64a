/**
 * Every default, in one place, in the units of the plan (milliseconds). Where a default depends on something else
 * in the file it is a function here. What each key means is in shape.ts; how defaults are put in is in build.ts.
 */
import type { AffinityKey, HealthPlan, ListenerPlan, Plan, PoolPlan, Protocol } from '../core/plan.ts';

const second = 1_000;
const minute = 60 * second;
const hour = 60 * minute;

export const instanceDefaults = {
  engine: 'auto',
  workers: 'auto',
  log: { level: 'info', flows: { level: 'info', sample: 1 } },
  shutdown: { drainMs: 30 * second },
  limits: {
    /** What the descriptor limit carries: a fixed number would be refused on one machine and waste another. */
    flows: 'auto',
    /** Leaves TCP a quarter whatever UDP sources, which can be forged, do. */
    udpShare: 0.75,
    /** Clients remembered, which outlive their flows. */
    pins: 262_144,
  },
} as const satisfies Pick<Plan, 'engine' | 'workers' | 'log' | 'shutdown' | 'limits'>;

export const affinityDefaults = {
  key: 'client-ip',
  /** A /24 and a /64 are what one site usually has: a client that changes its address tends to stay inside. */
  prefixV4: 24,
  prefixV6: 64,
  ttlMs: 30 * minute,
  claim: 'async',
  claimTimeoutMs: 50,
} as const satisfies ListenerPlan['affinity'];

/** On a unix socket no client has an address: pinning by it would send all of them to one backend. */
export function affinityKeyDefault(bindKind: 'inet' | 'unix'): AffinityKey {
  return bindKind === 'unix' ? 'none' : affinityDefaults.key;
}

/** Long for TCP, because databases keep idle sessions; short for UDP, because nothing says that a client left. */
export function timeoutDefaults(protocol: Protocol): ListenerPlan['timeouts'] {
  return { connectMs: 2 * second, idleMs: protocol === 'tcp' ? hour : minute, halfCloseMs: minute };
}

/** 0 is no limit: a listener may use up all flows of the instance. */
export const listenerLimitDefaults: ListenerPlan['limits'] = {
  flows: 0,
  reserve: 'auto',
  flowsPerClient: 0,
  newFlowsPerClientPerSecond: 0,
  newFlowsPerSecond: 0,
};

/** 4096 is the kernel's own ceiling (net.core.somaxconn) since Linux 5.4. */
export const tcpDefaults = {
  backlog: 4_096,
  noDelay: true,
  keepAliveMs: minute,
} as const satisfies ListenerPlan['tcp'];

/** One client may be ignored for a reason, and two may be one person's. */
export const noReplyClients = 3;

export const poolDefaults = {
  policy: 'maglev',
  bound: undefined,
  /** The smaller table of the Maglev paper (NSDI 2016, section 5.3), as in other proxies. */
  tableSize: 65_537,
  identity: 'name',
  passive: {
    failures: 3,
    ejectMs: 10 * second,
    ejectMsMax: 5 * minute,
    /** What clients fail at may be theirs, or ours: then all backends look alike, and half of them have to go on. */
    ejectedShareMax: 0.5,
    noReply: undefined,
  },
  onDown: { action: 'close', graceMs: 0 },
  /** Its open flows go on well: it is behind, has no room for more, or does not let the check in. */
  onDownBecause: {
    lagging: { action: 'keep', graceMs: 0 },
    full: { action: 'keep', graceMs: 0 },
    'not-authorized': { action: 'keep', graceMs: 0 },
  },
  /** The server at the old address is checked as long as flows are on it: when it dies, `on_down` has the word. */
  onAddressChange: { action: 'keep', graceMs: 0 },
  closeOverMs: 0,
  maxConnectionAgeMs: 0,
  tries: 3,
  closesBackup: false,
  retryOn: 'reset',
  failOpen: false,
  /** An overprovisioning factor of 1.4, as Envoy has it. */
  spillBelow: 0.7,
  panicBelow: 0,
  slowStartMs: 0,
} as const satisfies Omit<PoolPlan, 'name' | 'health' | 'backends'>;

export const healthDefaults = {
  intervalMs: 2 * second,
  timeoutMs: second,
  fall: 3,
  rise: 2,
  start: 'down',
} as const;

/** A TCP probe says nothing about a server that speaks only UDP, so such a pool has no probe unless it asks for one. */
export function healthTypeDefault(usedBy: readonly Protocol[]): HealthPlan['type'] {
  return usedBy.length > 0 && usedBy.every((protocol) => protocol === 'udp') ? 'none' : 'tcp';
}

/** A probe gives up before the next one starts. */
export function healthTimeoutDefault(intervalMs: number): number {
  return Math.min(healthDefaults.timeoutMs, intervalMs);
}

export const backendDefaults = { weight: 1, maxConnections: 0, priority: 1 } as const;
