/**
 * Clients that are turned away cost a count and a line a second, whatever turns them away: no backend, a limit of the
 * instance, of the listener, of a client, of new flows a second; over UDP (a datagram each) and TCP.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { clientAddresses, inParallel, type TcpClient, tcpClient } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck, type Section } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { type LogRecord, type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers } from './support/servers.ts';

const engines = ['epoll', 'portable'] as const;
const clients: TcpClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.socket.destroy();
  await stopEverything();
  await stopServers();
});

function front(listeners: readonly Section[], pool: Section, more: Section): Promise<Pinion> {
  return startPinion(configText({ workers: 1, listeners, pools: { pool }, ...more }));
}

/** What was told of clients turned away, and how many lines that took. */
function told(pinion: Pinion, code: string): { count: number; lines: LogRecord[] } {
  const lines = pinion.events('clients-refused').filter((line) => line.code === code);
  return { count: lines.reduce((sum, line) => sum + Number(line.count), 0), lines };
}

async function total(pinion: Pinion, name: string, labels = {}): Promise<number> {
  return (await pinion.metric(name, labels)) ?? 0;
}

/** Datagrams of one client. */
async function sendMany(port: number, count: number): Promise<void> {
  const socket = createSocket('udp4');
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  for (let sent = 0; sent < count; sent++) {
    await new Promise((resolve) => socket.send('hello', port, '127.0.0.1', resolve));
  }
  socket.close();
}

/** A line at once, and then one a second: a slow machine takes its time to send, and is given lines for it. */
function expectFewLines(lines: readonly LogRecord[], startedAtMs: number): void {
  const seconds = (performance.now() - startedAtMs) / 1_000;
  expect(lines.length).toBeGreaterThan(0);
  expect(lines.length).toBeLessThanOrEqual(2 + Math.ceil(seconds));
}

test.each(engines)(
  '%s: datagrams that find no backend are counted and make a line a second',
  async (engine) => {
    const [server] = await namedUdp(['a']);
    const health = { type: 'tcp', port: await freePort(), interval: '100ms', timeout: '100ms', fall: 1 };
    const front1 = listener('front', 'udp', 'pool');
    const pinion = await front([front1], { health, backends: backendsOf([server!]) }, { engine });
    await pinion.waitForLog((record) => record.event === 'pool-down');
    const startedAtMs = performance.now();
    await sendMany(pinion.port('front'), 3_000);
    const ended = () => total(pinion, 'pinion_listener_ended_total', { code: 'no-backend' });
    const count = await settled('all taken', ended, 2_000);
    expect(count).toBeGreaterThan(1_000); // a loaded machine's kernel drops some
    await eventually('all told', () => told(pinion, 'no-backend').count === count);
    const { lines } = told(pinion, 'no-backend');
    expectFewLines(lines, startedAtMs);
    expect(lines[0]).toMatchObject({ listener: 'front', count: 1, level: 40 });
    expect(lines[0]?.client).toMatch(/^127\.0\.0\.1:\d+$/);
    expect(pinion.events('flow')).toEqual([]);
    await expect.poll(() => total(pinion, 'pinion_listener_refused_total')).toBe(count);
    expect(await total(pinion, 'pinion_listener_flows_total')).toBe(0);
  },
);

const limits: readonly [string, Section, Section, string][] = [
  ['limits.flows', { limits: { flows: 4 } }, {}, 'limit-flows'],
  ['the limit of the listener', {}, { flows: 4 }, 'limit-listener'],
  ['the limit of new flows a second', {}, { new_flows: 4 }, 'limit-rate'],
  ['max_connections of all backends', {}, {}, 'no-backend'],
];

test.each(engines.flatMap((engine) => limits.map((limit) => [engine, ...limit] as const)))(
  '%s: a crowd of connections above %s leaves a line a second and no record each',
  async (engine, _, instance, ofListener, code) => {
    const servers = await namedTcp(['a']);
    const backends = backendsOf(servers).map((backend) => ({
      ...backend,
      ...(code === 'no-backend' ? { max_connections: 4 } : {}),
    }));
    const front1 = listener('front', 'tcp', 'pool', { limits: ofListener });
    const pinion = await front([front1], { health: noCheck, backends }, { engine, ...instance });
    const startedAtMs = performance.now();
    const outcomes = await inParallel(clientAddresses(400), async (from) => {
      const client = await tcpClient(pinion.port('front'), { from });
      clients.push(client);
      return Promise.race([client.line(), client.outcome]);
    });
    const refused = outcomes.filter((outcome) => outcome !== 'a').length;
    expect(refused).toBeGreaterThan(200);
    if (code !== 'limit-rate') expect(refused).toBe(396);
    await eventually('all told', () => told(pinion, code).count === refused);
    expectFewLines(told(pinion, code).lines, startedAtMs);
    await expect.poll(() => total(pinion, 'pinion_listener_ended_total', { code })).toBe(refused);
    await expect.poll(() => total(pinion, 'pinion_listener_refused_total')).toBe(refused);
    await expect.poll(() => total(pinion, 'pinion_listener_flows_total')).toBe(400 - refused);
    expect(pinion.events('flow').filter((record) => record.code === code)).toEqual([]);
  },
);
