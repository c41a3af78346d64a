/**
 * Two balancers with `relay: kernel`, four backends and a host of many clients, each on a host of its own; who serves the virtual
 * address is decided by hand (`serveBy`), which sets the address and the backends' way back.
 *
 *     client 10.77.0.1 (10.77.16.0/20 behind it) --- lb1 .11, lb2 .12: 10.77.0.101 --- b1 .21 ... b4 .24
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { configText, type Section } from './config.ts';
import { ask, fetchFreshText } from './fresh-page.ts';
import { createNetwork, type Network } from './hosts.ts';
import { requireCommand } from './packages.ts';
import { type Balancer, Clients, script } from './pair.ts';
import type { ClientsOptions } from './pair-clients.ts';
import { type Pinion, startPinion } from './pinion.ts';
import type { RunningProcess } from './processes.ts';
import { temporaryFolder } from './temporary.ts';

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
export const virtualAddress = '10.77.0.101';
export const virtualAddressV6 = 'fd77::101';
const clientNetwork = '10.77.16.0/20';
const last = (host: string): string => hosts[host]!.replace(/^.*\.(\d+)\/.*$/, '$1');
const addressOf = (host: string): string => hosts[host]!.replace(/\/.*/, '');
const addressV6Of = (host: string): string => `fd77::${last(host)}`;

/** What docs/KERNEL.md says a balancer has to have. */
export const balancerSettings: Readonly<Record<string, number>> = {
  'net.ipv4.ip_forward': 1,
  'net.ipv6.conf.all.forwarding': 1,
  'net.netfilter.nf_conntrack_acct': 1,
  'net.netfilter.nf_conntrack_tcp_loose': 1,
  'net.netfilter.nf_conntrack_tcp_be_liberal': 1,
  'net.ipv4.conf.all.rp_filter': 0,
  'net.ipv4.conf.eth0.rp_filter': 0,
  'net.ipv4.conf.all.send_redirects': 0,
  'net.ipv4.conf.eth0.send_redirects': 0,
};

export async function createKernelWorld(clientsOfEach: number, periodMs: number): Promise<KernelWorld> {
  const network = await createNetwork(hosts);
  try {
    const world = new KernelWorld(network, clientsOfEach, periodMs);
    await world.prepare();
    return world;
  } catch (error) {
    network.close();
    throw error;
  }
}

export class KernelWorld {
  readonly network: Network;
  readonly balancers: Partial<Record<Balancer, Pinion>> = {};
  backends: readonly string[] = ['b1', 'b2', 'b3'];
  /** Of the pools. */
  more: Section = {};
  /** Where in the balancer's own network its metrics are. */
  readonly metricsPort = 9100;
  private readonly clientsOfEach: number;
  private readonly periodMs: number;
  private readonly folder = temporaryFolder('kernel');

  constructor(network: Network, clientsOfEach: number, periodMs: number) {
    this.network = network;
    this.clientsOfEach = clientsOfEach;
    this.periodMs = periodMs;
  }

  async prepare(): Promise<void> {
    const { network } = this;
    for (const host of Object.keys(hosts)) {
      await network.sysctl(host, 'net.ipv6.conf.eth0.accept_dad', 0);
      // Client and backends are on one wire here, and a balancer would tell each of the other.
      await network.sysctl(host, 'net.ipv6.conf.eth0.accept_redirects', 0);
      await network.ip(host, 'address', 'add', `${addressV6Of(host)}/64`, 'dev', 'eth0', 'nodad');
    }
    for (const host of ['lb1', 'lb2']) {
      for (const [name, value] of Object.entries(balancerSettings)) await network.sysctl(host, name, value);
      await network.ip(host, 'route', 'add', clientNetwork, 'via', addressOf('client'));
    }
    await network.ip('client', 'route', 'add', 'local', clientNetwork, 'dev', 'lo');
    const fixed = ['--bind', '0.0.0.0', '--protected-mode', 'no', '--save', '', '--appendonly', 'no'];
    const redis = network.start('redis', {
      command: requireCommand('redis', 'redis-server'),
      args: ['--port', '6379', '--dir', this.folder, ...fixed],
    });
    await redis.waitForOutput(/Ready to accept connections/);
    await Promise.all(
      ['b1', 'b2', 'b3', 'b4'].map((name) => {
        const args = [script('kernel-backend'), name, addressV6Of(name)];
        return network.start(name, { command: process.execPath, args }).waitForOutput(/serving/);
      }),
    );
  }

  /** The virtual addresses, and what backends send to clients, are this balancer's from here on. */
  async serveBy(balancer: Balancer): Promise<void> {
    const { network } = this;
    const other = balancer === 'lb1' ? 'lb2' : 'lb1';
    const shell = (host: string, commands: readonly string[]): Promise<string> =>
      network.run(host, 'sh', '-c', commands.join('; '));
    const addresses = [`${virtualAddress}/32`, `${virtualAddressV6}/128`];
    await shell(
      other,
      addresses.map((one) => `ip address del ${one} dev eth0 2>/dev/null || true`),
    );
    await shell(
      balancer,
      addresses.map((one) => `ip address replace ${one} dev eth0 nodad`),
    );
    const routes = [
      `ip route replace ${clientNetwork} via ${addressOf(balancer)}`,
      `ip route replace ${addressOf('client')}/32 via ${addressOf(balancer)}`,
      `ip -6 route replace ${addressV6Of('client')}/128 via ${addressV6Of(balancer)}`,
    ];
    await Promise.all([
      shell('client', ['ip neigh flush all', 'ip -6 neigh flush all']),
      ...['b1', 'b2', 'b3', 'b4'].map((host) => shell(host, routes)),
    ]);
  }

