/** What one client, its network and a listener may take, over all workers and on both engines: flows, datagrams, bytes. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { askTcp, askUdp, type TcpClient, tcpClient } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers, type TestServer, tcpServer, udpServer } from './support/servers.ts';

const engines = ['epoll', 'portable'] as const;
const clients: TcpClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  await stopEverything();
  await stopServers();
});

function start(engine: string, server: TestServer, keys: Section): Promise<Pinion> {
  return startPinion(
    configText({
      engine,
      workers: engine === 'epoll' ? 3 : 1,
      listeners: [listener('front', server.protocol, 'pool', keys)],
      pools: { pool: { health: noCheck, backends: backendsOf([server]) } },
    }),
  );
}

/** Connects so many times; how many were served. */
async function served(port: number, from: string, count: number): Promise<number> {
  const lines = await Promise.all(
    Array.from({ length: count }, async () => {
      const client = await tcpClient(port, { from });
      clients.push(client);
      return client.line().catch(() => undefined);
    }),
  );
  return lines.filter((line) => line !== undefined).length;
}

test.each(engines)(
  '%s: flows of a client and of its network are counted over all workers',
  async (engine) => {
    const [server] = await namedTcp(['a']);
    const limits = { flows_per_client: 5, per_subnet: { prefix_v4: 24, flows: 8 } };
    const pinion = await start(engine, server!, { limits });
    const port = pinion.port('front');
    expect(await served(port, '127.9.0.1', 12)).toBe(5);
    expect(await served(port, '127.9.0.2', 12)).toBe(3);
    expect(await served(port, '127.9.1.1', 12)).toBe(5);
    const ended = (code: string) => pinion.metric('pinion_listener_ended_total', { code });
    await expect.poll(() => ended('limit-subnet')).toBe(9);
    for (const client of clients.splice(0)) client.socket.destroy();
    expect(await eventually('room again', () => askTcp(port, '127.9.0.2').catch(() => undefined))).toBe('a');
  },
);

test.each(engines)(
  '%s: datagrams above the rate are dropped, and a question that is answered is over',
  async (engine) => {
    const [server] = await namedUdp(['u']);
    const limits = { datagrams_per_client: 20 };
    const pinion = await start(engine, server!, { limits, session_ends_after: { replies: 1 } });
    const port = pinion.port('front');
    expect(await askUdp(port, '127.9.0.3')).toBe('u');
    expect(
      await pinion.waitForLog(({ event, client }) => event === 'flow' && /127.9.0.3/.test(String(client))),
    ).toMatchObject({ code: 'expired', datagramsIn: 1, datagramsOut: 1 });
    const socket = createSocket('udp4').bind(0, '127.9.0.4');
    await once(socket, 'listening');
    let answers = 0;
    socket.on('message', () => answers++);
    const startedAtMs = performance.now();
    for (let i = 0; i < 200; i++) socket.send(`${i}`, port, '127.0.0.1');
    await eventually('some dropped', async () => {
      const dropped =
        (await pinion.metric('pinion_listener_datagrams_dropped_total', { reason: 'rate' })) ?? 0;
      return dropped + answers >= 200;
    });
    expect(answers).toBeGreaterThanOrEqual(20);
    expect(answers).toBeLessThanOrEqual(20 + Math.ceil(((performance.now() - startedAtMs) / 1_000) * 20));
    // Another client has a rate of its own.
    expect(await askUdp(port, '127.9.0.5')).toBe('u');
    socket.close();
  },
);

test.each(engines)('%s: replies above a rate are dropped, and counted', async (engine) => {
  const server = await udpServer((_message, _from, reply) => reply(Buffer.alloc(1_024)));
  const pinion = await start(engine, server, { bandwidth: { per_flow: { down: '10KiB' } } });
  const socket = createSocket('udp4').bind(0, '127.9.0.8');
  await once(socket, 'listening');
  let answers = 0;
  socket.on('message', () => answers++);
  const startedAtMs = performance.now();
  for (let i = 0; i < 60; i++) socket.send('?', pinion.port('front'), '127.0.0.1');
  await eventually('all answered or dropped', async () => {
    const dropped = (await pinion.metric('pinion_listener_datagrams_dropped_total', { reason: 'rate' })) ?? 0;
    return dropped + answers >= 60;
  });
  expect(answers).toBeGreaterThanOrEqual(10);
  expect(answers).toBeLessThanOrEqual(10 + Math.ceil(((performance.now() - startedAtMs) / 1_000) * 10));
  socket.close();
});

