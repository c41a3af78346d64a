/**
 * What it costs to look at a pinion: its metrics page, the backends of the admin API and the state that the page for operators is told.
 * `node dist/bench/scrape.js [--backends 1,100,1000] [--scrapes 20] [--pages metrics,backends,state] [--other DIR]`.
 *
 * Backends are addresses of 127.0.0.0/8 with one process behind them, in pools with a listener each, and are checked every two
 * seconds. Clients come and go at all listeners; twenty that stay ask a thousand questions a second and are timed. After a calm time, in
 * which nobody looks, each page is asked for once a second. The CPU time of a page is that of pinion above what it took in the calm
 * time; utime and stime of /proc/PID/task/*, so that others on the machine disturb little. `--other` measures the build of another checkout.
 */
import { once } from 'node:events';
import { Agent, get } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { adminToken, configText, listener } from '../test/support/config.ts';
import { eventually } from '../test/support/eventually.ts';
import { type Pinion, startPinion } from '../test/support/pinion.ts';
import { freePort, waitUntilBound } from '../test/support/ports.ts';
import { startProcess, stopEverything } from '../test/support/processes.ts';
import { threadCpu } from '../test/support/procfs.ts';
import { startScript, type Times, timesOf } from './deaths/deaths.ts';
import { describeMachine, machineText } from './machine.ts';

const { values } = parseArgs({
  options: {
    backends: { type: 'string', default: '1,100,1000' },
    scrapes: { type: 'string', default: '20' },
    pages: { type: 'string', default: 'metrics,backends,state' },
    other: { type: 'string' },
    visit: { type: 'string' },
  },
});
const poolsMax = 10;
const visitEveryMs = 5;
const timed = { clients: 20, intervalMs: 20 };
/** Longer than any page is shared. */
const lookEveryMs = 1_100;
/** Until all have been checked a few times, and what is compiled is compiled. */
const warmUpMs = 6_000;
const warmUpLooks = 5;
const startWithinMs = 120_000;

/** Comes to each listener in turn, asks, and goes. */
function visitAll(ports: readonly number[]): void {
  let turn = 0;
  setInterval(() => {
    const socket = connect(ports[turn++ % ports.length]!, '127.0.0.1', () => socket.write('hello'));
    socket.on('error', () => {}).once('data', () => socket.end());
  }, visitEveryMs);
}

interface Look {
  readonly tookMs: number;
  readonly bytes: number;
}

/** Asks for a page and reads it to its end. */
async function look(url: string, agent: Agent): Promise<Look> {
  const startMs = performance.now();
  const request = get(url, { agent, headers: { authorization: `Bearer ${adminToken}` } });
  const [response] = await once(request, 'response');
  let bytes = 0;
  for await (const chunk of response) bytes += chunk.length;
  if (response.statusCode !== 200) throw new Error(`${url} answered ${response.statusCode}`);
  return { tookMs: performance.now() - startMs, bytes };
}

async function looks(url: string, count: number): Promise<Look[]> {
  const agent = new Agent({ keepAlive: true });
  const all: Look[] = [];
  for (let i = 0; i < count; i++) {
    const startMs = performance.now();
    all.push(await look(url, agent));
    await sleep(Math.max(0, lookEveryMs - (performance.now() - startMs)));
  }
  agent.destroy();
  return all;
}

/** Follows what happens for so many states, which come by themselves: how long one takes to be made is not seen from here. */
async function follow(url: string, count: number): Promise<Look[]> {
  const request = get(url, { headers: { authorization: `Bearer ${adminToken}` } });
  const [response] = await once(request, 'response');
  let [bytes, states] = [0, 0];
  for await (const chunk of response) {
    bytes += chunk.length;
    states += chunk.toString('latin1').split('event: state\n').length - 1;
    if (states > count) break;
  }
  return Array.from({ length: count }, () => ({ tookMs: Number.NaN, bytes: bytes / states }));
}

/** CPU time in milliseconds: all of it, of the main thread, of the thread that makes the pages. */
interface Cpu {
  readonly byThread: ReadonlyMap<string, number>;
  readonly atMs: number;
}

function cpuOf(pid: number): Cpu {
  return {
    atMs: performance.now(),
    byThread: new Map([...threadCpu(pid)].map(([id, { us }]) => [id, us / 1_000])),
  };
}

/** What each thread took for each second between the two. */
function perSecond(from: Cpu, to: Cpu): Map<string, number> {
  const seconds = (to.atMs - from.atMs) / 1_000;
  return new Map([...to.byThread].map(([id, ms]) => [id, (ms - (from.byThread.get(id) ?? 0)) / seconds]));
}

type Sample = readonly [askedMs: number, tookMs: number];

const sum = (all: Iterable<number>): number => [...all].reduce((total, one) => total + one, 0);
const median = (all: readonly number[]): number =>
  [...all].sort((one, other) => one - other)[all.length >> 1] ?? Number.NaN;
