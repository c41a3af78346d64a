/** After twenty thousand connections and twenty thousand UDP conversations everything is back where it was. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel, tryUdp } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck } from './support/config.ts';
import { settled } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers } from './support/servers.ts';

const flows = 20_000;
const clients = clientAddresses(1_000);
/**
 * What the process may have grown by: buffers sized by the most that was ever open at once. A leak of one socket
 * (about 3 KiB) or even one kilobyte for each flow would be more than twice as much.
 */
const growthBytesMax = 16_000_000;

/**
 * Every collection is a full one: garbage that V8 would leave for later (it takes its time up to 50 MB) must not
 * look like a leak, nor hide one.
 */
const collectingNode = ['sh', '-c', 'node=$1; shift; exec "$node" --gc-global "$@"', 'sh'];

let pinion: Pinion;

beforeAll(async () => {
  const [tcp, udp] = [await namedTcp(['a', 'b']), await namedUdp(['a', 'b'])];
  pinion = await startPinion(
    configText({
      limits: { flows: 9_000 },
      log: { flows: { level: 'off' } },
      listeners: [
        listener('tcp', 'tcp', 'tcp', { affinity: { key: 'client-ip', ttl: '10m' } }),
        listener('udp', 'udp', 'udp', { timeouts: { idle: '200ms' } }),
      ],
      pools: {
        tcp: { health: noCheck, backends: backendsOf(tcp) },
        udp: { health: noCheck, backends: backendsOf(udp) },
      },
    }),
    { wrapper: collectingNode },
  );
});

afterAll(async () => {
  await stopEverything();
  await stopServers();
});

async function connections(count: number, atOnce: number): Promise<void> {
  const port = pinion.port('tcp');
  const names = await inParallel(
    Array.from({ length: count }),
    (_, i) => askTcp(port, clients[i % clients.length]),
    atOnce,
  );
  expect(names.filter((name) => name !== 'a' && name !== 'b')).toEqual([]);
}

async function conversations(count: number, atOnce: number): Promise<void> {
  const port = pinion.port('udp');
  // An answer that comes after the idle time goes nowhere: clients over UDP ask again.
  const ask = async (_: unknown, i: number) => {
    const from = clients[i % clients.length];
    return (await tryUdp(port, from, 'hello', 2_000)) ?? tryUdp(port, from);
  };
  const answers = await inParallel(Array.from({ length: count }), ask, atOnce);
  expect(answers.filter((answer) => answer === undefined)).toEqual([]);
}

/** Nothing moves any more. The metrics page is not asked here: its connections would be descriptors, too. */
async function atRest(): Promise<{ readonly descriptors: number; readonly rssBytes: number }> {
  const descriptors = await settled('descriptors', () => pinion.descriptors(), 2_000);
  const rssMegabytes = await settled('memory', () => Math.round(pinion.rssBytes() / 1_000_000));
  return { descriptors, rssBytes: rssMegabytes * 1_000_000 };
}

test('descriptors and memory return to their baseline', async () => {
  // The warm-up has more open at once than what is measured.
  await connections(5_000, 128);
  await conversations(5_000, 128);
  const before = await atRest();

  await connections(flows, 64);
  await conversations(flows, 64);
  const after = await atRest();

  expect(after.descriptors).toBe(before.descriptors);
  expect(after.rssBytes - before.rssBytes, `${before.rssBytes} to ${after.rssBytes}`).toBeLessThan(
    growthBytesMax,
  );
  await expect.poll(() => pinion.metric('pinion_flows')).toBe(0);
  await expect
    .poll(() => pinion.metric('pinion_listener_flows_total', { listener: 'tcp' }))
    .toBe(flows + 5_000);
  // A client that draws a port it had a moment ago continues its conversation: a few are fewer than were asked.
  const udpFlows = await pinion.metric('pinion_listener_flows_total', { listener: 'udp' });
  expect(udpFlows).toBeGreaterThan(flows + 5_000 - 250);
  for (const backend of ['a', 'b'])
    await expect.poll(() => pinion.metric('pinion_backend_flows', { backend })).toBe(0);
  expect(await pinion.metric('pinion_pins')).toBeLessThanOrEqual(2 * clients.length);
});
