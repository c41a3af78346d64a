/**
 * Holds many TCP connections and UDP conversations through pinion for a while, with traffic on all of them, and says what
 * that costs: CPU of pinion and of the machine, memory, latency.
 *
 * A process may hold only as many descriptors as RLIMIT_NOFILE says, and pinion counts two for each flow. Where the
 * limit cannot be raised (it takes CAP_SYS_RESOURCE), several pinions share the work, or less is held.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { descriptorsPerTcpFlow } from '../../src/core/limits.ts';
import { configText, listener, noCheck } from '../../test/support/config.ts';
import { type Pinion, startPinion } from '../../test/support/pinion.ts';
import { type RunningProcess, startProcess } from '../../test/support/processes.ts';
import { cpuMicroseconds, descriptorLimit, machineMicroseconds } from '../../test/support/procfs.ts';
import { temporaryFolder } from '../../test/support/temporary.ts';
import type { LoadResult } from '../load/phases.ts';
import { startEcho } from '../load.ts';
import { loopback } from '../work.ts';

export interface HoldOptions {
  /** Wanted; fewer are held where `instances` cannot hold them. */
  readonly connections: number;
  readonly conversations: number;
  readonly holdMs: number;
  /** Each client asks once in this time. */
  readonly intervalMs: number;
  /** Pinions that share the clients. `auto`: as few as the descriptor limit allows. */
  readonly instances: number | 'auto';
}

export interface HoldResult {
  readonly descriptorLimit: number;
  readonly instances: number;
  readonly connections: number;
  readonly conversations: number;
  /** Flows pinion counted at the end of the time. */
  readonly flowsHeld: number;
  readonly descriptors: number;
  readonly tcp: LoadResult;
  readonly udp: LoadResult;
  readonly elapsedMs: number;
  /** Of all instances together; 1 is one core. */
  readonly pinionCores: number;
  readonly machineCores: number;
  readonly emptyRssBytes: number;
  readonly heldRssBytes: number;
  /** Datagrams dropped, connections ended otherwise than by the client: pinion's own counters. */
  readonly faults: readonly string[];
}

const descriptorsWanted = 200_000;
/** The clients stay for this long after the measured time, while what they hold is looked at. */
const stayMs = 5_000;
/** Flows beside those of the clients: none should be, a few do no harm. */
const spareFlows = 100;

/** Raises this process's limit on descriptors, which children inherit, where the kernel lets it; returns the limit. */
export function raiseDescriptorLimit(): number {
  if (descriptorLimit() < descriptorsWanted) {
    const both = `--nofile=${descriptorsWanted}:${descriptorsWanted}`;
    try {
      execFileSync('prlimit', ['--pid', String(process.pid), both], { stdio: 'ignore' });
    } catch {
      // EPERM, or no prlimit: what there is has to do.
    }
  }
  return descriptorLimit();
}

function startInstance(flows: number, tcpPort: number, udpPort: number): Promise<Pinion> {
  return startPinion(
    configText({
      engine: process.env.PINION_TEST_ENGINE ?? 'auto',
      workers: 'auto',
      log: { flows: { level: 'off' } },
      limits: { flows },
      listeners: [listener('tcp', 'tcp', 'tcp'), listener('udp', 'udp', 'udp')],
      pools: {
        tcp: { health: noCheck, backends: [{ name: 't', address: `127.0.0.1:${tcpPort}` }] },
        udp: { health: noCheck, backends: [{ name: 'u', address: `127.0.0.1:${udpPort}` }] },
      },
    }),
  );
}

interface Load {
  readonly process: RunningProcess;
  readonly opened: Promise<void>;
  readonly began: Promise<void>;
  readonly ended: Promise<LoadResult>;
}

