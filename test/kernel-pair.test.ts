/**
 * The pair with `relay: kernel` as docs/KERNEL.md builds it, keepalived and Redis included: interactive TCP connections, downloads and UDP
 * conversations through both virtual addresses, while what can be lost is lost, and then through a rolling upgrade. No connection is opened
 * twice, no byte is wrong, nobody is answered by another backend. How long clients were without an answer is printed.
 *
 * PINION_LONG=1: 2,000 connections and conversations and twenty downloads of PINION_DOWNLOAD_MIB (1,024) each.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { everybodyRight } from './support/answered.ts';
import { reload } from './support/config.ts';
import { createKernelPair, type KernelPair } from './support/kernel-pair.ts';
import type { Clients } from './support/pair.ts';
import type { Report } from './support/pair-clients.ts';
import { type RunningProcess, stopEverything } from './support/processes.ts';
import { requireKernel } from './support/require-kernel.ts';

const isLong = process.env.PINION_LONG === '1';
const clientsOfEach = isLong ? 2_000 : 200;
const periodMs = isLong ? 1_000 : 250;
const downloadsOfEach = isLong ? 10 : 1;
const mebibytes = Number(process.env.PINION_DOWNLOAD_MIB ?? (isLong ? 1_024 : 20));
/** The downloads are still going on after all that happens. */
const downloadPaceS = isLong ? 600 : 240;
/** Longer than any takeover with the retransmissions behind it. */
const answerTimeoutMs = 20_000;

requireKernel(
  'redis',
  'iproute2',
  'keepalived',
  'curl',
)('a pair that the kernel carries', () => {
  let pair: KernelPair;
  let clients: Clients;
  let downloads: RunningProcess[];

  beforeAll(async () => {
    pair = await createKernelPair({ clientsOfEach, periodMs, answerTimeoutMs });
    await Promise.all([pair.startBalancer('lb1'), pair.startBalancer('lb2')]);
    await pair.startKeepalived('lb1');
    await pair.servedBy('lb1');
    await pair.startKeepalived('lb2');
    clients = await pair.startClients();
    await everybody('first answers');
    downloads = await pair.downloads(downloadsOfEach, mebibytes * 1024 * 1024, downloadPaceS);
  });

  afterAll(async () => {
    await stopEverything();
    pair?.network.close();
  });

  /** Everybody is answered from now on, by whom they belong to. */
  const everybody = (story: string): Promise<Report> => everybodyRight(clients, clientsOfEach, story);

  /** As {@link everybody}; no TCP connection was opened since the mark, and the downloads go on. */
  async function nobodyLost(story: string): Promise<void> {
    const { tcp, udp } = await everybody(story);
    const silence = [tcp, udp].map(({ silenceMs: { median, p99, max } }) => [median, p99, max].join('/'));
    console.info(`${story}: longest silence (median/p99/max) TCP ${silence[0]} ms, UDP ${silence[1]} ms`);
    expect({ story, connections: tcp.connections }).toEqual({ story, connections: 0 });
    const faults = downloads.map((one) => one.output()).filter((output) => output.includes('faults'));
    expect({ story, faults }).toEqual({ story, faults: [] });
  }

  async function scaleTo(backends: readonly string[], ...balancers: ('lb1' | 'lb2')[]): Promise<void> {
    pair.backends = backends;
    for (const balancer of balancers) await reload(pair.balancers[balancer]!, pair.config(balancer));
  }

  test('clients come to all backends, each to its own through both addresses', async () => {
    const report = await everybody('both addresses');
    for (const { perBackend } of [report.tcp, report.udp])
      expect(Object.keys(perBackend).sort()).toEqual(['b1', 'b2', 'b3']);
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
    await everybody('crossed');
  });

  test('a pinion is killed, the pool is scaled out meanwhile, and it comes back', async () => {
    await clients.mark();
    await pair.kill('lb1');
    await nobodyLost('killed');
    await scaleTo(['b1', 'b2', 'b3', 'b4'], 'lb2');
    await pair.startBalancer('lb1');
    await nobodyLost('killed and started again');
    await pair.servedBy('lb1');
  });

  test('Redis is lost, then the cables of the balancer that serves', async () => {
    pair.redis!.signal('SIGKILL');
    await pair.redis!.exited;
    pair.redis = undefined;
    await clients.mark();
    await pair.cable('lb1', 'down', 'both');
    await pair.servedBy('lb2');
    await nobodyLost('cut off without Redis');
    // It ends what it carried for dead, which the other one carries on.
    await pair.judges('lb1', 'down');
    await pair.cable('lb1', 'up', 'both');
    await pair.judges('lb1', 'up');
    await nobodyLost('plugged in again');
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
    await pair.startRedis();
  });

  test('one cable of the balancer that serves is cut, the one to the backends alone', async () => {
    await clients.mark();
    await pair.cable('lb2', 'down', 'back');
    await pair.servedBy('lb1');
    await pair.judges('lb2', 'down');
    await pair.cable('lb2', 'up', 'back');
    await pair.judges('lb2', 'up');
    await nobodyLost('cut off from the backends');
  });

  test('the whole host of the balancer that serves is destroyed, the pool is scaled in, and there is a new host', async () => {
    await clients.mark();
    await pair.destroy('lb1');
    await pair.servedBy('lb2');
    await nobodyLost('host destroyed');
    await scaleTo(['b1', 'b2', 'b3'], 'lb2');
    await pair.addBalancer('lb1');
    await pair.startBalancer('lb1');
    await pair.startKeepalived('lb1');
    await nobodyLost('scaled in, and a new host');
  });

  test('both are upgraded, one after the other', async () => {
    await clients.mark();
    await pair.upgrade('lb2');
    await nobodyLost('first upgraded');
    await clients.mark();
    await pair.upgrade('lb1');
    await nobodyLost('second upgraded');
    expect(await clients.cross()).toEqual({ tcp: clientsOfEach, udp: clientsOfEach });
    await everybody('crossed at the end');
  });

  test('every byte of the downloads has arrived, over the connections they began with', async () => {
    expect(downloads.map((one) => one.output())).toEqual(downloads.map(() => 'fetching\n'));
    for (const one of downloads) one.signal('SIGUSR2');
    for (const one of downloads) await one.waitForOutput(/whole|faults/, isLong ? 600_000 : 60_000);
    expect(downloads.map((one) => one.output())).toEqual(downloads.map(() => 'fetching\nwhole\n'));
  }, 700_000);
});
