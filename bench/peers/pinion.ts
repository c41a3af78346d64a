/** pinion itself, as its users start it: one worker, one pool, no per-flow log, its default affinity. */
import { startPinion } from '../../test/support/pinion.ts';
import { freePort } from '../../test/support/ports.ts';
import { startRedis } from '../../test/support/redis.ts';
import { asService } from '../load.ts';
import type { Peer } from '../work.ts';

/** One column per engine; `clustered`: as a member of a cluster, with a Redis of its own on the load's core. */
export function pinion(engine: 'portable' | 'epoll', clustered = false): Peer {
  return {
    name: `pinion-${engine}${clustered ? '-cluster' : ''}`,
    title: `pinion ${engine}${clustered ? ', in a cluster' : ''}`,
    role: 'pinion',
    transports: ['tcp', 'udp'],
    async start({ transport, backend, core }) {
      const host = '127.0.0.1';
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
        readyWhenBound: { transport, port },
        startTimeoutMs: 15_000,
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
