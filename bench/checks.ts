/**
 * What health checks cost: the CPU time of a whole pinion that checks a thousand backends each second, by kind of check.
 * `node dist/bench/checks.js [--backends 1000] [--seconds 20] [--types bare,none,tcp,redis,http]`.
 *
 * It is CPU time (utime and stime of /proc/PID/stat) and no wall time, so that others on the machine disturb little. Backends are
 * addresses of 127.0.0.0/8 with one process behind them, which is not counted; but the kernel's work for both ends of a connection
over loopback counts for who opens it. `bare` is a program that only connects and resets, as often: what it takes no check in
Node.js can be without. There are no clients.
 */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
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
    types: { type: 'string', default: 'bare,none,tcp,redis,http' },
    serve: { type: 'string' },
    connect: { type: 'string' },
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

const ipOf = (i: number): string => `127.1.${i >> 8}.${i & 255}`;

/** Connects to each once a second. */
function connectAll(port: number, backends: number): void {
  const one = (i: number): void => {
    const socket = connect({ host: ipOf(i), port }).on('error', () => {});
    socket.on('connect', () => socket.resetAndDestroy());
  };
  for (let i = 0; i < backends; i++) setTimeout(() => setInterval(one, 1_000, i), (i * 1_000) / backends);
}

/** Milliseconds until all have had their first checks, and what is compiled is compiled. */
const warmUpMs = 8_000;

async function costOfBare(backends: number, seconds: number, port: number): Promise<number> {
  const args = [fileURLToPath(import.meta.url), '--connect', String(port), '--backends', String(backends)];
  const bare = startProcess({ command: process.execPath, args });
  await sleep(warmUpMs);
  const before = cpuMicroseconds([bare.pid]);
  await sleep(seconds * 1_000);
  const share = (cpuMicroseconds([bare.pid]) - before) / (seconds * 1e6);
  await bare.stop();
  return share;
}

interface Cost {
  /** Of one core, 0 to 1. */
  readonly share: number;
  /** The same by thread, largest first. */
  readonly threads: readonly { readonly name: string; readonly share: number }[];
  readonly up: number;
}

async function costOf(type: string, backends: number, seconds: number, port: number): Promise<Cost> {
  const address = (i: number): string => `${ipOf(i)}:${port}`;
  const health = type === 'none' ? { type } : { type, interval: '1s', timeout: '1s' };
  const pool = {
    health,
    backends: Array.from({ length: backends }, (_, i) => ({ name: `b${i}`, address: address(i) })),
  };
  const config = configText({ workers: 1, listeners: [listener('all', 'tcp', 'all')], pools: { all: pool } });
  const pinion = await startPinion(config);
  await sleep(warmUpMs);
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
} else if (values.connect !== undefined) {
  connectAll(Number(values.connect), Number(values.backends));
} else {
  const port = await freePort();
  const own = fileURLToPath(import.meta.url);
  const servers = startProcess({ command: process.execPath, args: [own, '--serve', String(port)] });
  await servers.waitForOutput(/listening/);
  const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
  for (const type of values.types.split(',')) {
    if (type === 'bare') {
      const share = await costOfBare(Number(values.backends), Number(values.seconds), port);
      console.log(`${type.padEnd(6)} ${percent(share).padStart(7)} of a core`);
      continue;
    }
    const cost = await costOf(type, Number(values.backends), Number(values.seconds), port);
    const threads = cost.threads.map(({ name, share }) => `${name} ${percent(share)}`).join(', ');
    console.log(`${type.padEnd(6)} ${percent(cost.share).padStart(7)} of a core; ${cost.up} up; ${threads}`);
  }
  await stopEverything();
}
