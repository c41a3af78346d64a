/**
 * A pair with `relay: kernel` as docs/KERNEL.md draws it: keepalived with that page's own file beside each pinion, two virtual addresses
 * for clients and a third which is the backends' way back, and Redis. Nobody but keepalived moves an address.
 *
 *     client 10.77.0.1 (10.77.16.0/20 behind it), redis .31
 *        |  10.77.0.101, .102
 *     lb1 .11, lb2 .12
 *        |  10.77.1.1
 *     b1 10.77.1.21 ... b4 .24
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configText, type Section } from './config.ts';
import { eventually } from './eventually.ts';
import { ask } from './fresh-page.ts';
import { createNetwork, type Network } from './hosts.ts';
import { balancerSettings } from './kernel-world.ts';
import { requireCommand } from './packages.ts';
import { type Balancer, Clients, script } from './pair.ts';
import type { ClientsOptions } from './pair-clients.ts';
import { type Pinion, startPinion } from './pinion.ts';
import { type RunningProcess, runToEnd } from './processes.ts';
import { temporaryFolder } from './temporary.ts';

const front = { client: '10.77.0.1', lb1: '10.77.0.11', lb2: '10.77.0.12', redis: '10.77.0.31' } as const;
const back = { b1: '10.77.1.21', b2: '10.77.1.22', b3: '10.77.1.23', b4: '10.77.1.24' } as const;
const backOf = { lb1: '10.77.1.11', lb2: '10.77.1.12' } as const;
const virtualAddresses = ['10.77.0.101', '10.77.0.102'] as const;
const wayBack = '10.77.1.1';
const clientNetwork = '10.77.16.0/20';
/** A packet of a backend says by its port which virtual address it belongs to. */
const secondPortOffset = 1_000;
const movePatienceMs = 60_000;

export interface KernelPairOptions {
  readonly clientsOfEach: number;
  readonly periodMs: number;
  /** A client whose question is not answered for so long holds its connection for dead. */
  readonly answerTimeoutMs: number;
}

export async function createKernelPair(options: KernelPairOptions): Promise<KernelPair> {
  const { lb1: _, lb2: __, ...others } = front;
  const hosts = Object.entries(others).map(([name, address]) => [name, `${address}/24`]);
  const network = await createNetwork(Object.fromEntries(hosts));
  try {
    const pair = new KernelPair(network, options);
    await pair.prepare();
    return pair;
  } catch (error) {
    network.close();
    throw error;
  }
}

export class KernelPair {
  readonly network: Network;
  readonly balancers: Partial<Record<Balancer, Pinion>> = {};
  readonly keepalived: Partial<Record<Balancer, RunningProcess>> = {};
  backends: readonly string[] = ['b1', 'b2', 'b3'];
  redis: RunningProcess | undefined;
  private readonly options: KernelPairOptions;
  private readonly folder = temporaryFolder('kernel-pair');

  constructor(network: Network, options: KernelPairOptions) {
    this.network = network;
    this.options = options;
  }

  async prepare(): Promise<void> {
    const { network } = this;
    await network.addWire('back');
    for (const [name, address] of Object.entries(back)) {
      await network.add(name);
      await network.plug(name, 'eth0', `${address}/24`, 'back', name);
      await network.ip(name, 'route', 'add', 'default', 'via', wayBack);
      const args = [script('kernel-backend'), name, '::1', String(7_000 + secondPortOffset)];
      await network.start(name, { command: process.execPath, args }).waitForOutput(/serving/);
    }
    for (const balancer of ['lb1', 'lb2'] as const) await this.addBalancer(balancer);
    await network.ip('client', 'route', 'add', 'local', clientNetwork, 'dev', 'lo');
    await this.startRedis();
  }

  /** The host, its cables and its settings. */
  async addBalancer(balancer: Balancer): Promise<void> {
    const { network } = this;
    await network.addHost(balancer, `${front[balancer]}/24`);
    await network.plug(balancer, 'eth1', `${backOf[balancer]}/24`, 'back', `${balancer}-back`);
    for (const [name, value] of Object.entries(balancerSettings)) await network.sysctl(balancer, name, value);
    await network.ip(balancer, 'route', 'add', clientNetwork, 'via', front.client);
  }

