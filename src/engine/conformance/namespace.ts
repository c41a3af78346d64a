/**
 * A network namespace for the engine's process: loopback plus the addresses a story needs, and no way out.
 * Other programs of the story join it through nsenter(1).
 */
import { execFile, spawnSync } from 'node:child_process';
import { promisify } from 'node:util';
import type { Stage, StageOptions } from './stage.ts';

const isRoot = process.getuid?.() === 0;
const unshare = isRoot ? ['unshare', '--net'] : ['unshare', '--net', '--user', '--map-root-user'];

/**
 * Stage options that start the engine in a new namespace whose loopback also has `addresses` (CIDR).
 * @param more shell commands that set up what else the story needs
 */
export function newNamespace(addresses: readonly string[], more: readonly string[] = []): StageOptions {
  const setUp = [
    'ip link set lo up',
    ...addresses.map((cidr) => `ip addr add ${cidr} dev lo${cidr.includes(':') ? ' nodad' : ''}`),
    ...more,
  ];
  return {
    wrapper: [...unshare, 'sh', '-c', `${setUp.join(' && ')} && exec "$@"`, 'sh'],
    namespace: true,
  };
}

/** Whether this user may make namespaces here. */
export function namespacesWork(): boolean {
  return spawnSync(unshare[0]!, [...unshare.slice(1), 'ip', 'link', 'set', 'lo', 'up']).status === 0;
}

/** Runs a Node program (CommonJS text) inside the engine's namespace; returns what it prints. */
export async function runInside(stage: Stage, program: string, args: readonly string[]): Promise<string> {
  const enter = [
    '--target',
    String(stage.pid),
    '--net',
    ...(isRoot ? [] : ['--user', '--preserve-credentials']),
  ];
  const { stdout } = await promisify(execFile)(
    'nsenter',
    [...enter, process.execPath, '-e', program, ...args],
    {
      timeout: 30_000,
    },
  );
  return stdout;
}
