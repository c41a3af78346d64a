/**
 * A pair of balancers as docs/KEEPALIVED.md describes it, each part on a host of its own: two instances that share
 * their pins through one Redis, keepalived beside each with the configuration files of the recipe, four backends,
 * and a host with thousands of clients. Addresses are those of config/keepalived-lb1.conf.
 */
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { configText } from './config.ts';
import { eventually } from './eventually.ts';
import { ask } from './fresh-page.ts';
import { createNetwork, type Network } from './hosts.ts';
import { requireCommand } from './packages.ts';
import type { ClientsOptions, Report } from './pair-clients.ts';
import { type Pinion, pinionMain, startPinion } from './pinion.ts';
import { type RunningProcess, runToEnd } from './processes.ts';
import { temporaryFile, temporaryFolder } from './temporary.ts';

export type Balancer = 'lb1' | 'lb2';

/** Whose the virtual addresses are while all is well. */
export const virtualAddress = { lb1: '10.77.0.101', lb2: '10.77.0.102' } as const;

const hosts: Readonly<Record<string, string>> = {
  client: '10.77.0.1/24',
  lb1: '10.77.0.11/24',
  lb2: '10.77.0.12/24',
  b1: '10.77.0.21/24',
  b2: '10.77.0.22/24',
  b3: '10.77.0.23/24',
  b4: '10.77.0.24/24',
  redis: '10.77.0.31/24',
};
/** The track script must say yes twice in a row, and preempt_delay goes by: on a busy machine that takes its time. */
const movePatienceMs = 60_000;
const addressOf = (host: string): string => hosts[host]!.replace(/\/.*/, '');

/** The clients' own addresses: a network behind the client's host. */
const clientNetwork = '10.77.16.0/20';

export interface PairOptions {
  readonly clientsOfEach: number;
  readonly periodMs: number;
}

/** Starts everything but the balancers. */
export async function createPair(options: PairOptions): Promise<Pair> {
  const network = await createNetwork(hosts);
  const pair = new Pair(network, options);
  try {
    await pair.startRedis();
    await Promise.all(['b1', 'b2', 'b3', 'b4'].map((name) => pair.startBackend(name)));
    // Every address of it is the client's, without four thousand entries; the others reach it as a routed network,
    // so nobody needs a neighbour entry for each (the kernel keeps about a thousand).
    await network.ip('client', 'route', 'add', 'local', clientNetwork, 'dev', 'lo');
    for (const host of ['lb1', 'lb2'])
      await network.ip(host, 'route', 'add', clientNetwork, 'via', addressOf('client'));
  } catch (error) {
    network.close();
    throw error;
  }
  return pair;
}

export class Pair {
  readonly network: Network;
  readonly balancers: Partial<Record<Balancer, Pinion>> = {};
  readonly keepalived: Partial<Record<Balancer, RunningProcess>> = {};
  backends: readonly string[] = ['b1', 'b2', 'b3'];
  redis: RunningProcess | undefined;
  readonly #options: PairOptions;
  readonly #folder = temporaryFolder('pair');

  constructor(network: Network, options: PairOptions) {
    this.network = network;
    this.#options = options;
  }

