/**
 * Loops: rows 53 and 54 of the reliability table. What leads back to a listener of this instance is recognised, whether its
 * address shows it or only its connections do, and a datagram that comes from a server is no client's.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { askTcp, askUdp, tcpClient, tryUdp } from './support/clients.ts';
import { admin, backendsOf, configText, noCheck, quickCheck, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { canForge, forgeDatagram } from './support/forge.ts';
import { namespacesWork, namespaceWrapper, runInNamespaceOf } from './support/namespace.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { runToEnd, stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers, udpServer } from './support/servers.ts';
import { temporaryFolder } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const dropped = (pinion: Pinion, reason: string): Promise<number | undefined> =>
  pinion.metric('pinion_listener_datagrams_dropped_total', { reason });

/** Undefined: the configuration was refused because it shows the loop, which is as good. */
async function startUnlessRefused(config: Parameters<typeof configText>[0]): Promise<Pinion | undefined> {
  try {
    return await startPinion(configText(config));
  } catch (error) {
    expect(String(error)).toMatch(/listener/);
    return undefined;
  }
}

describe.each(['epoll', 'portable'])('engine %s', (engine) => {
  test('row 53: what a backend sends by itself is no client: dropped and counted', async () => {
    const socket = createSocket('udp4');
    socket.bind(await freePort('udp'), '127.0.0.1');
    await once(socket, 'listening');
    let got = 0;
    socket.on('message', (message, from) => {
      got++;
      socket.send(message, from.port, from.address);
    });
    const port = await freePort('udp');
    // A pool that the listener does not even use.
    const address = `127.0.0.1:${socket.address().port}`;
    const [other] = await namedUdp(['other']);
    const pinion = await startPinion(
      configText({
        engine,
        listeners: [
          { name: 'game', bind: `udp://127.0.0.1:${port}`, pool: 'mine' },
          { name: 'tcp', bind: 'tcp://127.0.0.1:0', pool: 'theirs' },
        ],
        pools: {
          mine: { health: noCheck, backends: backendsOf([other!]) },
          theirs: { health: noCheck, backends: [{ name: 'echo', address }] },
        },
      }),
    );
    expect(await askUdp(port)).toBe('other');
    socket.send('not a client', port, '127.0.0.1');
    await eventually('the datagram dropped', async () => (await dropped(pinion, 'server-source')) === 1);
    expect(got).toBe(0);
    expect(other!.count).toBe(1);
    socket.close();
  });

  test.skipIf(!canForge())('row 53: nor is a datagram from a listener of our own', async () => {
    const server = await udpServer((_message, _from, reply) => reply('answer'));
    const [one, two, wild] = [await freePort('udp'), await freePort('udp'), await freePort('udp')];
    const listeners = [
      { name: 'one', bind: `udp://127.0.0.1:${one}`, pool: 'pool' },
      { name: 'two', bind: `udp://127.0.0.1:${two}`, pool: 'pool' },
      { name: 'wild', bind: `udp://0.0.0.0:${wild}`, pool: 'pool' },
    ];
    const backends = backendsOf([server]);
    const pinion = await startPinion(
      configText({ engine, listeners, pools: { pool: { health: noCheck, backends } } }),
    );
    const to = { ip: '127.0.0.1', port: one };
    for (const from of [one, two, wild, server.port]) forgeDatagram({ ip: '127.0.0.1', port: from }, to, 'x');
    forgeDatagram({ ip: '127.0.0.1', port: one }, { ip: '127.0.0.1', port: wild }, 'x');
    await eventually('all dropped', async () => (await dropped(pinion, 'server-source')) === 5);
    expect(server.count).toBe(0);
    // The same address with another port may be anybody.
    expect(await tryUdp(one)).toBe('answer');
  });

  test.each([quickCheck, noCheck])(
    'row 54: a backend that is the listener itself by name (%o)',
    async (health) => {
      const [server] = await namedTcp(['a']);
      const port = await freePort();
      const pinion = await startUnlessRefused({
        engine,
        listeners: [
          { name: 'loop', bind: `tcp://0.0.0.0:${port}`, pool: 'loop' },
          { name: 'good', bind: 'tcp://127.0.0.1:0', pool: 'good' },
        ],
        pools: {
          loop: { health, backends: [{ name: 'me', address: `localhost:${port}` }] },
          good: { backends: backendsOf([server!]) },
        },
      });
      if (pinion === undefined) return;
      await expectLoop(pinion, port, 'loop');
      expect(await askTcp(pinion.port('good'))).toBe('a');
    },
  );

  test('row 54: a circle over three listeners, one of them a unix socket; who is not of it serves', async () => {
    const [server] = await namedTcp(['real']);
    const path = join(temporaryFolder('loops'), 'b.sock');
    const [a, c] = [await freePort(), await freePort()];
    const to = (address: string, ...more: Section[]): Section => ({
      policy: 'round-robin',
      health: noCheck,
      backends: [{ name: 'next', address }, ...more],
    });
    const pinion = await startUnlessRefused({
      engine,
      listeners: [
        { name: 'a', bind: `tcp://127.0.0.1:${a}`, pool: 'a' },
        { name: 'b', bind: `unix:${path}`, pool: 'b' },
        { name: 'c', bind: `tcp://0.0.0.0:${c}`, pool: 'c' },
      ],
      pools: {
        a: to(`unix:${path}`),
        b: to(`localhost:${c}`),
        c: to(`localhost:${a}`, ...backendsOf([server!])),
      },
    });
    if (pinion === undefined) return;
    await expectLoop(pinion, a, 'a');
    for (let i = 0; i < 4; i++) expect(await askTcp(c)).toBe('real');
  });

  test('row 54: two UDP listeners that lead to each other', async () => {
    const [a, b] = [await freePort('udp'), await freePort('udp')];
    const pinion = await startUnlessRefused({
      engine,
      listeners: [
        { name: 'a', bind: `udp://127.0.0.1:${a}`, pool: 'a' },
        { name: 'b', bind: `udp://127.0.0.1:${b}`, pool: 'b' },
      ],
      pools: {
        a: { backends: [{ name: 'b', address: `localhost:${b}` }] },
        b: { backends: [{ name: 'a', address: `localhost:${a}` }] },
      },
    });
    if (pinion === undefined) return;
    expect(await tryUdp(a, '127.0.0.1', 'hello', 500)).toBeUndefined();
    await expect.poll(() => pinion.metric('pinion_listener_flows_total', { listener: 'b' })).toBe(0);
    await expect
      .poll(() => pinion.metric('pinion_listener_ended_total', { listener: 'a', code: 'loop' }))
      .toBe(1);
    await pinion.waitForLog(({ event, code }) => event === 'clients-refused' && code === 'loop');
  });

  test("a listener that is another one's backend is no loop", async () => {
    const [server] = await namedTcp(['real']);
    const [a, b] = [await freePort(), await freePort()];
    await startPinion(
      configText({
        engine,
        listeners: [
          { name: 'a', bind: `tcp://127.0.0.1:${a}`, pool: 'a' },
          { name: 'b', bind: `tcp://0.0.0.0:${b}`, pool: 'b' },
        ],
        pools: {
          a: { health: noCheck, backends: [{ name: 'b', address: `127.0.0.1:${b}` }] },
          b: { health: noCheck, backends: backendsOf([server!]) },
        },
      }),
    );
    for (let i = 0; i < 3; i++) expect(await askTcp(a)).toBe('real');
  });

  describe.skipIf(!namespacesWork())('in a network of its own', () => {
    const port = 4_000;
    const config = (health: Section, address = '10.7.7.7'): string =>
      configText({
        engine,
        metrics: { listen: '127.0.0.1:4001' },
        listeners: [{ name: 'front', bind: `tcp://0.0.0.0:${port}`, pool: 'pool' }],
        pools: { pool: { health, backends: [{ name: 'elsewhere', address: `${address}:${port}` }] } },
      });

    /** Connects from inside and resolves with how that ended, and with the metrics page. */
    async function visit(pinion: Pinion): Promise<string> {
      const program = `
        const { connect } = require('node:net');
        const socket = connect(${port}, '127.0.0.1', () => socket.write('hello'));
        socket.on('error', () => {});
        const fetched = async () => (await fetchFresh('http://127.0.0.1:4001/metrics')).text();
        socket.on('close', async () => {
          let page = await fetched();
          // Its end may be counted after it was seen here.
          for (let i = 0; i < 250 && !/code="loop"\\} [1-9]/.test(page); i++) page = await fetched();
          console.log(page);
        });`;
      return runInNamespaceOf(pinion.pid, program);
    }

    const value = (page: string, name: string): number =>
      page
        .split('\n')
        .filter((line) => line.startsWith(name))
        .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);

    test('row 54: connections that come back are recognised where no address shows it', async () => {
      // The kernel delivers what is sent there to this machine, and no interface has the address.
      const wrapper = namespaceWrapper(['ip route add local 10.7.7.0/24 dev lo']);
      const pinion = await startPinion(config(noCheck), { wrapper });
      const page = await visit(pinion);
      expect(value(page, 'pinion_listener_flows_total{listener="front"}')).toBeLessThanOrEqual(4);
      expect(value(page, 'pinion_listener_ended_total{listener="front",code="loop"}')).toBeGreaterThanOrEqual(
        1,
      );
      const down = await pinion.waitForLog(({ event }) => event === 'backend-down');
      expect(down.why).toBe('it leads back to listener front');
      // From now on nothing is dialled.
      const later = await visit(pinion);
      const flows = value(page, 'pinion_listener_flows_total');
      expect(value(later, 'pinion_listener_flows_total')).toBe(flows);
    });

    test('row 54: an address that moves to this machine makes its backend lead back', async () => {
      const pinion = await startPinion(config(noCheck), { wrapper: namespaceWrapper() });
      expect(pinion.events('backend-down')).toEqual([]);
      const enter = ['--target', String(pinion.pid), '--net', 'ip', 'addr'];
      await runToEnd({ command: 'nsenter', args: [...enter, 'add', '10.7.7.7/32', 'dev', 'lo'] });
      const down = await pinion.waitForLog(({ event }) => event === 'backend-down');
      expect(down.why).toBe('it leads back to listener front');
      const page = await visit(pinion);
      expect(value(page, 'pinion_listener_flows_total{listener="front"}')).toBe(0);
      expect(value(page, 'pinion_listener_ended_total{listener="front",code="loop"}')).toBe(1);
      await runToEnd({ command: 'nsenter', args: [...enter, 'del', '10.7.7.7/32', 'dev', 'lo'] });
      await pinion.waitForLog(({ event }) => event === 'backend-up');
    });
  });
});

/** A client of `listener` is turned away with its own code, and nothing went round. */
async function expectLoop(pinion: Pinion, port: number, listener: string): Promise<void> {
  const client = await tcpClient(port);
  client.socket.write('hello');
  await client.closed;
  await eventually(
    'the code counted',
    async () => ((await pinion.metric('pinion_listener_ended_total', { listener, code: 'loop' })) ?? 0) > 0,
  );
  // A health check that is answered by ourselves must not count either.
  await sleep(1_000);
  expect(await pinion.metric('pinion_listener_flows_total')).toBeLessThanOrEqual(5);
  const leadsBack = async (): Promise<unknown> => {
    const { body } = await admin(pinion, 'GET', '/status');
    const { backends } = body as { backends: { up: boolean; leadsTo: string | null }[] };
    return backends.find(({ leadsTo }) => leadsTo !== null);
  };
  await expect.poll(leadsBack).toMatchObject({ up: false });
  await expect
    .poll(() => pinion.events('backend-down').map(({ why }) => why))
    .toContainEqual(expect.stringMatching(/^it leads back to listener /));
}
