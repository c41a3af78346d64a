/**
 * A small network of hosts: network namespaces with one interface each (eth0), joined by a bridge in a namespace
 * that is the switch. Needs root and ip(8). The names carry this process's id, so runs side by side do not meet;
 * all of it is gone after `close`, or at the end of the process.
 *
 *     client   lb1   lb2   backend1 ...
 *        |      |     |        |
 *     ---+------+-----+--------+---   bridge
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { findCommand } from './packages.ts';
import { type ProcessOptions, type RunningProcess, runToEnd, startProcess } from './processes.ts';

const open = new Set<Network>();
let networks = 0;

/** Whether hosts can be made here: root, ip(8), and a kernel that lets us. */
export function hostsWork(): boolean {
  if (process.getuid?.() !== 0 || findCommand('ip') === undefined) return false;
  const name = `pinion-${process.pid}-try`;
  const isMade = spawnSync('ip', ['netns', 'add', name]).status === 0;
  spawnSync('ip', ['netns', 'del', name]);
  return isMade;
}

/** `hosts` by name, each with its address and prefix length (`10.77.0.1/24`). Rejects with what ip(8) said. */
export async function createNetwork(hosts: Readonly<Record<string, string>>): Promise<Network> {
  removeOrphans();
  const network = new Network();
  try {
    await network.addSwitch();
    for (const [name, address] of Object.entries(hosts)) await network.addHost(name, address);
  } catch (error) {
    network.close();
    throw error;
  }
  return network;
}

/** Namespaces of runs that were killed before they could clean up. */
function removeOrphans(): void {
  const list = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' }).stdout ?? '';
  for (const [name, pid] of list.matchAll(/^pinion-(\d+)-\S+/gm))
    if (!existsSync(`/proc/${pid}`)) spawnSync('ip', ['netns', 'del', name]);
}

export class Network {
  readonly #prefix = `pinion-${process.pid}-${networks++}`;
  readonly #namespaces: string[] = [];

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
    const [command, ...args] = [...this.wrapper(host), options.command, ...(options.args ?? [])];
    return startProcess({ name: `${options.command} on ${host}`, ...options, command: command!, args });
  }

  /** ip(8) on a host; returns what it printed. */
  ip(host: string, ...args: readonly string[]): Promise<string> {
    return runToEnd({ command: 'ip', args: ['-n', this.namespace(host), ...args] });
  }

  /** Pulls a host's cable out of the switch, or puts it back. */
  async cable(host: string, state: 'up' | 'down'): Promise<void> {
    await this.ip('switch', 'link', 'set', host, state);
  }

  /** Whether a host has this address at the moment. */
  async hasAddress(host: string, address: string): Promise<boolean> {
    return (await this.ip(host, '-o', 'address', 'show')).includes(` ${address}/`);
  }

  async addSwitch(): Promise<void> {
    await this.#addNamespace('switch');
    await this.ip('switch', 'link', 'add', 'bridge', 'type', 'bridge');
    await this.ip('switch', 'link', 'set', 'bridge', 'up');
  }

  async addHost(name: string, address: string): Promise<void> {
    await this.#addNamespace(name);
    const peer = ['peer', 'name', name, 'netns', this.namespace('switch')];
    await this.ip(name, 'link', 'add', 'eth0', 'type', 'veth', ...peer);
    await this.ip(name, 'address', 'add', address, 'dev', 'eth0');
    await this.ip(name, 'link', 'set', 'eth0', 'up');
    await this.ip('switch', 'link', 'set', name, 'master', 'bridge', 'up');
  }

  /** Takes all hosts away. Processes on them are ended by whoever started them. */
  close(): void {
    open.delete(this);
    for (const name of this.#namespaces.splice(0)) spawnSync('ip', ['netns', 'del', name]);
  }

  async #addNamespace(host: string): Promise<void> {
    const name = this.namespace(host);
    await runToEnd({ command: 'ip', args: ['netns', 'add', name] });
    this.#namespaces.push(name);
    await this.ip(host, 'link', 'set', 'lo', 'up');
    // A link-local address serves at once: without one, a neighbour cannot be asked for on behalf of a foreign source.
    const noDad = 'echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad';
    await runToEnd({ command: 'ip', args: ['netns', 'exec', name, 'sh', '-c', noDad] });
  }
}

process.once('exit', () => {
  for (const network of open) network.close();
});
