/**
 * A backend with many open connections dies: when each of its clients is told, and how long other clients of the same pinion wait for
 * their answers meanwhile. The clients that are told, and those whose answers are timed, are processes of their own.
 *
 *    frozen: the backend's process stands still, as one whose machine is gone. Nothing tells but the check; each client
 *            is told because of the verdict, with a reset
 *    killed: its process is gone, and its kernel ends each connection in order. Clients are told at once, the verdict
 *            comes later
 *
 * All clocks are that of the machine, in milliseconds since 1970.
 */
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { descriptorsPerTcpFlow } from '../../src/core/limits.ts';
import { configText, listener, noCheck } from '../../test/support/config.ts';
import { type Pinion, startPinion } from '../../test/support/pinion.ts';
import { type RunningProcess, startProcess } from '../../test/support/processes.ts';
import { cpuMicroseconds, threadCpu } from '../../test/support/procfs.ts';
import { temporaryFolder } from '../../test/support/temporary.ts';
import { raiseDescriptorLimit } from '../hold/hold.ts';
import { startEcho } from '../load.ts';
import { loopback } from '../work.ts';

export interface DeathOptions {
  readonly engine: 'epoll' | 'portable';
  /** Wanted; fewer are opened where the limit on descriptors of a process is lower. */
  readonly connections: number;
  readonly how: 'frozen' | 'killed';
  /** `close_over`; 0: at once. */
  readonly closeOverMs: number;
  /**
   * Connections that have come and gone before, by twos: one ended in order, one broken off. An instance that has ended nobody yet
   * compiles, in the moment that is measured, what any other has compiled long ago: a fifth of its CPU time then.
   */
  readonly past: number;
  /** So long others are served before the death. */
  readonly calmMs: number;
}

/** Percentiles of times in milliseconds. */
export interface Times {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

export interface DeathResult {
  readonly connections: number;
  /** From the verdict until each was told, in order. Below 0: before it. Milliseconds. */
  readonly toldMs: readonly number[];
  /** From the death to the verdict. */
  readonly verdictMs: number;
  readonly othersBefore: Times;
  /** Those who asked between the death, or the verdict where nobody knew before it, and the last client that was told. */
  readonly othersMeanwhile: Times;
  /** CPU time of pinion from the death until all were told. Milliseconds. */
  readonly cpuMs: number;
  /** That of its main thread, which writes the log: a line for each client that is told. */
  readonly mainCpuMs: number;
  /** CPU time of this process meanwhile, on the same cores. */
  readonly readerCpuMs: number;
}

/** What pinion holds beside the flows, and a backend or a client beside its connections. */
const descriptorsBeside = 1_100;
/** Each tenth of a second has a hundred questions of others. */
const others = { clients: 20, intervalMs: 20 };
const toldWithinMs = 120_000;
const comingAtOnce = 32;

interface Told {
  readonly times: number[];
  readonly opened: Promise<void>;
  readonly all: Promise<void>;
}

type Sample = readonly [askedMs: number, tookMs: number];

/** A generator of `load/`, which writes JSON, a line each. */
export function startScript(
  name: string,
  settings: object,
  onLine: (message: never) => void,
): RunningProcess {
  const path = fileURLToPath(new URL(`../load/${name}.js`, import.meta.url));
  return startProcess({
    command: process.execPath,
    args: [path, JSON.stringify({ host: '127.0.0.1', ...settings })],
    name,
    onLine: (line) => {
      // What it writes when it fails is in its output.
      if (line.startsWith('{')) onLine(JSON.parse(line) as never);
    },
  });
}

function startHolders(port: number, clients: number): Told {
  const times: number[] = [];
  const phases = new Map<string, () => void>();
  let fail = (_: Error): void => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => {}); // whoever awaits a phase hears of it
  const phase = (name: string): Promise<void> =>
    Promise.race([new Promise<void>((resolve) => phases.set(name, resolve)), failed]);
  const [opened, all] = [phase('opened'), phase('end')];
  all.catch(() => {});
  const line = (message: { readonly phase?: string; readonly told?: readonly number[] }): void => {
    if (message.told !== undefined) times.push(...message.told);
    if (message.phase !== undefined) phases.get(message.phase)?.();
  };
  const started = startScript('holders', { port, clients }, line);
  void started.exited.then(() => fail(new Error(`the clients ended early:\n${started.output()}`)));
  return { times, opened, all };
}

