/**
 * Network namespaces as hosts, joined by cables (veth): for stories that need routes, rules of the kernel or addresses of their own. Needs
 * root and ip(8). The names carry this process's id, so runs side by side do not meet; all of it is gone after `close`, or at
 * the end of the process. hosts.ts makes hosts on one switch out of it.
 *
 *     const world = await createNamespaces('client', 'balancer', 'backend');
 *     await world.link('client', ['10.9.0.1/24'], 'balancer', ['10.9.0.2/24']);
 *     await world.ip('client', 'route', 'add', 'default', 'via', '10.9.0.2');
 *     world.start('balancer', { command: 'haproxy', args: [...] });
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readlinkSync } from 'node:fs';
import { findCommand } from './packages.ts';
import { type ProcessOptions, type RunningProcess, runToEnd, startProcess } from './processes.ts';

const open = new Set<Namespaces>();
let made = 0;

/** Whether hosts can be made here: root, ip(8), and a kernel that lets us. */
export function hostsWork(): boolean {
  if (process.getuid?.() !== 0 || findCommand('ip') === undefined) return false;
  const name = `pinion-${process.pid}-try`;
  const isMade = spawnSync('ip', ['netns', 'add', name]).status === 0;
  spawnSync('ip', ['netns', 'del', name]);
  return isMade;
}

/** Hosts without cables. Rejects with what ip(8) said. */
export async function createNamespaces(...hosts: readonly string[]): Promise<Namespaces> {
  removeOrphans();
  const namespaces = new Namespaces();
  try {
    for (const host of hosts) await namespaces.add(host);
  } catch (error) {
    namespaces.close();
    throw error;
  }
  return namespaces;
}

/** Namespaces of runs that were killed before they could clean up. */
export function removeOrphans(): void {
  const list = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout ?? '';
  for (const [name, pid] of list.matchAll(/^pinion-(\d+)-\S+/gm))
    if (!existsSync(`/proc/${pid}`)) spawnSync('ip', ['netns', 'del', name]);
}

export class Namespaces {
  readonly #prefix = `pinion-${process.pid}-${made++}`;
  readonly #names: string[] = [];

  constructor() {
    open.add(this);
  }

  /** The namespace's name for ip(8). */
  namespace(host: string): string {
    return `${this.#prefix}-${host}`;
  }

  /** What a command line begins with to run on a host; it becomes the command (exec), so the id stays. */
  wrapper(host: string): string[] {
    return ['ip', 'netns', 'exec', this.namespace(host)];
  }

  /** Starts a process on a host. */
  start(host: string, options: ProcessOptions): RunningProcess {
    return startProcess({ name: `${options.command} on ${host}`, ...options, wrapper: this.wrapper(host) });
  }

  /** Runs a command on a host to its end; returns what it printed. Rejects with that if it fails. */
  run(host: string, command: string, ...args: readonly string[]): Promise<string> {
    return runToEnd({ command, args, wrapper: this.wrapper(host) });
  }

  /** ip(8) on a host; returns what it printed. */
  ip(host: string, ...args: readonly string[]): Promise<string> {
    return runToEnd({ command: 'ip', args: ['-n', this.namespace(host), ...args] });
  }

  /** Sets what is under /proc/sys on a host: `net.ipv4.ip_forward`. */
  async sysctl(host: string, name: string, value: number | string): Promise<void> {
    await this.run(host, 'sh', '-c', `echo ${value} > /proc/sys/${name.replaceAll('.', '/')}`);
  }

  /** A host with loopback alone. */
  async add(host: string): Promise<void> {
    const name = this.namespace(host);
    await runToEnd({ command: 'ip', args: ['netns', 'add', name] });
    this.#names.push(name);
    // Whatever is done on a host would be done to this machine if its wrapper led nowhere.
    const own = readlinkSync('/proc/self/ns/net');
    if ((await this.run(host, 'readlink', '/proc/self/ns/net')).trim() === own)
      throw new Error(`${name} is no network namespace of its own`);
    await this.ip(host, 'link', 'set', 'lo', 'up');
    // A link-local address serves at once: without one, a neighbour cannot be asked for on behalf of a foreign source.
    await this.sysctl(host, 'net.ipv6.conf.default.accept_dad', 0);
  }

  /** A cable between two hosts; the interface at each end has the other host's name. Addresses with their prefix length. */
  async link(one: string, ones: readonly string[], other: string, others: readonly string[]): Promise<void> {
    const peer = ['peer', 'name', one, 'netns', this.namespace(other)];
    await this.ip(one, 'link', 'add', other, 'type', 'veth', ...peer);
    for (const [host, device, addresses] of [
      [one, other, ones],
      [other, one, others],
    ] as const) {
      for (const address of addresses) await this.ip(host, 'address', 'add', address, 'dev', device);
      await this.ip(host, 'link', 'set', device, 'up');
    }
  }

  /** Takes one host away with all that is on it but its processes, which go on without a network. */
  remove(host: string): void {
    const at = this.#names.indexOf(this.namespace(host));
    if (at >= 0) spawnSync('ip', ['netns', 'del', ...this.#names.splice(at, 1)]);
  }

  /** Takes all hosts away. Processes on them are ended by whoever started them. */
  close(): void {
    open.delete(this);
    for (const name of this.#names.splice(0)) spawnSync('ip', ['netns', 'del', name]);
  }
}

process.once('exit', () => {
  for (const namespaces of open) namespaces.close();
});
