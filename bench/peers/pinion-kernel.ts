/** pinion with `relay: kernel`: the kernel carries, pinion writes the rules and follows what it carries. */
import { startPinion } from '../../test/support/pinion.ts';
import { freePort } from '../../test/support/ports.ts';
import { temporaryFile } from '../../test/support/temporary.ts';
import { deleteTable, forget, requireOwnHost } from '../kernel/rules.ts';
import { asService } from '../load.ts';
import type { Peer } from '../work.ts';

export const pinionKernel: Peer = {
  name: 'pinion-kernel',
  title: 'pinion relay: kernel',
  role: 'pinion',
  transports: ['tcp', 'udp'],
  alone: true,
  async start({ transport, backend, core, place }) {
    requireOwnHost(place);
    const { host, wrapper } = place;
    const port = await freePort(transport);
    // The table is called after the file: of two instances each has its own.
    const name = `bench_${port}`;
    const file = temporaryFile(
      `${name}.yaml`,
      `
engine: epoll
workers: 1
log: { level: info, flows: { level: 'off' } }
listeners:
  - name: bench
    bind: '${transport}://${host}:${port}'
    relay: kernel
    pool: bench
    timeouts: { idle: 10m }
pools:
  bench:
    health: { type: none }
    policy: maglev
    backends:
      - { name: only, address: '${backend.host}:${backend.port}' }
`,
    );
    const started = await startPinion(file, { core, wrapper, startTimeoutMs: 60_000 });
    const service = asService(host, port, started.process);
    return {
      ...service,
      async stop() {
        await service.stop();
        // It stays when pinion goes, which is what it is for.
        await deleteTable(place, `pinion_${name}`);
        await forget(place);
      },
    };
  },
};
