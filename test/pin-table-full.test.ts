/**
 * A pin table with less room than there are clients: those that are connected keep their backend whoever comes and goes
 * beside them, and there are never more pins than `limits.pins`. Round-robin cannot find a client again by itself: who
 * comes back to its backend was found by its pin.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { askTcp, askUdp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import type { Transport } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { startRedis } from './support/redis.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, namedUdp, stopServers, type TestServer, udpServer } from './support/servers.ts';

const closing: (() => void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) close();
  await stopEverything();
  await stopServers();
});

/** As many as one part of the table holds: there is nowhere else to go. */
const pinsMax = 675;
const [staying, crowd] = [clientAddresses(3_000).slice(0, 300), clientAddresses(3_000).slice(1_000)];

interface Story {
  readonly servers: readonly TestServer[];
  /** Starts an instance in front of the servers. */
  start(more?: Section): Promise<Pinion>;
}

async function storyOf(protocol: Transport, engine: string): Promise<Story> {
  const names = ['a', 'b', 'c'];
  const servers = protocol === 'tcp' ? await namedTcp(names) : await namedUdp(names);
  const silent = await udpServer(() => {});
  const timeouts = { idle: protocol === 'tcp' ? '1m' : '5s' };
  // A short one makes the worker look at all open flows every five seconds: how it learns that a client sent again.
  const ttl = protocol === 'tcp' ? '1h' : '20s';
  return {
    servers,
    start: (more = {}) =>
      startPinion(
        configText({
          engine,
          log: { flows: { level: 'off' } },
          limits: { pins: pinsMax },
          listeners: [
            listener('front', protocol, 'pool', { timeouts, affinity: { ttl } }),
            listener('silent', 'udp', 'silent', { timeouts: { idle: '1s' }, affinity: { ttl: '1h' } }),
          ],
          pools: {
            pool: { policy: 'round-robin', health: noCheck, backends: backendsOf(servers) },
            silent: { health: noCheck, backends: backendsOf([silent]) },
          },
          ...more,
        }),
      ),
  };
}

/** Clients that stay: each has a connection or conversation, and says something now and then. @returns who serves them */
const stay: Record<Transport, (port: number) => Promise<string[]>> = {
  async tcp(port) {
    const clients = await inParallel(staying, (from) => tcpClient(port, { from }));
    closing.push(() => clients.forEach(({ socket }) => void socket.destroy()));
    return Promise.all(clients.map((client) => client.line()));
  },
  async udp(port) {
    const answers = new Map<Socket, string[]>();
    await inParallel(staying, async (from) => {
      const socket = createSocket('udp4');
      answers.set(socket, []);
      socket.on('message', (text) => answers.get(socket)!.push(text.toString('latin1').slice(0, 1)));
      socket.bind(0, from);
      await once(socket, 'listening');
    });
    const say = (): void => {
      for (const socket of answers.keys()) socket.send('still there?', port, '127.0.0.1');
    };
    const timer = setInterval(say, 500);
    closing.push(() => {
      clearInterval(timer);
      for (const socket of answers.keys()) socket.close();
    });
    say();
    await eventually('two answers for each', () => [...answers.values()].every((got) => got.length >= 2));
    return [...answers.values()].map((got) => got[0]!);
  },
};

const ask = { tcp: askTcp, udp: askUdp };

/** Asks for the number of pins for as long as something goes on; the most there were. */
async function watched(pinion: Pinion, act: () => Promise<unknown>): Promise<number> {
  let isOver = false;
  const acting = act().finally(() => {
    isOver = true;
  });
  let most = 0;
  while (!isOver) most = Math.max(most, (await pinion.metric('pinion_pins'))!);
  await acting;
  return most;
}

/** They come a second time, beside what they have open: who has lost its pin goes to whoever's turn it is. */
async function expectSame(pinion: Pinion, protocol: Transport, names: readonly string[]): Promise<void> {
  const again = await inParallel(staying, (from) => ask[protocol](pinion.port('front'), from));
  expect(staying.filter((_, i) => again[i] !== names[i])).toEqual([]);
}

/** All open flows have been looked at since they said something twice: a worker looks at each within ten seconds. */
async function seen(): Promise<void> {
  const since = performance.now();
  await eventually('every conversation looked at', () => performance.now() - since > 12_000);
}

describe.each(['epoll', 'portable'])('%s: clients that are connected keep their backend', (engine) => {
  test.each(['tcp', 'udp'] as const)('over %s, while many more come and go', async (protocol) => {
    const { start } = await storyOf(protocol, engine);
    const pinion = await start();
    const names = await stay[protocol](pinion.port('front'));
    if (protocol === 'udp') await seen();
    const most = await watched(pinion, () =>
      inParallel(crowd, (from) => ask[protocol](pinion.port('front'), from)),
    );
    expect(most).toBe(pinsMax);
    await expect.poll(() => pinion.metric('pinion_pins_max')).toBe(pinsMax);
    await expect.poll(() => pinion.metric('pinion_pin_evictions_total')).toBeGreaterThan(500);
    await expectSame(pinion, protocol, names);
  });

  test('while others come and go, and sources that nobody answers flood the same table', async () => {
    const { start } = await storyOf('tcp', engine);
    const pinion = await start();
    const names = await stay.tcp(pinion.port('front'));
    const socket = createSocket('udp4');
    closing.push(() => socket.close());
    const most = await watched(pinion, () =>
      inParallel(crowd, async (from, i) => {
        const source = createSocket('udp4');
        source.bind(0, from);
        await once(source, 'listening');
        await new Promise((sent) => source.send('x', pinion.port('silent'), '127.0.0.1', sent));
        source.close();
        if (i % 2 === 0) await askTcp(pinion.port('front'), from);
      }),
    );
    expect(most).toBe(pinsMax);
    await expect.poll(() => pinion.metric('pinion_pin_evictions_total')).toBeGreaterThan(1_000);
    await expectSame(pinion, 'tcp', names);
  });
});

requirePackage('redis')('clients that are connected keep their backend', () => {
  test('while another instance has many more, whose pins it learns', async () => {
    const redis = await startRedis();
    const { start } = await storyOf('tcp', 'auto');
    const cluster = (instance: string): Section => ({
      cluster: { name: 'test', instance, redis: redis.url },
    });
    const pinion = await start(cluster('one'));
    const other = await start({ ...cluster('two'), limits: { pins: 100_000 } });
    for (const each of [pinion, other]) {
      await eventually('in step', async () => {
        return (await each.metric('pinion_cluster_state', { state: 'in-step' })) === 1;
      });
    }
    const names = await stay.tcp(pinion.port('front'));
    const most = await watched(pinion, async () => {
      await inParallel(crowd, (from) => askTcp(other.port('front'), from));
      await eventually('all of them learned', async () => {
        return (await pinion.metric('pinion_cluster_pins_learned_total'))! >= crowd.length;
      });
    });
    expect(most).toBe(pinsMax);
    await expectSame(pinion, 'tcp', names);
    // The two agree: what one forgot for want of room, the cluster did not.
    await expectSame(other, 'tcp', names);
  });
});
