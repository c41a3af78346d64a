/**
 * A network namespace of its own for a process under test: only loopback, with the settings a story needs. What
 * talks to it joins it through nsenter(1).
 */
import { spawnSync } from 'node:child_process';
import { fetchFreshText } from './fresh-page.ts';
import { runToEnd } from './processes.ts';

const isRoot = process.getuid?.() === 0;
const unshare = isRoot ? ['unshare', '--net'] : ['unshare', '--net', '--user', '--map-root-user'];

/** A wrapper that runs `setUp`, shell commands, in a new namespace and then becomes the command. */
export function namespaceWrapper(setUp: readonly string[] = []): string[] {
  return [...unshare, 'sh', '-c', `${['ip link set lo up', ...setUp].join(' && ')} && exec "$@"`, 'sh'];
}

/** Whether namespaces can be made here. */
export function namespacesWork(): boolean {
  const [command, ...args] = unshare as [string, ...string[]];
  return spawnSync(command, [...args, 'ip', 'link', 'set', 'lo', 'up']).status === 0;
}

/** Runs a Node program (CommonJS text, which may use `fetchFresh`) in the namespace of a process; returns what it printed. */
export function runInNamespaceOf(pid: number, program: string): Promise<string> {
  const user = isRoot ? [] : ['--user', '--preserve-credentials'];
  const args = ['--target', String(pid), '--net', ...user, process.execPath, '-e', fetchFreshText + program];
  return runToEnd({ command: 'nsenter', args });
}
