/** pinion itself, as its users start it: one worker, one pool, no per-flow log, its default affinity. */
import { startPinion } from '../../test/support/pinion.ts';
import { freePort } from '../../test/support/ports.ts';
import { asService } from '../load.ts';
import type { Peer } from '../work.ts';

/** One column per engine. */
export function pinion(engine: 'portable' | 'epoll'): Peer {
  return {
    name: `pinion-${engine}`,
    title: `pinion ${engine}`,
    role: 'pinion',
    transports: ['tcp', 'udp'],
    async start({ transport, backend, core }) {
      const host = '127.0.0.1';
      const port = await freePort(transport);
      const config = `
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
      return asService(host, port, started.process);
    },
  };
}
