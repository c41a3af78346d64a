/**
 * `relay: kernel` at size, with PINION_LONG=1 alone (npm run test:long): PINION_PINS (1,000,000) pins that say something else than their buckets,
 * and PINION_FLOWS (100,000) open connections. What it prints stands in docs/KERNEL.md; it fails where clients are not served meanwhile.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reload } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { createKernelWorld, type KernelWorld, virtualAddress } from './support/kernel-world.ts';
import { hostsWork } from './support/namespaces.ts';
import { script } from './support/pair.ts';
import { type RunningProcess, stopEverything } from './support/processes.ts';

const isLong = process.env.PINION_LONG === '1' && hostsWork();
const pinCount = process.env.PINION_PINS ?? '1000000';
const flowCount = Number(process.env.PINION_FLOWS ?? '100000');
const patienceMs = 140_000;

describe.skipIf(!isLong)('the kernel carries many (PINION_LONG=1, as root)', () => {
  let world: KernelWorld;

  beforeAll(async () => {
    world = await createKernelWorld(1, 1_000);
    await world.serveBy('lb1');
  });

  afterAll(async () => {
    await stopEverything();
    world?.network.close();
  });

  const node = (host: string, name: string, ...args: readonly (string | number)[]): RunningProcess =>
    world.network.start(host, { command: process.execPath, args: [script(name), ...args.map(String)] });

  async function latency(client: RunningProcess): Promise<string> {
    const before = client.output().length;
    client.signal('SIGUSR2');
    return eventually('the latencies', () => /\{.*\}/.exec(client.output().slice(before))?.[0]);
  }

  test('so many pins: what a transaction takes, and what new connections notice of it', async () => {
    const large = node('lb1', 'kernel-large', pinCount);
    await large.waitForOutput(/"made"/, patienceMs);
    const client = node('client', 'kernel-latency', virtualAddress, 7000);
    await client.waitForOutput(/asking/);
    await large.exited;
    const during = await latency(client);
    console.info(`${pinCount} pins:\n${large.output()}new connections meanwhile: ${during}`);
    await new Promise((resolve) => setTimeout(resolve, 3_000));
    console.info(`new connections when nothing changes: ${await latency(client)}`);
    expect(large.output()).toContain('"memory"');
    expect(JSON.parse(during)).toMatchObject({ failed: 0 });
    await world.table('lb1', 'delete', 'table', 'inet', 'pinion_large');
  }, 300_000);

  test('so many connections: how soon they are known, what they take, and what reloads take', async () => {
    const pinion = await world.startBalancer('lb1');
    const flows = async (): Promise<number> => {
      const { listeners } = (await world.askAdmin('lb1', 'GET', '/status')) as {
        listeners: readonly { readonly name: string; readonly flows: number }[];
      };
      return listeners.find(({ name }) => name === 'udp')!.flows;
    };
    const rssBefore = pinion.rssBytes();
    // A thousand more than are asked for, as others have entries too.
    const filling = node('lb1', 'kernel-fill', flowCount + 1_000, 'pinion_lb1');
    await filling.waitForOutput(/full/, patienceMs);
    const startedMs = performance.now();
    await eventually('all are known', async () => (await flows()) >= flowCount, patienceMs);
    const knownMs = performance.now() - startedMs;
    const client = node('client', 'kernel-latency', virtualAddress, 7000);
    await client.waitForOutput(/asking/);
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    const quiet = await latency(client);
    const reloadedMs = performance.now();
    for (let i = 0; i < 5; i++) {
      world.more = { table_size: i % 2 === 0 ? 1031 : 1021 };
      await reload(pinion, world.config('lb1'));
    }
    const reloadMs = (performance.now() - reloadedMs) / 5;
    const during = await latency(client);
    const mebibytes = (pinion.rssBytes() - rssBefore) / 2 ** 20;
    console.info(
      `${flowCount} connections: known ${Math.round(knownMs)} ms after the last began, ${Math.round(mebibytes)} MiB; ` +
        `a reload ${Math.round(reloadMs)} ms; new connections before ${quiet}, during five reloads ${during}`,
    );
    expect(JSON.parse(during)).toMatchObject({ failed: 0 });
    expect(await flows()).toBeGreaterThanOrEqual(flowCount);
  }, 300_000);
});
