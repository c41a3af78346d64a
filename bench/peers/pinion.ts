/** pinion itself, as its users start it: one worker, one pool, no per-flow log, its default affinity. */
import { join } from 'node:path';
import { startPinion } from '../../test/support/pinion.ts';
import { freePort } from '../../test/support/ports.ts';
import { startRedis } from '../../test/support/redis.ts';
import { asService } from '../load.ts';
import type { Peer } from '../work.ts';

export interface PinionVariant {
  /** A member of a cluster, with a Redis of its own on the load's core. */
  readonly clustered?: boolean;
  /** The checkout whose build runs instead of this one. It counts as a rival: ratios are this build over it. */
  readonly checkout?: string;
}

/** One column per engine. */
export function pinion(
  engine: 'portable' | 'epoll',
  { clustered = false, checkout }: PinionVariant = {},
): Peer {
  return {
    name: checkout === undefined ? `pinion-${engine}${clustered ? '-cluster' : ''}` : 'other',
    title:
      checkout === undefined
        ? `pinion ${engine}${clustered ? ', in a cluster' : ''}`
        : `pinion of ${checkout}`,
    role: checkout === undefined ? 'pinion' : 'rival',
    transports: ['tcp', 'udp'],
    async start({ transport, backend, core, place: { host, wrapper } }) {
      const port = await freePort(transport);
      const redis = clustered ? await startRedis({}) : undefined;
      const config = `
${redis === undefined ? '' : `cluster: { name: bench, redis: '${redis.url}' }`}
engine: ${engine}
workers: 1
log: { level: warn, flows: { level: 'off' } }
listeners:
  - { name: bench, bind: '${transport}://${host}:${port}', pool: bench, timeouts: { idle: 10m } }
pools:
  bench:
    health: { type: none }
    backends:
      - { name: only, address: '${backend.host}:${backend.port}' }
`;
      const started = await startPinion(config, {
        core,
        wrapper,
        readyWhenBound: { transport, port },
        startTimeoutMs: 15_000,
        ...(checkout === undefined ? {} : { main: join(checkout, 'dist/src/main.js') }),
      });
      const service = asService(host, port, started.process);
      return {
        ...service,
        async stop() {
          await service.stop();
          await redis?.stop();
        },
      };
    },
  };
}