test.each(engines)(
  '%s: bytes move no faster than they may, each way, and all of them arrive',
  async (engine) => {
    const rate = 256 * 1024;
    const size = rate * 3;
    let received = 0;
    const server = await tcpServer((socket) => {
      socket.on('data', (bytes) => {
        received += bytes.length;
      });
      socket.write(Buffer.alloc(size));
      socket.on('end', () => socket.end());
    });
    const pinion = await start(engine, server, {
      bandwidth: { per_flow: { down: '256KiB' }, total: { up: '256KiB' } },
    });
    const startedAtMs = performance.now();
    const [one, other] = await Promise.all([
      tcpClient(pinion.port('front'), { from: '127.9.0.6' }),
      tcpClient(pinion.port('front'), { from: '127.9.0.7' }),
    ]);
    clients.push(one, other);
    for (const { socket } of [one, other]) socket.write(Buffer.alloc(size / 2));
    await eventually(
      'all of both',
      () => one.receivedBytes === size && other.receivedBytes === size && received === size,
    );
    // A second of it came at once; the rest took two more.
    expect(performance.now() - startedAtMs).toBeGreaterThan(1_900);
    const early = await start(engine, server, { bandwidth: { per_client: { down: '1MiB' } } });
    const quick = await tcpClient(early.port('front'));
    clients.push(quick);
    await sleep(0);
    await eventually('below the rate nothing waits', () => quick.receivedBytes === size);
    quick.socket.end();
    expect(await quick.outcome).toBe('end');
  },
);

test.each(engines)(
  '%s: flows that share a rate all have their turn, and are not idle meanwhile',
  async (engine) => {
    const rate = 256 * 1024;
    const server = await tcpServer((socket) => {
      const more = (): void => {
        while (socket.write(Buffer.alloc(65_536)));
      };
      socket.on('drain', more).on('error', () => undefined);
      more();
    });
    const pinion = await start(engine, server, { bandwidth: { total: { down: '256KiB' } } });
    const all = await Promise.all(Array.from({ length: 6 }, () => tcpClient(pinion.port('front'))));
    clients.push(...all);
    const sum = (): number => all.reduce((bytes, { receivedBytes }) => bytes + receivedBytes, 0);
    // A second's worth comes at once, to whoever is first.
    await eventually('the first second of it', () => sum() >= rate);
    const before = all.map(({ receivedBytes }) => receivedBytes);
    const sumBefore = sum();
    // A worker that was late by a second has a second's worth again, for whoever is first then: over a while all are.
    await eventually('a sixth of its even part for each, of three seconds or more', () => {
      const came = sum() - sumBefore;
      return (
        came >= rate * 3.5 &&
        all.every(({ receivedBytes }, i) => receivedBytes - before[i]! > came / all.length / 6)
      );
    });
  },
);

test.each(engines)('%s: a crowd does not come by a rate with what it says first', async (engine) => {
  const rate = 256 * 1024;
  let received = 0;
  let startedAtMs = 0;
  let above = 0;
  const server = await tcpServer((socket) => {
    socket.on('data', (bytes) => {
      received += bytes.length;
      above = Math.max(above, received - rate * (1 + (performance.now() - startedAtMs) / 1_000));
    });
  });
  const pinion = await start(engine, server, { bandwidth: { total: { up: '256KiB' } } });
  startedAtMs = performance.now();
  const crowd = await Promise.all(
    Array.from({ length: 32 }, async () => {
      const client = await tcpClient(pinion.port('front'));
      client.socket.write(Buffer.alloc(16_384));
      return client;
    }),
  );
  clients.push(...crowd);
  await eventually('all of it', () => received === 32 * 16_384);
  expect(above).toBeLessThan(65_536);
});

test.each(engines)('%s: a flow that waits for its rate is not idle', async (engine) => {
  const server = await tcpServer((socket) => void socket.write(Buffer.alloc(8_192)));
  const pinion = await start(engine, server, {
    bandwidth: { total: { down: '1KiB' } },
    timeouts: { idle: '1s' },
  });
  const all = await Promise.all(Array.from({ length: 2 }, () => tcpClient(pinion.port('front'))));
  clients.push(...all);
  await eventually('some of both', () => all.every(({ receivedBytes }) => receivedBytes > 2_048));
});

test.each(engines)('%s: two questions at once are both answered before it is over', async (engine) => {
  const [server] = await namedUdp(['u']);
  const pinion = await start(engine, server!, { session_ends_after: { replies: 1 } });
  const port = pinion.port('front');
  let answers = 0;
  const sockets = await Promise.all(
    Array.from({ length: 40 }, async () => {
      const socket = createSocket('udp4').bind(0, '127.0.0.1');
      await once(socket, 'listening');
      return socket.on('message', () => answers++);
    }),
  );
  for (let round = 1; round <= 25; round++) {
    for (const socket of sockets) for (let i = 0; i < 2; i++) socket.send('?', port, '127.0.0.1');
    await eventually(`round ${round}`, () => answers === round * sockets.length * 2);
  }
  for (const socket of sockets) socket.close();
});