  async startRedis(): Promise<void> {
    const fixed = ['--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--appendonly', 'no'];
    this.redis = this.network.start('redis', {
      command: requireCommand('redis', 'redis-server'),
      args: ['--port', '6379', '--dir', this.#folder, ...fixed],
    });
    await this.redis.waitForOutput(/Ready to accept connections/);
  }

  /** Runs redis-cli on Redis's host. */
  async redisCommand(...args: readonly string[]): Promise<void> {
    const [command, ...wrapped] = this.network.wrapper('redis');
    const cli = requireCommand('redis', 'redis-cli');
    await runToEnd({ command: command!, args: [...wrapped, cli, ...args] });
  }

  async startBackend(name: string): Promise<void> {
    const args = [script('pair-backend'), name];
    await this.network.start(name, { command: process.execPath, args }).waitForOutput(/serving/);
  }

  /** The configuration of an instance for the backends of the moment. */
  config(balancer: Balancer): string {
    const health = { type: 'tcp', interval: '200ms', timeout: '200ms', fall: 3, rise: 2 };
    const affinity = { key: 'client-ip', ttl: '10m' };
    const pool = (port: number, policy: string): object => ({
      policy,
      health,
      backends: this.backends.map((name) => ({ name, address: `${addressOf(name)}:${port}` })),
    });
    return configText({
      workers: 1,
      log: { flows: { level: 'off' } },
      admin: { listen: `unix:${this.#adminSocket(balancer)}` },
      cluster: { name: 'pair', instance: balancer, redis: `redis://${addressOf('redis')}:6379` },
      listeners: [
        { name: 'tcp', bind: 'tcp://0.0.0.0:7000', pool: 'tcp', affinity },
        { name: 'udp', bind: 'udp://0.0.0.0:7001', pool: 'udp', affinity },
      ],
      // With least-connections nothing but the shared pins tells the other instance where a client belongs.
      pools: { tcp: pool(7000, 'least-connections') as never, udp: pool(7001, 'maglev') as never },
    });
  }

  /** Starts an instance with the configuration of the moment. */
  async startBalancer(balancer: Balancer): Promise<void> {
    const path = temporaryFile('pinion.yaml', this.config(balancer));
    this.balancers[balancer] = await startPinion(path, { wrapper: this.network.wrapper(balancer) });
  }

  /**
   * The recipe's file, but for the admin socket. `sleepy`: pinion may be away for half a minute before it gives up the
   * addresses, so a restart goes unnoticed.
   */
  startKeepalived(balancer: Balancer, manner: 'brisk' | 'sleepy' = 'brisk'): void {
    const recipe = new URL(`../../config/keepalived-${balancer}.conf`, import.meta.url);
    const text = readFileSync(recipe, 'utf8').replaceAll(
      '/run/pinion/admin.sock',
      this.#adminSocket(balancer),
    );
    const sleepy = text.replace('fall 2', 'fall 30');
    const file = temporaryFile('keepalived.conf', manner === 'sleepy' ? sleepy : text);
    chmodSync(file, 0o600);
    const own = (name: string): string => join(this.#folder, `${balancer}-${name}`);
    this.keepalived[balancer] = this.network.start(balancer, {
      command: requireCommand('keepalived', 'keepalived'),
      args: ['-n', '-l', '-D', '-P', '-f', file, '-p', own('keepalived.pid'), '-r', own('vrrp.pid')],
    });
  }

  /** Resolves once `balancer` alone has the address that is its own, or its peer's. */
  async addressAt(owner: Balancer, balancer: Balancer): Promise<void> {
    const address = virtualAddress[owner];
    const other = balancer === 'lb1' ? 'lb2' : 'lb1';
    await eventually(
      `${address} on ${balancer}`,
      async () => {
        const [here, there] = [
          await this.network.hasAddress(balancer, address),
          await this.network.hasAddress(other, address),
        ];
        return here && !there;
      },
      movePatienceMs,
    );
  }

  async startClients(): Promise<Clients> {
    const { clientsOfEach: count, periodMs } = this.#options;
    const options: ClientsOptions = {
      control: join(this.#folder, 'clients.sock'),
      targets: [virtualAddress.lb1, virtualAddress.lb2],
      tcp: { port: 7000, count, network: '10.77.16.0' },
      udp: { port: 7001, count, network: '10.77.24.0' },
      periodMs,
    };
    const started = this.network.start('client', {
      command: process.execPath,
      args: [script('pair-clients'), JSON.stringify(options)],
    });
    await started.waitForOutput(/talking/);
    return new Clients(options.control, started);
  }

  #adminSocket(balancer: Balancer): string {
    return join(this.#folder, `${balancer}.sock`);
  }

  /** The status page of an instance. */
  status(balancer: Balancer): Promise<{ readonly cluster?: { readonly state?: string } }> {
    return ask(this.#adminSocket(balancer), 'GET', '/status') as never;
  }
}

/** The test's end of pair-clients.ts. */
export class Clients {
  readonly process: RunningProcess;
  readonly #control: string;

  constructor(control: string, started: RunningProcess) {
    this.#control = control;
    this.process = started;
  }

  mark(): Promise<unknown> {
    return ask(this.#control, 'POST', '/mark');
  }

  round(): Promise<unknown> {
    return ask(this.#control, 'POST', '/round');
  }

  leave(backend: string): Promise<unknown> {
    return ask(this.#control, 'POST', `/leave?name=${backend}`);
  }

  cross(): Promise<{ readonly tcp: number; readonly udp: number }> {
    return ask(this.#control, 'POST', '/cross') as Promise<{ tcp: number; udp: number }>;
  }

  report(): Promise<Report> {
    return ask(this.#control, 'GET', '/report') as Promise<Report>;
  }
}

/** A built script beside this file's build. */
export function script(name: string): string {
  const path = join(pinionMain(), '../../test/support', `${name}.js`);
  if (!existsSync(path)) throw new Error(`${path} is missing: run \`npm run build\` first`);
  return path;
}
