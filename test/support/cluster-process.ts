/**
 * An instance's cluster side in a process of its own, for what only a process can suffer: SIGSTOP and SIGKILL. The
 * test forks this file's build and calls the node's methods over the channel between the two.
 */

import type { RedisFault } from '../../src/cluster/errors.ts';
import { parseRedisUrl } from '../../src/config/redis-url.ts';
import { startNode } from './cluster-node.ts';

const [url, name] = process.argv.slice(2);
const node = startNode({
  name: name!,
  redis: { ...parseRedisUrl(url!), connectTimeoutMs: 500, commandTimeoutMs: 2_000 },
});

interface Call {
  readonly id: number;
  readonly method: 'pin' | 'move' | 'at' | 'has' | 'state' | 'counts' | 'connections' | 'faults';
  readonly args: readonly unknown[];
}

async function answer({ method, args }: Call): Promise<unknown> {
  if (method === 'state') return node.cluster.state;
  if (method === 'connections') return node.cluster.connections().catch(String);
  if (method === 'faults') return node.cluster.status().faults[args[0] as RedisFault];
  if (method === 'counts') return node.counts.push(...(args as [string, string, number][]));
  return (node[method] as (...rest: readonly unknown[]) => unknown)(...args) ?? null;
}

process.on('message', async (call: Call) => process.send!({ id: call.id, answer: await answer(call) }));
process.on('disconnect', () => process.exit(0));