  async startRedis(): Promise<void> {
    const fixed = ['--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--appendonly', 'no'];
    this.redis = this.network.start('redis', {
      command: requireCommand('redis', 'redis-server'),
      args: ['--port', '6379', '--dir', this.folder, ...fixed],
    });
    await this.redis.waitForOutput(/Ready to accept connections/);
  }

  config(balancer: Balancer): string {
    const health = { type: 'tcp', interval: '500ms', timeout: '500ms', fall: 4, rise: 2, port: 7000 };
    const affinity = { key: 'client-ip', ttl: '10m' };
    const backends = this.backends.map((name) => ({ name, address: `${back[name as 'b1']}:same` }));
    const pool = { policy: 'maglev', table_size: 1021, health, backends };
    const listener = (name: string, protocol: string, port: number): Section => ({
      name,
      relay: 'kernel',
      pool: name,
      affinity,
      bind: virtualAddresses.map((ip, i) => `${protocol}://${ip}:${port + i * secondPortOffset}`),
    });
    return configText({
      workers: 1,
      log: { flows: { level: 'info' } },
      metrics: undefined,
      cluster: { name: 'pair', instance: balancer, redis: `redis://${front.redis}:6379` },
      admin: { listen: `unix:${this.socketOf(balancer)}` },
      listeners: [listener('tcp', 'tcp', 7000), listener('udp', 'udp', 7001), listener('bulk', 'tcp', 7002)],
      pools: { tcp: pool, udp: pool, bulk: pool },
    });
  }

  async startBalancer(balancer: Balancer): Promise<void> {
    const path = join(this.folder, `${balancer}.yaml`);
    writeFileSync(path, this.config(balancer));
    this.balancers[balancer] = await startPinion(path, { wrapper: this.network.wrapper(balancer) });
    await eventually(`${balancer} in step`, async () => {
      const status = (await ask(this.socketOf(balancer), 'GET', '/status')) as {
        cluster?: { state?: string };
      };
      return this.redis === undefined || status.cluster?.state === 'in-step';
    });
  }

  /** With the file that docs/KERNEL.md shows. */
  async startKeepalived(balancer: Balancer): Promise<void> {
    const file = join(this.folder, `${balancer}-keepalived.conf`);
    writeFileSync(file, this.recipe(balancer), { flag: 'w' });
    chmodSync(file, 0o600);
    const own = (name: string): string => join(this.folder, `${balancer}-${name}`);
    const started = this.network.start(balancer, {
      command: requireCommand('keepalived', 'keepalived'),
      args: ['-n', '-l', '-D', '-P', '-f', file, '-p', own('keepalived.pid'), '-r', own('vrrp.pid')],
    });
    this.keepalived[balancer] = started;
    await started.waitForOutput(/Entering (BACKUP|MASTER) STATE/, movePatienceMs);
  }

  /** Resolves once this balancer alone has all addresses. */
  async servedBy(balancer: Balancer): Promise<void> {
    const other = balancer === 'lb1' ? 'lb2' : 'lb1';
    await eventually(
      `all addresses on ${balancer}`,
      async () => {
        const here = await this.network.ip(balancer, '-o', 'address', 'show');
        const there = await this.network.ip(other, '-o', 'address', 'show').catch(() => '');
        return [...virtualAddresses, wayBack].every(
          (ip) => here.includes(` ${ip}/`) && !there.includes(` ${ip}/`),
        );
      },
      movePatienceMs,
    );
  }

  /** Resolves once this balancer's checks say of all backends that they are up, or down. */
  async judges(balancer: Balancer, state: 'up' | 'down'): Promise<void> {
    await eventually(
      `${balancer} says ${state} of all backends`,
      async () => {
        const { backends } = (await ask(this.socketOf(balancer), 'GET', '/status')) as {
          backends: readonly { readonly up: boolean }[];
        };
        return backends.every(({ up }) => up === (state === 'up'));
      },
      movePatienceMs,
    );
  }

