/**
 * Two instances that are each other's backends: row 54 of the reliability table, the half that no instance sees alone. They
 * run here on one machine; what tells them is the same on two.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { returningFlowsMax } from '../src/core/limits.ts';
import { askTcp, tcpClient, tryUdp } from './support/clients.ts';
import { backendsOf, configText, noCheck, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { canForge, forgeDatagram } from './support/forge.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort, type Transport } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers } from './support/servers.ts';

/** A thousand connections, each of which waits for the next: half a minute with a core to themselves. */
const chainMs = 180_000;

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

interface Pair {
  readonly one: Pinion;
  readonly other: Pinion;
  readonly port: number;
  readonly good: number;
  /** Of the other one. */
  readonly back: number;
}

/** Each leads to the other, and one has a listener besides that has nothing to do with it. */
async function startPair(
  engine: string,
  protocol: Transport,
  cluster?: (instance: string) => Section,
): Promise<Pair> {
  const [port, back, good] = [await freePort(protocol), await freePort(protocol), await freePort()];
  const [server] = await namedTcp(['real']);
  const start = (instance: string, own: number, next: number, more: Section[]): Promise<Pinion> =>
    startPinion(
      configText({
        engine,
        workers: 1,
        ...(cluster === undefined ? {} : { cluster: cluster(instance) }),
        listeners: [{ name: 'front', bind: `${protocol}://127.0.0.1:${own}`, pool: 'next' }, ...more],
        pools: {
          next: { health: noCheck, backends: [{ name: 'peer', address: `127.0.0.1:${next}` }] },
          ...(more.length === 0 ? {} : { good: { backends: backendsOf([server!]) } }),
        },
      }),
    );
  const aside = [{ name: 'good', bind: `tcp://127.0.0.1:${good}`, pool: 'good' }];
  const [one, other] = [await start('one', port, back, aside), await start('other', back, port, [])];
  return { one, other, port, good, back };
}

const flows = async ({ one, other }: Pair): Promise<number> =>
  ((await one.metric('pinion_listener_flows_total', { listener: 'front' })) ?? 0) +
  ((await other.metric('pinion_listener_flows_total', { listener: 'front' })) ?? 0);

const looped = async ({ one, other }: Pair): Promise<number> =>
  ((await one.metric('pinion_listener_ended_total', { code: 'loop' })) ?? 0) +
  ((await other.metric('pinion_listener_ended_total', { code: 'loop' })) ?? 0);

const seen = ({ one, other }: Pair): number =>
  [one, other].flatMap((pinion) => pinion.events('loop-seen')).length;

describe.each(['epoll', 'portable'])('engine %s', (engine) => {
  test('over TCP a client goes round a bounded number of times, and the next one hardly at all', async () => {
    const pair = await startPair(engine, 'tcp');
    const client = await tcpClient(pair.port);
    client.socket.write('hello');
    expect(await askTcp(pair.good)).toBe('real');
    expect(await client.outcome).toBe('ECONNRESET');
    await expect.poll(() => looped(pair), { timeout: chainMs }).toBeGreaterThan(0);
    await eventually('said once', () => seen(pair) > 0, chainMs);
    for (const pinion of [pair.one, pair.other])
      await eventually('the chain is gone', async () => (await pinion.metric('pinion_flows')) === 0, chainMs);
    const first = await flows(pair);
    expect(first).toBeLessThanOrEqual(2 * returningFlowsMax.tcp + 2);
    const again = await tcpClient(pair.port);
    again.socket.write('hello');
    expect(await again.outcome).toBe('ECONNRESET');
    expect((await flows(pair)) - first).toBeLessThanOrEqual(5);
    expect(await askTcp(pair.good)).toBe('real');
  }, 600_000);

  test('over UDP one datagram comes to rest', async () => {
    const pair = await startPair(engine, 'udp');
    expect(await tryUdp(pair.port, '127.0.0.1', 'round', 1_000)).toBeUndefined();
    // Four thousand times from socket to socket, one after the other; a datagram that is lost on the way is sent again.
    let againAtMs = performance.now() + 10_000;
    await eventually(
      'refused',
      async () => {
        if (performance.now() > againAtMs) {
          againAtMs += 10_000;
          await tryUdp(pair.port, '127.0.0.1', 'round', 1_000);
        }
        return (await looped(pair)) > 0;
      },
      100_000,
    );
    const first = await flows(pair);
    expect(first).toBeLessThanOrEqual(2 * returningFlowsMax.udp + 2);
    await tryUdp(pair.port, '127.0.0.1', 'again', 1_000);
    expect((await flows(pair)) - first).toBeLessThanOrEqual(5);
  });

  requirePackage('redis')('with a shared cluster', () => {
    test.each(['tcp', 'udp'] as const)(
      '%s: they know each other, and a handful is enough',
      async (protocol) => {
        const redis = await startRedis();
        const pair = await startPair(engine, protocol, (instance) => ({
          name: `loops-${engine}-${protocol}`,
          instance,
          redis: { url: redis.url },
        }));
        // Each has heard where the other listens: news of it come within seconds.
        const sent = performance.now();
        await eventually(
          'both are members',
          async () =>
            (await pair.one.metric('pinion_cluster_members')) === 2 &&
            (await pair.other.metric('pinion_cluster_members')) === 2,
        );
        await eventually('and a while has passed', () => performance.now() - sent > 7_000);
        if (protocol === 'udp' && canForge()) {
          // Row 53: another member's listener is no client.
          forgeDatagram({ ip: '127.0.0.1', port: pair.back }, { ip: '127.0.0.1', port: pair.port }, 'forged');
          const drops = { listener: 'front', reason: 'server-source' };
          await eventually(
            'the forged one dropped',
            async () => (await pair.one.metric('pinion_listener_datagrams_dropped_total', drops)) === 1,
          );
          expect(await flows(pair)).toBe(0);
        }
        if (protocol === 'udp') await tryUdp(pair.port, '127.0.0.1', 'round', 1_000);
        else {
          const client = await tcpClient(pair.port);
          client.socket.write('hello');
          expect(await client.outcome).toBe('ECONNRESET');
        }
        await eventually('refused', async () => (await looped(pair)) > 0);
        expect(await flows(pair)).toBeLessThanOrEqual(2 * returningFlowsMax.members + 2);
      },
    );
  });
});
