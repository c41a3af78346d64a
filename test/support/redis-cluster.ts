/** A Redis Cluster of three primaries with a replica each, or with none, on free ports, for the length of a test. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type Certificate, tlsAccess } from './certificates.ts';
import { requireCommand } from './packages.ts';
import { freePortWith } from './ports.ts';
import { runToEnd } from './processes.ts';
import { type Redis, startRedis } from './redis.ts';

export interface RedisCluster {
  /** The first three began as primaries. One that was brought back is a new one, in the old one's place. */
  readonly nodes: readonly Redis[];
  readonly url: string;
  /** Brings back a node that has ended: the same to the others, in the same place, without its keys. */
  startAgain(node: Redis): Promise<void>;
}

export interface RedisClusterOptions {
  /** Of each primary. Default: 1. */
  readonly replicas?: 0 | 1;
  /** Everything through TLS, also among the nodes; whoever connects must show a certificate of the same authority. */
  readonly tls?: Certificate;
}

const nodeTimeoutMs = 1_500;

/** Resolves when all slots are served and every primary has its replica. */
export async function startRedisCluster(options: RedisClusterOptions = {}): Promise<RedisCluster> {
  const { replicas = 1, tls } = options;
  const count = 3 * (1 + replicas);
  const nodes = await Promise.all(Array.from({ length: count }, () => startClusterNode(tls)));
  const addresses = nodes.map((node) => `${node.host}:${node.port}`);
  const command = requireCommand('redis', 'redis-cli');
  const create = [
    '--cluster',
    'create',
    ...addresses,
    '--cluster-replicas',
    String(replicas),
    '--cluster-yes',
  ];
  const args = [...(tls === undefined ? [] : tlsAccess(tls)), ...create];
  await runToEnd({ command, args, name: 'redis-cli --cluster create' });
  for (const node of nodes) {
    for (;;) {
      const info = await node.command('CLUSTER', 'INFO');
      const replication = await node.command('INFO', 'replication');
      const isLinked = /role:master/.test(replication)
        ? replication.includes(`connected_slaves:${replicas}`)
        : /master_link_status:up/.test(replication);
      if (/cluster_state:ok/.test(info) && isLinked) break;
      await sleep(50);
    }
  }
  return {
    nodes,
    url: `redis+cluster://${addresses.slice(0, 2).join(',')}`,
    async startAgain({ port, folder }) {
      const index = nodes.findIndex((node) => node.port === port);
      nodes[index] = await startClusterNode(tls, { port, folder });
    },
  };
}

/** The bus port of a node is this much above its own; only Redis 7 and Valkey can be told another. */
const busPortOffset = 10_000;

async function startClusterNode(
  tls: Certificate | undefined,
  place?: Pick<Redis, 'port' | 'folder'>,
): Promise<Redis> {
  const port = place?.port ?? (await freePortWith(busPortOffset));
  return startRedis({
    ...(place ?? { port }),
    ...(tls === undefined ? {} : { access: () => tlsAccess(tls) }),
    args: [
      ...(tls === undefined ? [] : tlsArgs(tls, port)),
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

/** Of options given twice the last one counts: there is no port without TLS. */
function tlsArgs({ caFile, certFile, keyFile }: Certificate, port: number): string[] {
  const files = ['--tls-ca-cert-file', caFile, '--tls-cert-file', certFile, '--tls-key-file', keyFile];
  const all = ['--tls-cluster', 'yes', '--tls-replication', 'yes', '--tls-auth-clients', 'yes'];
  return ['--port', '0', '--tls-port', String(port), ...files, ...all];
}
