/**
 * What health checks cost: the CPU time of a whole pinion that checks a thousand backends each second, by kind of check.
 * `node dist/bench/checks.js [--backends 1000] [--seconds 20] [--types none,tcp,redis,http] [--profile DIR]`.
 *
 * It is CPU time (utime and stime of /proc/PID/stat) and no wall time, so that others on the machine disturb little. Backends are
 * addresses of 127.0.0.0/8 with one process behind them, which is not counted. There are no clients.
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { configText, listener } from '../test/support/config.ts';
import { startPinion } from '../test/support/pinion.ts';
import { freePort } from '../test/support/ports.ts';
import { startProcess, stopEverything } from '../test/support/processes.ts';
import { cpuMicroseconds, threadCpu } from '../test/support/procfs.ts';

const { values } = parseArgs({
  options: {
    backends: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '20' },
    types: { type: 'string', default: 'none,tcp,redis,http' },
    profile: { type: 'string' },
    serve: { type: 'string' },
  },
});

/** Any answer to the three questions: each looks at the first line of it alone. */
function answer(socket: Socket, question: Buffer): void {
  const isHttp = question.includes('HTTP/');
  socket.write(isHttp ? 'HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n' : '+PONG\r\n');
}

async function serve(port: number): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => {}).on('data', (question) => answer(socket, question));
  });
  server.listen({ port, host: '0.0.0.0', backlog: 4_096 });
  await once(server, 'listening');
  console.log('listening');
}

interface Cost {
  /** Of one core, 0 to 1. */
  readonly share: number;
  /** The same by thread, largest first. */
  readonly threads: readonly { readonly name: string; readonly share: number }[];
  readonly up: number;
}

async function costOf(type: string, backends: number, seconds: number, port: number): Promise<Cost> {
  const address = (i: number): string => `127.1.${i >> 8}.${i & 255}:${port}`;
  const health = type === 'none' ? { type } : { type, interval: '1s', timeout: '1s' };
  const pool = {
    health,
    backends: Array.from({ length: backends }, (_, i) => ({ name: `b${i}`, address: address(i) })),
  };
  const config = configText({ workers: 1, listeners: [listener('all', 'tcp', 'all')], pools: { all: pool } });
  const { profile } = values;
  const wrapper =
    profile === undefined ? [] : ['env', `NODE_OPTIONS=--cpu-prof --cpu-prof-dir=${profile}/${type}`];
  const pinion = await startPinion(config, { wrapper });
  // All have had their first checks, and what is compiled is compiled.
  await sleep(8_000);
  const up = (await pinion.metric('pinion_backend_up')) ?? 0;
  const before = { all: cpuMicroseconds([pinion.pid]), threads: threadCpu(pinion.pid) };
  const from = performance.now();
  await sleep(seconds * 1_000);
  const tookUs = (performance.now() - from) * 1_000;
  const share = (cpuMicroseconds([pinion.pid]) - before.all) / tookUs;
  const threads = [...threadCpu(pinion.pid)]
    .map(([id, { name, us }]) => ({ name, share: (us - (before.threads.get(id)?.us ?? 0)) / tookUs }))
    .filter((thread) => thread.share >= 0.005)
    .sort((a, b) => b.share - a.share);
  await pinion.stop();
  return { share, threads, up };
}

if (values.serve !== undefined) {
  await serve(Number(values.serve));
} else {
  const port = await freePort();
  const own = fileURLToPath(import.meta.url);
  const servers = startProcess({ command: process.execPath, args: [own, '--serve', String(port)] });
  await servers.waitForOutput(/listening/);
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  for (const type of values.types.split(',')) {
    const cost = await costOf(type, Number(values.backends), Number(values.seconds), port);
    const threads = cost.threads.map(({ name, share }) => `${name} ${percent(share)}`).join(', ');
    console.log(`${type.padEnd(6)} ${percent(cost.share).padStart(7)} of a core; ${cost.up} up; ${threads}`);
  }
  await stopEverything();
}