function startLoad(
  transport: 'tcp' | 'udp',
  ports: readonly number[],
  clients: number,
  goFile: string,
  options: HoldOptions,
): Load {
  const path = fileURLToPath(new URL('../load/hold.js', import.meta.url));
  const times = { warmMs: options.intervalMs, measureMs: options.holdMs, intervalMs: options.intervalMs };
  const settings = { host: '127.0.0.1', port: 0, ports, transport, clients, goFile, stayMs, ...times };
  let open = (): void => {};
  let begin = (): void => {};
  let end = (_: LoadResult): void => {};
  let fail = (_: Error): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const began = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const ended = new Promise<LoadResult>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  const started = startProcess({
    command: process.execPath,
    args: [path, JSON.stringify(settings)],
    name: `${transport} load`,
    onLine(line) {
      const message = JSON.parse(line) as
        | { phase: 'opened' | 'begin' }
        | { phase: 'end'; result: LoadResult };
      if (message.phase === 'end') end(message.result);
      else if (message.phase === 'begin') begin();
      else open();
    },
  });
  void started.exited.then(() => fail(new Error(`the ${transport} load ended early:\n${started.output()}`)));
  ended.catch(() => {}); // whoever awaits it hears of it
  return { process: started, opened, began, ended };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((all, one) => all + one, 0);

/** Sum over the instances of a metric. */
async function total(pinions: readonly Pinion[], name: string): Promise<number> {
  return sum(await Promise.all(pinions.map(async (pinion) => (await pinion.metric(name)) ?? 0)));
}

async function faultsOf(pinions: readonly Pinion[]): Promise<string[]> {
  const counters = ['pinion_listener_datagrams_dropped_total', 'pinion_listener_refused_total'];
  const names = [...counters, 'pinion_backend_dial_failures_total', 'pinion_listener_ended_total'];
  const faults: string[] = [];
  for (const name of names) {
    const count = await total(pinions, name);
    if (count > 0) faults.push(`${name} ${count}`);
  }
  for (const pinion of pinions) {
    for (const event of ['flow-fault', 'worker-died']) {
      if (pinion.events(event).length > 0) faults.push(`${event} was logged`);
    }
  }
  return faults;
}

/** More than an instance with two listeners and two pages holds beside its flows (src/control/descriptor-sum.ts). */
const descriptorsOfInstance = 1_024;

/** Runs it once; the processes are ended by the caller (`stopEverything`). Rejects when not all could be opened. */
export async function hold(options: HoldOptions): Promise<HoldResult> {
  const limit = raiseDescriptorLimit();
  const wanted = options.connections + options.conversations;
  const perInstance = Math.floor((limit - descriptorsOfInstance) / descriptorsPerTcpFlow) - spareFlows;
  const instances = options.instances === 'auto' ? Math.ceil(wanted / perInstance) : options.instances;
  const share = Math.min(1, (instances * perInstance) / wanted);
  const connections = Math.floor(options.connections * share);
  const conversations = Math.floor(options.conversations * share);
  const settings = {
    cores: { relay: undefined, load: undefined },
    places: loopback,
    measureMs: options.holdMs,
    warmMs: 0,
  };
  const [tcpBackend, udpBackend] = [await startEcho('tcp', settings), await startEcho('udp', settings)];
  const pinions: Pinion[] = [];
  const flows = Math.ceil((connections + conversations) / instances) + spareFlows;
  for (let i = 0; i < instances; i++)
    pinions.push(await startInstance(flows, tcpBackend.port, udpBackend.port));
  await sleep(1_000); // start-up's own work is over
  const pids = pinions.map(({ pid }) => pid);
  const rss = (): number => sum(pinions.map((pinion) => pinion.rssBytes()));
  const emptyRssBytes = rss();

  const portsOf = (name: string): number[] => pinions.map((pinion) => pinion.port(name));
  const goFile = join(temporaryFolder('hold'), 'go');
  const loads = [
    startLoad('tcp', portsOf('tcp'), connections, goFile, options),
    startLoad('udp', portsOf('udp'), conversations, goFile, options),
  ] as const;
  const endings = Promise.all([loads[0].ended, loads[1].ended]);
  await Promise.race([Promise.all(loads.map(({ opened }) => opened)), endings]);
  writeFileSync(goFile, '');
  await Promise.race([Promise.all(loads.map(({ began }) => began)), endings]);
  const cpuBefore = cpuMicroseconds(pids);
  const machineBefore = machineMicroseconds();
  const startedAt = performance.now();
  const [tcp, udp] = await endings;
  const elapsedMs = performance.now() - startedAt;
  const pinionCores = (cpuMicroseconds(pids) - cpuBefore) / 1000 / elapsedMs;
  const machineCores = (machineMicroseconds() - machineBefore) / 1000 / elapsedMs;
  const held = { heldRssBytes: rss(), descriptors: sum(pinions.map((pinion) => pinion.descriptors())) };
  const flowsHeld = await total(pinions, 'pinion_flows');
  const faults = await faultsOf(pinions);
  await Promise.all(loads.map(({ process }) => process.exited));
  const failures = loads.map(({ process }) => process.output()).filter((text) => /^client/m.test(text));
  return {
    descriptorLimit: limit,
    instances,
    connections,
    conversations,
    flowsHeld,
    tcp,
    udp,
    elapsedMs,
    pinionCores,
    machineCores,
    emptyRssBytes,
    ...held,
    faults: [...faults, ...failures.map((text) => text.slice(0, 1_000))],
  };
}

/** What is not as it must be; empty: all were held, and nothing went wrong. */
export function missesOf(result: HoldResult): string[] {
  const misses = [...result.faults];
  const { connections, conversations, flowsHeld } = result;
  if (flowsHeld < connections + conversations)
    misses.push(`only ${flowsHeld} of ${connections + conversations} flows are held`);
  for (const [name, load, clients] of [
    ['tcp', result.tcp, connections],
    ['udp', result.udp, conversations],
  ] as const) {
    if (load.failures > 0) misses.push(`${name}: ${load.failures} failures`);
    if (load.units < clients) misses.push(`${name}: ${load.units} answers to ${clients} clients`);
  }
  return misses;
}

/** The kernel's ceiling for the limit, for a message. */
export function descriptorCeiling(): string {
  return readFileSync('/proc/sys/fs/nr_open', 'latin1').trim();
}
