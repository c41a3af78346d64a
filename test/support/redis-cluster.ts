/** A Redis Cluster of three primaries with a replica each, on free ports, for the length of a test. */
import { setTimeout as sleep } from 'node:timers/promises';
import { requireCommand } from './packages.ts';
import { freePortWith } from './ports.ts';
import { runToEnd } from './processes.ts';
import { type Redis, startRedis } from './redis.ts';

export interface RedisCluster {
  /** The first three began as primaries. */
  readonly nodes: readonly Redis[];
  readonly url: string;
  /** Brings back a node that has ended: the same to the others, in the same place, without its keys. */
  startAgain(node: Redis): Promise<void>;
}

const nodeTimeoutMs = 1_500;

/** Resolves when all slots are served and every primary has its replica. */
export async function startRedisCluster(): Promise<RedisCluster> {
  const nodes = await Promise.all(Array.from({ length: 6 }, () => startClusterNode()));
  const addresses = nodes.map((node) => `${node.host}:${node.port}`);
  const command = requireCommand('redis', 'redis-cli');
  const args = ['--cluster', 'create', ...addresses, '--cluster-replicas', '1', '--cluster-yes'];
  await runToEnd({ command, args, name: 'redis-cli --cluster create' });
  for (const node of nodes) {
    for (;;) {
      const info = await node.command('CLUSTER', 'INFO');
      const replication = await node.command('INFO', 'replication');
      const isLinked = /role:master/.test(replication)
        ? /connected_slaves:1/.test(replication)
        : /master_link_status:up/.test(replication);
      if (/cluster_state:ok/.test(info) && isLinked) break;
      await sleep(50);
    }
  }
  return {
    nodes,
    url: `redis+cluster://${addresses.slice(0, 2).join(',')}`,
    startAgain: async ({ port, folder }) => void (await startClusterNode({ port, folder })),
  };
}

/** The bus port of a node is this much above its own; only Redis 7 and Valkey can be told another. */
const busPortOffset = 10_000;

async function startClusterNode(place?: Pick<Redis, 'port' | 'folder'>): Promise<Redis> {
  return startRedis({
    ...(place ?? { port: await freePortWith(busPortOffset) }),
    args: [
      '--cluster-enabled',
      'yes',
      '--cluster-config-file',
      'nodes.conf',
      '--cluster-node-timeout',
      String(nodeTimeoutMs),
      '--cluster-replica-validity-factor',
      '0',
      // A primary waits 5 s for more replicas before it sends its keys to the first one.
      '--repl-diskless-sync-delay',
      '0',
    ],
  });
}