  async kill(balancer: Balancer): Promise<void> {
    const { process } = this.balancers[balancer]!;
    process.signal('SIGKILL');
    await process.exited;
  }

  /** The cable to the clients, the one to the backends, or both. */
  async cable(balancer: Balancer, state: 'up' | 'down', which: 'front' | 'back' | 'both'): Promise<void> {
    if (which !== 'back') await this.network.cable(balancer, state);
    if (which !== 'front') await this.network.cable(`${balancer}-back`, state);
  }

  /**
   * The whole host: what runs on it, its interfaces, its rules and what it knew of connections. All at once for everybody else: the
   * kernel takes a namespace's rules away before its interfaces, and would forward without translating for some milliseconds.
   */
  async destroy(balancer: Balancer): Promise<void> {
    const { network } = this;
    for (const port of [balancer, `${balancer}-back`]) await network.ip('switch', 'link', 'delete', port);
    const pids = (await runToEnd({ command: 'ip', args: ['netns', 'pids', network.namespace(balancer)] }))
      .split('\n')
      .filter((pid) => pid !== '');
    network.remove(balancer);
    for (const pid of pids) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended by itself meanwhile.
      }
    }
    await Promise.all([this.balancers[balancer]!.process.exited, this.keepalived[balancer]!.exited]);
  }

  /** keepalived hands its addresses over, then its pinion is replaced, and it stands by again. */
  async upgrade(balancer: Balancer): Promise<void> {
    const other = balancer === 'lb1' ? 'lb2' : 'lb1';
    await this.keepalived[balancer]!.stop('SIGTERM');
    await this.servedBy(other);
    await this.balancers[balancer]!.stop();
    await this.startBalancer(balancer);
    await this.startKeepalived(balancer);
  }

  async startClients(): Promise<Clients> {
    const { clientsOfEach: count, periodMs, answerTimeoutMs } = this.options;
    const options: ClientsOptions = {
      control: join(this.folder, 'clients.sock'),
      targets: virtualAddresses,
      tcp: { port: 7000, count, network: '10.77.16.0' },
      udp: { port: 7001, count, network: '10.77.24.0' },
      periodMs,
      answerTimeoutMs,
      secondPortOffset,
    };
    const started = this.network.start('client', {
      command: process.execPath,
      args: [script('pair-clients'), JSON.stringify(options)],
    });
    await started.waitForOutput(/talking/);
    return new Clients(options.control, started);
  }

  /** Downloads through each virtual address, at a pace that would take so long; SIGUSR2 ends the pace. */
  async downloads(countOfEach: number, bytes: number, seconds: number): Promise<RunningProcess[]> {
    return Promise.all(
      virtualAddresses.map(async (ip, i) => {
        const port = 7_002 + i * secondPortOffset;
        const args = [script('kernel-fetch'), ip, bytes, countOfEach, Math.floor(bytes / seconds), port];
        const started = this.network.start('client', { command: process.execPath, args: args.map(String) });
        await started.waitForOutput(/fetching/);
        return started;
      }),
    );
  }

  private recipe(balancer: Balancer): string {
    const page = readFileSync(new URL('../../docs/KERNEL.md', import.meta.url), 'utf8');
    const shown = /```\n(vrrp_script pinion_serves[^`]*)```/.exec(page)?.[1];
    if (shown === undefined) throw new Error('docs/KERNEL.md shows no file of keepalived');
    const text = `global_defs {\n    router_id ${balancer}\n    enable_script_security\n    script_user root\n}\n${shown}`;
    // A start takes longer here, where all hosts share the processors and other tests run besides.
    const patient = text.replace('fall 20', 'fall 60');
    const own = patient.replaceAll('/run/pinion/admin.sock', this.socketOf(balancer));
    if (balancer === 'lb1') return own;
    return own
      .replace('priority 150', 'priority 100')
      .replace(`unicast_src_ip ${front.lb1}`, `unicast_src_ip ${front.lb2}`)
      .replace(`unicast_peer { ${front.lb2} }`, `unicast_peer { ${front.lb1} }`);
  }

  private socketOf(balancer: Balancer): string {
    return join(this.folder, `${balancer}.sock`);
  }
}
