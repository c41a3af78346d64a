/**
 * HTTP pages on 127.0.0.1 and on the unix socket named in the arguments, served from a worker thread as pinion serves its
 * own; for http-strangers.test.ts. Prints its port. Whatever is thrown in the thread ends the process.
 */
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { pageFreshMs } from '../../src/core/limits.ts';
import { type HttpService, type Routes, serveHttp } from '../../src/front/http.ts';
import { freshFor } from '../../src/front/shared-page.ts';

/** 5 MB. */
const lines = 100_000;

function page(length: number, value: number): string {
  const line = (_: unknown, i: number): string =>
    `pinion_of_a_test_bytes_total{row="${100_000 + i}"} ${value}\n`;
  return Array.from({ length }, line).join('');
}

async function serve(path: string): Promise<void> {
  let renders = 0;
  const services: HttpService[] = [];
  const routes: Routes = {
    'GET /readyz': () => ({ status: 200, body: 'ready\n' }),
    'GET /metrics': freshFor(pageFreshMs, () => {
      renders += 1;
      return { status: 200, body: page(lines, renders) };
    }),
    'GET /own': freshFor(
      pageFreshMs,
      () => ({ status: 200, body: page(lines, 0) }),
      ({ query }) => query.toString(),
    ),
    'GET /state': () => ({ status: 200, body: { renders, counts: services[0]!.counts() } }),
    'POST /change': () => ({ status: 200, body: {} }),
  };
  services.push(await serveHttp({ kind: 'inet', ip: '127.0.0.1', port: 0 }, routes));
  services.push(await serveHttp({ kind: 'unix', path }, routes));
  process.stdout.write(`port ${services[0]!.port}\n`);
}

if (isMainThread) {
  process.umask(0);
  const thread = new Worker(new URL(import.meta.url), {
    workerData: process.argv[2],
    resourceLimits: { maxOldGenerationSizeMb: 64 },
  });
  thread.on('error', (error) => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
  });
} else {
  await serve(workerData as string);
}
