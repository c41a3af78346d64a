/**
 * The comparison benchmark: pinion beside HAProxy, nginx and no relay at all, on this machine, in one go. The
 * relay has one core, the load and the backend another. It starts everything itself and ends it by process id
 * however it is left. Absolute figures belong to the machine; the ratios are what it is for.
 */
import { writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { ensurePackages, serverPackages } from '../test/support/packages.ts';
import { stopEverything } from '../test/support/processes.ts';
import { checkPages, writePages } from './documents.ts';
import { createKernelNetwork, type KernelNetwork } from './kernel/network.ts';
import { describeMachine, type Machine, machineText } from './machine.ts';
import { type BenchOptions, readOptions, usage } from './options.ts';
import { runWork, type WorkResult } from './rounds.ts';
import { figure } from './summary.ts';
import { markdownTable, omissions, terminalTable } from './table.ts';
import { type BenchSettings, loopback, type Places } from './work.ts';

const warmMs = 1_000;

/** Progress on one line that the next one overwrites; nothing where nobody watches. */
function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

const kernelPlaces = [
  `Client, relay and backend are network namespaces in a row, joined by veth; with no relay the one in the middle only routes.`,
  `Clients have 250 addresses.`,
].join(' ');

function explanation(options: BenchOptions, machine: Machine): string {
  return [
    ...(options.kernel ? [kernelPlaces] : []),
    `Medians of ${options.rounds} alternating rounds of ${options.seconds} s; relay on one core, load and backend on`,
    `another. In brackets: pinion over the better of HAProxy and nginx in the same round. \`relay\` is the CPU of the`,
    `relay's processes, \`machine\` that of the whole machine, load and backend included.`,
    `\n\n${machineText(machine)}.`,
  ]
    .join(' ')
    .replace(/ \n/, '\n');
}

function toJson(options: BenchOptions, machine: Machine, results: readonly WorkResult[]): string {
  const works = results.map((result) => ({
    name: result.work.name,
    title: result.work.title,
    measures: result.work.measures,
    peers: result.peers.map((one) => ({
      name: one.peer.name,
      failure: one.failure,
      samples: one.samples,
      figures: Object.fromEntries(result.work.measures.map((each) => [each.key, figure(result, one, each)])),
    })),
  }));
  const { rounds, seconds } = options;
  return `${JSON.stringify({ machine, rounds, seconds, works }, undefined, 2)}\n`;
}

async function measure(options: BenchOptions, places: Places): Promise<void> {
  if (options.write) checkPages(options.kernel ? 'bench-kernel' : 'bench');
  const { missing } = await ensurePackages();
  for (const name of missing) console.error(`not installed: ${serverPackages[name].debian.join(' ')}`);
  const machine = await describeMachine();
  console.log(machineText(machine));
  console.log(`load average before: ${loadavg()[0]?.toFixed(2)}`);
  const pinned = availableParallelism() >= 2;
  if (!pinned) console.log('one core only: nothing is pinned, relay and load disturb each other');
  const settings: BenchSettings = {
    cores: pinned ? { relay: 0, load: 1 } : { relay: undefined, load: undefined },
    places,
    measureMs: options.seconds * 1000,
    warmMs,
  };
  const results: WorkResult[] = [];
  for (const work of options.works) {
    try {
      const result = await runWork(work, options.peers, options.rounds, settings, say);
      say('');
      console.log(terminalTable([result], options.peers));
      for (const line of omissions([result])) console.log(`  ${line}`);
      results.push(result);
    } catch (error) {
      say('');
      console.log(`\n${work.name}: not measured (${error instanceof Error ? error.message : String(error)})`);
      if (options.write) throw error;
    }
  }
  if (options.json !== undefined) writeFileSync(options.json, toJson(options, machine, results));
  const page = `${explanation(options, machine)}\n\n${markdownTable(results, options.peers)}`;
  if (!options.write) return;
  if (
    results.some(({ peers }) => peers.some((one) => one.peer.role === 'pinion' && one.failure !== undefined))
  ) {
    throw new Error('pages not written: pinion itself is missing from a work');
  }
  writePages(page, options.kernel ? 'bench-kernel' : 'bench');
}

async function main(): Promise<void> {
  let options: BenchOptions | undefined;
  try {
    options = readOptions(process.argv.slice(2));
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n\n${usage()}`);
    process.exit(2);
  }
  if (options === undefined) {
    console.log(usage());
    return;
  }
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    // The second one does not wait: the `exit` handler of processes.ts kills what is left.
    process.once(signal, () => {
      process.once(signal, () => process.exit(code));
      void stopEverything().finally(() => process.exit(code));
    });
  }
  let network: KernelNetwork | undefined;
  try {
    network = options.kernel ? await createKernelNetwork() : undefined;
    await measure(options, network?.places ?? loopback);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  } finally {
    await stopEverything();
    network?.close();
  }
}

await main();