  config(balancer: Balancer): string {
    const affinity = { key: 'client-ip', ttl: '10m' };
    const health = { type: 'tcp', interval: '200ms', timeout: '200ms', fall: 5, rise: 2 };
    const pool = (port: number, address = addressOf): Section => ({
      policy: 'maglev',
      table_size: 1021,
      health,
      ...this.more,
      backends: this.backends.map((name) => {
        const ip = address(name);
        return { name, address: ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}` };
      }),
    });
    const listener = (name: string, protocol: string, port: number): Section => ({
      name,
      relay: 'kernel',
      pool: name,
      affinity,
      // Of two addresses a balancer without memory could not tell which one a connection came to, when its backend speaks first.
      bind: `${protocol}://${virtualAddress}:${port}`,
    });
    const listenerV6 = (name: string, protocol: string, port: number): Section => ({
      ...listener(name, protocol, port),
      bind: `${protocol}://[${virtualAddressV6}]:${port}`,
    });
    return configText({
      workers: 1,
      log: { flows: { level: 'info' } },
      metrics: { listen: `127.0.0.1:${this.metricsPort}` },
      cluster: { name: 'pair', instance: balancer, redis: `redis://${addressOf('redis')}:6379` },
      admin: { listen: `unix:${this.socketOf(balancer)}` },
      listeners: [
        listener('tcp', 'tcp', 7000),
        listener('udp', 'udp', 7001),
        listener('bulk', 'tcp', 7002),
        listenerV6('tcp6', 'tcp', 7000),
        listenerV6('udp6', 'udp', 7001),
      ],
      pools: {
        tcp: pool(7000),
        udp: pool(7001),
        bulk: pool(7002),
        tcp6: pool(7000, addressV6Of),
        udp6: pool(7001, addressV6Of),
      },
    });
  }

  async startBalancer(balancer: Balancer): Promise<Pinion> {
    const path = join(this.folder, `${balancer}.yaml`);
    writeFileSync(path, this.config(balancer));
    const pinion = await startPinion(path, { wrapper: this.network.wrapper(balancer) });
    this.balancers[balancer] = pinion;
    return pinion;
  }

  async kill(balancer: Balancer): Promise<void> {
    const { process } = this.balancers[balancer]!;
    process.signal('SIGKILL');
    await process.exited;
  }

  async startClients(): Promise<Clients> {
    const count = this.clientsOfEach;
    const options: ClientsOptions = {
      control: join(this.folder, 'clients.sock'),
      targets: [virtualAddress, virtualAddress],
      tcp: { port: 7000, count, network: '10.77.16.0' },
      udp: { port: 7001, count, network: '10.77.24.0' },
      periodMs: this.periodMs,
      // On a busy machine a takeover takes seconds. No connection is to be opened anew for want of patience.
      answerTimeoutMs: 20_000,
    };
    const started = this.network.start('client', {
      command: process.execPath,
      args: [script('pair-clients'), JSON.stringify(options)],
    });
    await started.waitForOutput(/talking/);
    return new Clients(options.control, started);
  }

  /** Downloads that take about so long; its output says `whole` at the end if they were. */
  async download(count: number, bytes: number, seconds: number): Promise<RunningProcess> {
    const args = [script('kernel-fetch'), virtualAddress, bytes, count, Math.floor(bytes / seconds)];
    const started = this.network.start('client', { command: process.execPath, args: args.map(String) });
    await started.waitForOutput(/fetching/);
    return started;
  }

  /** Who answers a client over IPv6. */
  async askV6(protocol: 'tcp' | 'udp'): Promise<string> {
    const tcp = `const s = require('net').connect(7000, '${virtualAddressV6}', () => s.write('who\\n'));
      s.on('data', (d) => { console.log(String(d)); s.destroy(); });`;
    const udp = `const s = require('dgram').createSocket('udp6');
      s.on('message', (d) => { console.log(String(d)); s.close(); }); s.send('who', 7001, '${virtualAddressV6}');`;
    const code = `setTimeout(() => process.exit(1), 5000).unref(); ${protocol === 'tcp' ? tcp : udp}`;
    return (await this.network.run('client', process.execPath, '-e', code)).trim();
  }

  /** The value of a metric without labels. */
  async metric(balancer: Balancer, name: string): Promise<number> {
    const url = `http://127.0.0.1:${this.metricsPort}/metrics`;
    const code = `${fetchFreshText} fetchFresh('${url}').then((r) => r.text()).then(console.log)`;
    const page = await this.network.run(balancer, process.execPath, '-e', code);
    const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(page)?.[1];
    if (value === undefined) throw new Error(`no ${name} among the metrics`);
    return Number(value);
  }

  askAdmin(balancer: Balancer, method: 'GET' | 'POST', path: string): Promise<unknown> {
    return ask(this.socketOf(balancer), method, path);
  }

  table(balancer: Balancer, ...command: readonly string[]): Promise<string> {
    return this.network.run(balancer, 'nft', ...command);
  }

  private socketOf(balancer: Balancer): string {
    return join(this.folder, `${balancer}.sock`);
  }
}