const timesText = ({ p50, p99 }: Times): string => `${p50.toFixed(2)} / ${p99.toFixed(2)}`;

async function startRelay(backends: number): Promise<Pinion> {
  const port = await freePort();
  const echo = startScript('tcp-echo', { host: '0.0.0.0', port }, () => {});
  await waitUntilBound('tcp', port, echo);
  const names = Array.from({ length: Math.min(poolsMax, backends) }, (_, pool) => `pool-${pool}`);
  const pools = names.map((name, pool) => {
    const own = Array.from({ length: backends }, (_, i) => i).filter((i) => i % names.length === pool);
    const addresses = own.map((i) => ({
      name: `backend-${i}`,
      address: `127.1.${i >> 8}.${i & 255}:${port}`,
    }));
    return [name, { policy: 'round-robin', backends: addresses }] as const;
  });
  const pinion = await startPinion(
    configText({
      workers: 1,
      log: { flows: { level: 'off' } },
      listeners: names.map((name) => listener(name, 'tcp', name, { affinity: { key: 'none' } })),
      pools: Object.fromEntries(pools),
    }),
    {
      startTimeoutMs: startWithinMs,
      ...(values.other === undefined ? {} : { main: join(values.other, 'dist/src/main.js') }),
    },
  );
  await eventually('all are up', async () => (await pinion.metric('pinion_backend_up')) === backends);
  return pinion;
}

async function measure(backends: number, scrapes: number, pages: readonly string[]): Promise<void> {
  const pinion = await startRelay(backends);
  const ports = Array.from({ length: Math.min(poolsMax, backends) }, (_, i) => pinion.port(`pool-${i}`));
  const own = fileURLToPath(import.meta.url);
  startProcess({ command: process.execPath, args: [own, '--visit', ports.join(',')] });
  const samples: Sample[] = [];
  startScript('others', { port: ports[0], ...timed }, (message: { readonly samples?: Sample[] }) =>
    samples.push(...(message.samples ?? [])),
  );
  const [metrics, admin] = [pinion.port('metrics'), pinion.port('admin')].map(
    (at) => `http://127.0.0.1:${at}`,
  );
  const ways: Readonly<Record<string, (count: number) => Promise<Look[]>>> = {
    metrics: (count) => looks(`${metrics}/metrics`, count),
    backends: (count) => looks(`${admin}/v1/backends`, count),
    state: (count) => follow(`${admin}/v1/stream`, count),
  };
  await sleep(warmUpMs);
  for (const page of pages) await ways[page]!(warmUpLooks);
  const during = async <T>(work: () => Promise<T>) => {
    const [from, fromMs] = [cpuOf(pinion.pid), Date.now()];
    const result = await work();
    const [to, toMs] = [cpuOf(pinion.pid), Date.now()];
    // Their answers are told four times a second.
    await sleep(500);
    const asked = samples.filter(([atMs]) => atMs >= fromMs && atMs <= toMs).map(([, tookMs]) => tookMs);
    return {
      result,
      took: perSecond(from, to),
      seconds: (to.atMs - from.atMs) / 1_000,
      clients: timesOf(asked),
    };
  };
  const calm = await during(() => sleep(scrapes * lookEveryMs));
  console.log(`\n${backends} backends; calm: ${sum(calm.took.values()).toFixed(1)} ms of CPU a second, \
clients ${timesText(calm.clients)} ms (p50 / p99), ${Math.round(pinion.rssBytes() / 1e6)} MB resident`);
  for (const page of pages) {
    const { result, took, seconds, clients } = await during(() => ways[page]!(scrapes));
    const above = [...took]
      .map(([id, ms]) => ({ id, ms: ((ms - (calm.took.get(id) ?? 0)) * seconds) / result.length }))
      .sort((one, other) => other.ms - one.ms);
    const control = above.find(({ id }) => Number(id) === pinion.pid)?.ms ?? 0;
    const front = above.find(({ id }) => Number(id) !== pinion.pid)?.ms ?? 0;
    const all = sum(above.map(({ ms }) => ms));
    const wallMs = median(result.map(({ tookMs }) => tookMs));
    const wall = Number.isNaN(wallMs) ? '' : `wall ${wallMs.toFixed(1)} ms, `;
    console.log(`  ${page.padEnd(8)} ${(median(result.map(({ bytes }) => bytes)) / 1e3).toFixed(0).padStart(5)} kB: ${wall}\
CPU ${all.toFixed(1)} ms (control ${control.toFixed(1)}, the pages' thread ${front.toFixed(1)}, others ${(all - control - front).toFixed(1)}); \
clients ${timesText(clients)} ms; ${Math.round(pinion.rssBytes() / 1e6)} MB`);
  }
  await stopEverything();
}

if (values.visit !== undefined) {
  visitAll(values.visit.split(',').map(Number));
} else {
  console.log(machineText(await describeMachine()));
  for (const backends of values.backends.split(','))
    await measure(Number(backends), Number(values.scrapes), values.pages.split(','));
}