function startRelay(
  options: DeathOptions,
  connections: number,
  doomed: number,
  echo: number,
  folder: string,
): Promise<Pinion> {
  const check = {
    steps: [{ send: 'here?' }, { expect: 'here?' }],
    interval: '200ms',
    timeout: '200ms',
    fall: 2,
  };
  return startPinion(
    configText({
      engine: options.engine,
      workers: 'auto',
      limits: { flows: connections + 100 },
      // Written like all lines, but not to this process: ten thousand lines that it reads would be its work on the same cores.
      log: { flows: { level: 'off' }, access: { file: join(folder, 'access.log') } },
      listeners: [
        listener('doomed', 'tcp', 'doomed'),
        listener('others', 'tcp', 'others', { limits: { reserve: 50 } }),
      ],
      pools: {
        doomed: {
          health: { type: 'send-expect', ...check },
          ...(options.closeOverMs > 0 ? { close_over: `${options.closeOverMs}ms` } : {}),
          backends: [{ name: 'doomed', address: `127.0.0.1:${doomed}` }],
        },
        others: { health: noCheck, backends: [{ name: 'lives', address: `127.0.0.1:${echo}` }] },
      },
    }),
  );
}

/** Runs it once; the processes are ended by the caller (`stopEverything`). Rejects when a client is not served, or not told. */
export async function die(options: DeathOptions): Promise<DeathResult> {
  const most = Math.floor((raiseDescriptorLimit() - descriptorsBeside) / descriptorsPerTcpFlow);
  const connections = Math.min(options.connections, most - 100);
  const settings = {
    cores: { relay: undefined, load: undefined },
    places: loopback,
    measureMs: 0,
    warmMs: 0,
  };
  const [doomed, lives] = [await startEcho('tcp', settings), await startEcho('tcp', settings)];
  const pinion = await startRelay(options, connections, doomed.port, lives.port, temporaryFolder('deaths'));
  await comeAndGo(pinion.port('others'), options.past);
  const holders = startHolders(pinion.port('doomed'), connections);
  await holders.opened;
  const samples: Sample[] = [];
  const asking = startScript(
    'others',
    { port: pinion.port('others'), ...others },
    (message: { readonly samples?: readonly Sample[] }) => void samples.push(...(message.samples ?? [])),
  );
  await sleep(options.calmMs);

  const diedMs = Date.now();
  const cpuBefore = cpuTimes(pinion.pid);
  process.kill(doomed.pid!, options.how === 'frozen' ? 'SIGSTOP' : 'SIGKILL');
  const down = await pinion.waitForLog(
    ({ event, backend }) => event === 'backend-down' && backend === 'doomed',
  );
  await within(toldWithinMs, holders.all);
  const cpuAfter = cpuTimes(pinion.pid);
  // What is on its way to us.
  await sleep(500);
  if (asking.status !== undefined) throw new Error(`others were not served:\n${asking.output()}`);
  const verdictAtMs = Number(down.time);
  const toldMs = holders.times.map((atMs) => atMs - verdictAtMs).sort((one, other) => one - other);
  const fromMs = options.how === 'frozen' ? verdictAtMs : diedMs;
  const untilMs = verdictAtMs + toldMs.at(-1)!;
  const between = (from: number, until: number): Times =>
    timesOf(samples.filter(([atMs]) => atMs >= from && atMs <= until).map(([, tookMs]) => tookMs));
  return {
    connections,
    toldMs,
    verdictMs: verdictAtMs - diedMs,
    othersBefore: between(diedMs - options.calmMs / 2, diedMs),
    othersMeanwhile: between(fromMs, untilMs),
    cpuMs: cpuAfter.allMs - cpuBefore.allMs,
    mainCpuMs: cpuAfter.mainMs - cpuBefore.mainMs,
    readerCpuMs: cpuAfter.readerMs - cpuBefore.readerMs,
  };
}

async function comeAndGo(port: number, count: number): Promise<void> {
  let left = count;
  const next = async (): Promise<void> => {
    for (let i = left--; i > 0; i = left--) await visit(port, i % 2 === 0);
  };
  await Promise.all(Array.from({ length: comingAtOnce }, next));
}

/** Asks, has its answer, and leaves. */
function visit(port: number, isOrderly: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write('hello'));
    socket.once('data', () => (isOrderly ? socket.end() : socket.resetAndDestroy()));
    socket.once('error', reject).once('close', () => resolve());
  });
}

function cpuTimes(pid: number): {
  readonly allMs: number;
  readonly mainMs: number;
  readonly readerMs: number;
} {
  const main = [...threadCpu(pid)].find(([id]) => Number(id) === pid);
  return {
    allMs: cpuMicroseconds([pid]) / 1_000,
    mainMs: (main?.[1].us ?? 0) / 1_000,
    readerMs: cpuMicroseconds([process.pid]) / 1_000,
  };
}

async function within(ms: number, done: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not all clients were told within ${ms} ms`)), ms);
  });
  await Promise.race([done, late]).finally(() => clearTimeout(timer));
}

export function timesOf(all: readonly number[]): Times {
  const sorted = [...all].sort((one, other) => one - other);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** How many were told in each of `parts` equal parts of the time. */
export function spreadOf(toldMs: readonly number[], overMs: number, parts: number): number[] {
  const counts = new Array<number>(parts).fill(0);
  for (const ms of toldMs) counts[Math.max(0, Math.min(parts - 1, Math.floor((ms * parts) / overMs)))]!++;
  return counts;
}
