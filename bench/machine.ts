/** Where and with what the figures were measured. */
import { readFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { findCommand, type ServerName, serverPackages } from '../test/support/packages.ts';
import { runToEnd } from '../test/support/processes.ts';

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly versions: Readonly<Record<string, string>>;
  /** YYYY-MM-DD. */
  readonly date: string;
}

/** The first version number a command prints; undefined when it is not installed. */
async function versionOf(command: string, flag: string): Promise<string | undefined> {
  const path = findCommand(command);
  if (path === undefined) return undefined;
  return /\d+\.\d+(\.\d+)?/.exec(await runToEnd({ command: path, args: [flag] }))?.[0];
}

export async function describeMachine(): Promise<Machine> {
  const versions: Record<string, string> = { 'Node.js': process.versions.node };
  const rivals: [string, ServerName, string][] = [
    ['HAProxy', 'haproxy', '-v'],
    ['nginx', 'nginx', '-v'],
    ['iperf3', 'iperf3', '--version'],
  ];
  for (const [title, name, flag] of rivals) {
    const version = await versionOf(serverPackages[name].needs[0], flag);
    if (version !== undefined) versions[title] = version;
  }
  // Beside the sources two folders up from the build, dist/bench.
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  versions.pinion = manifest.version;
  const all = cpus();
  return {
    cpu: all[0]?.model.trim() ?? 'unknown CPU',
    cores: all.length,
    kernel: release(),
    versions,
    date: new Date().toISOString().slice(0, 10),
  };
}

/** One sentence. */
export function machineText(machine: Machine): string {
  const versions = Object.entries(machine.versions).map(([name, version]) => `${name} ${version}`);
  return `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}; ${versions.join(', ')}; ${machine.date}`;
}
