/**
 * The way to Redis in any of its forms (one server, a unix socket, Sentinel, Redis Cluster), set up so that nothing waits
 * for long, nothing queues, and nothing that the other side sends comes further than an answer or an Error.
 */
import type { RedisPlan } from '../core/cluster-plan.ts';
import { redisRepliesBytesMax } from '../core/limits.ts';
import { ClusterLink } from './redis/cluster-link.ts';
import { type RedisLink, SingleLink } from './redis/link.ts';
import { ReplyBudget } from './redis/reply-guard.ts';
import { Sentinels } from './redis/sentinel.ts';

export interface ConnectOptions {
  /** How long commands may wait by themselves (XREAD BLOCK); 0 for none. */
  readonly blockMs?: number;
  /** One key of each slot that will be asked for, for a Redis Cluster. */
  readonly keys?: readonly string[];
  /** Shared by the connections to one Redis. */
  readonly budget?: ReplyBudget;
}

/** Never throws: a file that cannot be read is a fault, and tried again. */
export function connectRedis(plan: RedisPlan, options: ConnectOptions = {}): RedisLink {
  const { form } = plan;
  const { blockMs = 0, keys = [], budget = new ReplyBudget(redisRepliesBytesMax) } = options;
  const common = { plan, blockMs, budget };
  switch (form.kind) {
    case 'single':
      return new SingleLink(common, () => form.node);
    case 'unix':
      return new SingleLink(common, () => ({ path: form.path }));
    case 'sentinel': {
      const sentinels = new Sentinels(plan, form.nodes, form.master, budget);
      return new SingleLink(common, () => sentinels.primary());
    }
    case 'cluster':
      return new ClusterLink({ ...common, seeds: form.nodes, keys });
  }
}
