/**
 * Views and plans for the stories and for tests: complete, with long timeouts, and the few traits a story cares for.
 */
import type { Bind, ListenerPlan, Protocol } from '../../core/plan.ts';
import type { BackendView, ListenerView, PoolView } from '../../core/snapshot.ts';
import { loopback } from './messages.ts';

export interface ListenerTraits {
  readonly name?: string;
  readonly bind?: Bind;
  readonly timeouts?: Partial<ListenerPlan['timeouts']>;
  readonly udp?: ListenerPlan['udp'];
  readonly identifies?: boolean;
  readonly hasPrefaces?: boolean;
  readonly rebinds?: boolean;
}

export function listenerView(id: number, protocol: Protocol, traits: ListenerTraits): ListenerView {
  return {
    id,
    poolId: 1,
    ...(traits.identifies === true ? { identifies: true } : {}),
    ...(traits.rebinds === true ? { rebinds: true } : {}),
    ...(traits.hasPrefaces === true ? { hasPrefaces: true } : {}),
    plan: {
      name: traits.name ?? `listener-${id}`,
      protocol,
      bind: traits.bind ?? loopback(),
      pool: 'pool',
      affinity: {
        key: 'client-ip',
        prefixV4: 24,
        prefixV6: 64,
        ttlMs: 60_000,
        claim: 'async',
        claimTimeoutMs: 200,
      },
      timeouts: { connectMs: 20_000, idleMs: 300_000, halfCloseMs: 300_000, ...traits.timeouts },
      limits: {
        flows: 100_000,
        reserve: 'auto',
        flowsPerClient: 0,
        newFlowsPerClientPerSecond: 0,
        newFlowsPerSecond: 0,
      },
      tcp: { backlog: 1024, noDelay: true, keepAliveMs: 30_000 },
      ...(traits.udp === undefined ? {} : { udp: traits.udp }),
    },
  };
}

/** A backend as the host would give it; ids are the port unless given. */
export function backendView(target: Bind, name = 'backend'): BackendView {
  const addressText = target.kind === 'unix' ? `unix:${target.path}` : `${target.ip}:${target.port}`;
  return { id: 1, name, target, addressText, weight: 1, maxConnections: 0 };
}

/** A pool that is not checked, whose flows end when a backend is lost. */
export function poolPlan(traits: Partial<PoolView['plan']>): PoolView['plan'] {
  return {
    name: 'pool',
    policy: 'maglev',
    bound: undefined,
    tableSize: 251,
    identity: 'name',
    health: {
      type: 'none',
      intervalMs: 1000,
      fastIntervalMs: 250,
      timeoutMs: 1000,
      fall: 3,
      rise: 2,
      port: undefined,
      address: undefined,
      start: 'down',
      options: {},
    },
    passive: { failures: 0, ejectMs: 10_000, ejectMsMax: 300_000, ejectedShareMax: 0.5, noReply: undefined },
    onDown: { action: 'close', graceMs: 0 },
    onDownBecause: {},
    onAddressChange: { action: 'keep', graceMs: 0 },
    closeOverMs: 0,
    maxConnectionAgeMs: 0,
    tries: 1,
    closesBackup: false,
    retryOn: 'reset',
    failOpen: false,
    spillBelow: 0.7,
    panicBelow: 0,
    slowStartMs: 0,
    ...traits,
  };
}
