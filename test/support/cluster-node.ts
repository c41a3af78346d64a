/**
 * One instance's cluster side without the rest of pinion: a pin table, backend states and a Cluster that shares them
 * through Redis. A few of these in one process are a pair; what a worker would do to the table, the test does.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Cluster, createCluster } from '../../src/cluster/cluster.ts';
import type { ClusterEvent } from '../../src/cluster/events.ts';
import type { ClusterFlow } from '../../src/cluster/flow-table.ts';
import type { FlowCount } from '../../src/cluster/members.ts';
import { Address } from '../../src/core/address.ts';
import { BackendStates } from '../../src/core/backend-states.ts';
import { type ClusterPlan, clusterPlan, type RedisPlan } from '../../src/core/cluster-plan.ts';
import { Key } from '../../src/core/key.ts';
import type { KillOrder } from '../../src/core/kill-order.ts';
import type { OperatorRow } from '../../src/core/operator-word.ts';
import { PinTable } from '../../src/core/pins/table.ts';
import { PinsByHand } from '../../src/pins/by-hand.ts';
import type { Names } from '../../src/pins/names.ts';
import { patienceMs } from './eventually.ts';

export const poolName = 'arena';
export const poolId = 7;

export interface ClusterNode {
  readonly name: string;
  readonly cluster: Cluster;
  /** As an operator does. */
  readonly hand: PinsByHand;
  readonly pins: PinTable;
  readonly states: BackendStates;
  readonly events: ClusterEvent[];
  readonly flows: ClusterFlow[];
  readonly counts: FlowCount[];
  /** Operators' words as last told. */
  operatorRows: readonly OperatorRow[] | undefined;
  /** Orders of others to end flows. */
  readonly killsHeard: { readonly order: KillOrder; readonly from: string; readonly ageMs: number }[];
  digest: string;
  nowMs(): number;
  backendId(backend: string): number;
  /** As a worker does for a new client: claims, then confirms. */
  pin(client: string | number, backend: string, ttlMs?: number): void;
  /** Moves a client's pin as a worker does when its backend is down. */
  move(client: string | number, from: string, to: string, ttlMs?: number): void;
  /** The backend a client is pinned to here. */
  at(client: string | number): string | undefined;
  live(): number;
  has(event: ClusterEvent['event']): boolean;
  stop(): Promise<void>;
}

export interface NodeOptions {
  readonly name: string;
  readonly redis: RedisPlan;
  readonly plan?: Partial<ClusterPlan>;
  readonly backends?: readonly string[];
  readonly capacity?: number;
  readonly digest?: string;
  /** Added to the clock, to set two instances' clocks apart. */
  readonly clockOffsetMs?: number;
}

/** A client by number: 10.x.y.z. */
export function clientKey(client: string | number): Key {
  const address = typeof client === 'string' ? Address.parse(client, 0) : Address.v4(0x0a000000 + client, 0);
  if (address === undefined) throw new Error(`${client} is not an address`);
  return new Key('client-ip', address);
}

const running = new Set<ClusterNode>();

function namesOf(backends: readonly string[], idShift: number): Names {
  return {
    poolName: (id) => (id === poolId ? poolName : undefined),
    poolId: (pool) => (pool === poolName ? poolId : 0),
    knownPoolId: (pool) => (pool === poolName ? poolId : 0),
    backendName: (id) => backends[id - idShift],
    backendId: (pool, backend) =>
      pool === poolName && backends.includes(backend) ? backends.indexOf(backend) + idShift : 0,
  };
}

/** Makes an instance and starts it. Backend ids differ from instance to instance on purpose. */
export function startNode(options: NodeOptions): ClusterNode {
  const backends = options.backends ?? ['b1', 'b2', 'b3'];
  const idShift = 10 + running.size * 5;
  const names = namesOf(backends, idShift);
  const pins = PinTable.create(options.capacity ?? 10_000, { reportChanges: true });
  const states = new BackendStates();
  const events: ClusterEvent[] = [];
  const originMs = performance.now() - (options.clockOffsetMs ?? 0);
  const nowMs = (): number => performance.now() - originMs;
  const plan = clusterPlan({
    name: 'test',
    instance: options.name,
    redis: options.redis,
    leaseMs: 1_500,
    heartbeatMs: 200,
    ...options.plan,
  });
  const flows: ClusterFlow[] = [];
  const counts: FlowCount[] = [];
  const cluster = createCluster({
    plan,
    identity: {
      host: 'testhost',
      version: '0.0.0',
      digest: () => node.digest,
      startedAt: new Date(),
      listeners: () => ['arena udp://127.0.0.1:7777'],
      network: () => ({ addresses: [], ips: [], machine: '' }),
    },
    names,
    pins,
    states,
    countFlows: () => counts,
    listFlows: async (most) => flows.slice(0, most),
    operatorWords: (rows) => {
      node.operatorRows = rows;
      return true;
    },
    killHeard: (order, from, ageMs) => node.killsHeard.push({ order, from, ageMs }),
    watch: (event) => events.push(event),
    nowMs,
  });
  const node: ClusterNode = {
    name: options.name,
    cluster,
    hand: new PinsByHand({
      pins,
      names: cluster.names,
      instance: () => options.name,
      nowMs,
      share: (change) => cluster.tell(change),
    }),
    pins,
    states,
    events,
    flows,
    counts,
    operatorRows: undefined,
    killsHeard: [],
    digest: options.digest ?? 'same',
    nowMs,
    backendId: (backend) => names.backendId(poolName, backend),
    pin(client, backend, ttlMs = 600_000) {
      const key = clientKey(client);
      pins.claim(poolId, key, names.backendId(poolName, backend), Math.min(ttlMs, 60_000), nowMs(), 'policy');
      pins.confirm(poolId, key, names.backendId(poolName, backend), ttlMs, nowMs());
    },
    move(client, from, to, ttlMs = 600_000) {
      pins.move(
        poolId,
        clientKey(client),
        names.backendId(poolName, from),
        names.backendId(poolName, to),
        ttlMs,
        nowMs(),
        'backend-down',
      );
    },
    at: (client) => names.backendName(pins.lookup(poolId, clientKey(client), nowMs())),
    live: () => pins.stats().live,
    has: (event) => events.some((one) => one.event === event),
    async stop() {
      running.delete(node);
      await cluster.stop();
    },
  };
  running.add(node);
  cluster.start();
  return node;
}

export async function stopNodes(): Promise<void> {
  await Promise.all([...running].map((node) => node.stop()));
}

/** Waits until `condition` holds. Rejects with `what` after `timeoutMs`; nothing is concluded from the time itself. */
export async function until(
  what: string | (() => string),
  condition: () => boolean | Promise<boolean>,
  timeoutMs = patienceMs,
): Promise<void> {
  for (const endMs = performance.now() + timeoutMs; performance.now() < endMs; await sleep(10)) {
    if (await condition()) return;
  }
  throw new Error(`not within ${timeoutMs} ms: ${typeof what === 'string' ? what : what()}`);
}

/** Waits until every instance is in step with Redis. */
export function inStep(...nodes: readonly ClusterNode[]): Promise<void> {
  const states = (): string => nodes.map((node) => `${node.name} ${node.cluster.state}`).join(', ');
  return until(
    () => `all in step: ${states()}; ${JSON.stringify(nodes.map((node) => node.cluster.status().lastFault))}`,
    () => nodes.every((node) => node.cluster.state === 'in-step'),
  );
}
