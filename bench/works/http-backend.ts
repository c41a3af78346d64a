/** The HTTP backend: nginx with a fixed answer, because it is light beside any relay. */
import { startStaticHttp } from '../../test/support/nginx.ts';
import { asService } from '../load.ts';
import type { BenchSettings, Service } from '../work.ts';

/** @param keepAliveSeconds 0 closes after every answer */
export async function startHttpBackend(settings: BenchSettings, keepAliveSeconds: number): Promise<Service> {
  const { port, process } = await startStaticHttp({
    ...settings.places.backend,
    body: 'hello',
    keepAliveSeconds,
    core: settings.cores.load,
    connectionsMax: 4096,
  });
  return asService(settings.places.backend.host, port, process);
}
