/**
 * `relay: kernel` under hostile conditions, with real packets: clients speak over TCP and UDP all the while, as in kernel-relay.test.ts, and
 * the kernel's table of connections is full, its events are lost, or somebody floods a listener with forged addresses.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { everybodyRight } from './support/answered.ts';
import { configText, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { createKernelWorld, type KernelWorld, virtualAddress } from './support/kernel-world.ts';
import { type Clients, script } from './support/pair.ts';
import type { Report } from './support/pair-clients.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { requireKernel } from './support/require-kernel.ts';

const clientsOfEach = 100;
const periodMs = 250;
const patienceMs = 40_000;
const forgedNetwork = '10.66.0.0/16';
const forgedCount = 20_000;
/** More events than the socket's buffer has room for (limits.ts). */
const eventFloodCount = 65_536;
/** To fill a larger table would take too long, and too much of a shared machine. */
const conntrackMaxMost = 1_000_000;
/** For each forged connection, until the kernel gives it up. */
const memoryOfForgedBytesMax = 4_096;

interface Status {
  readonly pins: { readonly live: number };
  readonly listeners: readonly { readonly name: string; readonly flows: number }[];
  readonly backends: readonly { readonly up: boolean }[];
}

function conntrackMax(): number {
  try {
    return Number(readFileSync('/proc/sys/net/netfilter/nf_conntrack_max', 'utf8'));
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

requireKernel('redis', 'iproute2')('the kernel carries it, whoever is against it', () => {
  let world: KernelWorld;
  let clients: Clients;
  let pinion: Pinion;

  beforeAll(async () => {
    world = await createKernelWorld(clientsOfEach, periodMs);
    await world.serveBy('lb1');
    pinion = await world.startBalancer('lb1');
    // Answers to forged clients go where those would be, and nobody is there.
    for (const host of ['b1', 'b2', 'b3'])
      await world.network.ip(host, 'route', 'add', forgedNetwork, 'via', '10.77.0.11');
    await world.network.ip('lb1', 'route', 'add', forgedNetwork, 'via', '10.77.0.1');
    clients = await world.startClients();
    await everybody('first answers');
    // The kernel makes room at the expense of conversations over UDP that are younger than two seconds (nf_conntrack_proto_udp.c).
    await sleep(3_000);
    await everybody('no longer young');
  });

  afterAll(async () => {
    await stopEverything();
    world?.network.close();
  });

  const status = (): Promise<Status> => world.askAdmin('lb1', 'GET', '/status') as Promise<Status>;
  const flowsOf = async (listener: string): Promise<number> =>
    (await status()).listeners.find(({ name }) => name === listener)!.flows;

  const everybody = (story: string): Promise<Report> => everybodyRight(clients, clientsOfEach, story);

  async function nobodyLost(story: string): Promise<void> {
    const { tcp } = await everybody(story);
    expect({ story, connections: tcp.connections }).toEqual({ story, connections: 0 });
  }

  /** Who answers a client that was never here; nobody for a second and a half. */
  async function newcomer(): Promise<string> {
    const code = `const s = require('net').connect(7000, '${virtualAddress}', () => s.write('who\\n'));
      const say = (who) => { console.log(who); process.exit(0); };
      s.on('data', (d) => say(String(d).trim())).on('error', () => say('nobody')); setTimeout(say, 1500, 'nobody');`;
    return (await world.network.run('client', process.execPath, '-e', code)).trim();
  }

  /** To how many backends new clients over TCP are led, by the table as it is. */
  async function leadsTo(): Promise<number> {
    const map = await world.table('lb1', 'list', 'map', 'inet', 'pinion_lb1', 'buckets/tcp/1021/4');
    return new Set([...map.matchAll(/ : (0x[0-9a-f]+)/g)].map(([, number]) => number)).size;
  }

  async function flood(protocol: 'tcp' | 'udp', count: number, port: number): Promise<void> {
    const args = [script('kernel-flood'), protocol, count, virtualAddress, port].map(String);
    expect(await world.network.run('client', process.execPath, ...args)).toBe(`sent ${count}\n`);
  }

  test.skipIf(conntrackMax() > conntrackMaxMost)(
    `the kernel has no room for another connection: those that are open go on (not run with nf_conntrack_max above ${conntrackMaxMost})`,
    async () => {
      await clients.mark();
      const filling = world.network.start('lb1', {
        command: process.execPath,
        args: [script('kernel-fill')],
      });
      await filling.waitForOutput(/full/, patienceMs);
      // The checks' own connections find no room either.
      await eventually('no backend seems to be up', async () =>
        (await status()).backends.every(({ up }) => !up),
      );
      const told = await pinion.waitForLog(({ event }) => event === 'listener-fault');
      expect(told.message).toMatch(/drops packets that begin connections.*nf_conntrack_max/);
      await nobodyLost('table full');
      expect(await newcomer()).toBe('nobody');
      filling.signal('SIGTERM');
      await filling.waitForOutput(/gone/, patienceMs);
      await eventually('all backends are up', async () => (await status()).backends.every(({ up }) => up));
      await eventually('clients are led to all of them', async () => (await leadsTo()) === 3);
      await expect.poll(newcomer).toMatch(/^b[123]$/);
      expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
      await nobodyLost('room again');
      // While it is full nobody gets through to the metrics.
      await expect.poll(() => world.metric('lb1', 'pinion_kernel_drops_total')).toBeGreaterThan(0);
    },
  );

  test('a flood of SYNs from forged sources: clients are served, pins and memory do not grow', async () => {
    const before = await status();
    const rssBefore = pinion.rssBytes();
    await clients.mark();
    await flood('tcp', forgedCount, 7000);
    await nobodyLost('flooded');
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
    await everybody('flooded and crossed');
    expect((await status()).pins.live).toBe(before.pins.live);
    await expect.poll(async () => (await status()).backends.filter(({ up }) => !up)).toEqual([]);
    const grownBytes = pinion.rssBytes() - rssBefore;
    console.info(`${forgedCount} forged SYNs: ${await flowsOf('tcp')} flows, ${grownBytes >> 20} MiB more`);
    expect(grownBytes).toBeLessThan(forgedCount * memoryOfForgedBytesMax);
  });

  test('events of the kernel are lost: it is told and counted, and nobody is', async () => {
    await clients.mark();
    pinion.process.signal('SIGSTOP');
    await flood('udp', eventFloodCount, 7001);
    // Connections that nobody hears the beginning of, and ends.
    expect((await clients.cross()).tcp).toBe(clientsOfEach);
    pinion.process.signal('SIGCONT');
    await eventually(
      'counted',
      async () => (await world.metric('lb1', 'pinion_kernel_events_lost_total')) > 0,
    );
    await pinion.waitForLog(({ message }) => String(message).includes('all are listed again'));
    await nobodyLost('events lost');
    const ofB1 = (await clients.report()).tcp.perBackend.b1!;
    await world.askAdmin('lb1', 'POST', '/connections/kill?pool=tcp&backend=b1&over-ms=0');
    await eventually('each of them has connected again', async () => {
      const { tcp } = await clients.report();
      return tcp.connections >= ofB1;
    });
    expect((await everybody('known to the last one')).tcp.connections).toBe(ofB1);
  });

  test('a first listener for the kernel that a reload brings is refused with what to do', async () => {
    const user = configText({
      workers: 1,
      metrics: undefined,
      listeners: [{ name: 'front', bind: 'tcp://127.0.0.1:7100', pool: 'pool' }],
      pools: {
        pool: { policy: 'maglev', health: noCheck, backends: [{ name: 'b1', address: '10.77.0.21:7000' }] },
      },
    });
    const other = await startPinion(user, { wrapper: world.network.wrapper('lb2') });
    writeFileSync(other.configPath, world.config('lb2'));
    other.process.signal('SIGHUP');
    const { problems } = await other.waitForLog(({ event }) => event === 'reload-refused');
    expect(JSON.stringify(problems)).toMatch(/without a listener of `relay: kernel`.* restart it/);
    await other.stop();
  });
});
