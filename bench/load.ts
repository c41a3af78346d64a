/**
 * Runs the load generators and their backends (load/*.ts) as processes of their own on the load's core, and
 * charges what a generator's measured part cost (phases.ts there) to the relay in between.
 */
import { fileURLToPath } from 'node:url';
import { freePort, type Transport, waitUntilBound } from '../test/support/ports.ts';
import { type RunningProcess, runToEnd, startProcess } from '../test/support/processes.ts';
import type { LoadResult } from './load/phases.ts';
import { type Cost, startMeter } from './meter.ts';
import type { BenchSettings, Service, Subject } from './work.ts';

type Script =
  | 'requests'
  | 'keepalive'
  | 'connections'
  | 'udp'
  | 'idle'
  | 'checksum'
  | 'tcp-echo'
  | 'udp-echo';

function commandOf(script: Script, settings: object) {
  // The build lays load/NAME.js beside this file's own output.
  const path = fileURLToPath(new URL(`./load/${script}.js`, import.meta.url));
  return { command: process.execPath, args: [path, JSON.stringify(settings)], name: script };
}

export interface Measured {
  readonly result: LoadResult;
  readonly cost: Cost;
  /** Still there when the generator stays after its end (idle); stop it. */
  readonly process: RunningProcess;
}

/** Starts a generator against a relay and resolves when it reports its end. Rejects with its output if it fails. */
export async function runLoad(
  script: Script,
  { relay }: Subject,
  settings: BenchSettings,
  more: Readonly<Record<string, number>> = {},
): Promise<Measured> {
  const { measureMs, warmMs, cores, places } = settings;
  const { host: clientHost, addresses: clientAddresses, wrapper } = places.clients;
  const loadSettings = {
    host: relay.host,
    port: relay.port,
    measureMs,
    warmMs,
    clientHost,
    clientAddresses,
    ...more,
  };
  let meter = startMeter(relay);
  let end: { result: LoadResult; cost: Cost } | undefined;
  const started = startProcess({
    ...commandOf(script, loadSettings),
    core: cores.load,
    wrapper,
    onLine(line) {
      const message = JSON.parse(line) as { phase: 'begin' } | { phase: 'end'; result: LoadResult };
      if (message.phase === 'begin') meter = startMeter(relay);
      else end = { result: message.result, cost: meter() };
    },
  });
  try {
    await started.waitForOutput(/"phase":"end".*\n/, measureMs + warmMs + 60_000);
  } catch (error) {
    await started.stop('SIGKILL');
    throw error;
  }
  if (end === undefined) throw new Error(`${script} ended without a result`);
  if (end.result.units === 0) throw new Error(`${script} got nothing done (${end.result.failures} failures)`);
  return { ...end, process: started };
}

/** Runs a script that checks something; rejects with what it wrote when it exits with anything but 0. */
export async function runCheck(script: Script, { relay }: Subject, settings: BenchSettings, more: object) {
  const loadSettings = { host: relay.host, port: relay.port, measureMs: 0, warmMs: 0, ...more };
  const { cores, places } = settings;
  await runToEnd({
    ...commandOf(script, loadSettings),
    core: cores.load,
    wrapper: places.clients.wrapper,
  });
}

/** Starts one of our own backends on the load's core. */
export async function startEcho(transport: Transport, settings: BenchSettings): Promise<Service> {
  const { host, wrapper } = settings.places.backend;
  const port = await freePort(transport);
  const started = startProcess({
    ...commandOf(`${transport}-echo`, { host, port }),
    core: settings.cores.load,
    wrapper,
  });
  await waitUntilBound(transport, port, started);
  return asService(host, port, started);
}

/** A started process as the service it offers. */
export function asService(host: string, port: number, started: RunningProcess): Service {
  return {
    host,
    port,
    pid: started.pid,
    async stop() {
      await started.stop();
    },
  };
}
