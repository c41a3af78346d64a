/** Whom newcomers get while a backend comes up slowly, and while checks say that hardly anybody is up. */
import { afterEach, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel } from './support/clients.ts';
import { admin, backendsOf, configText, listener, quickCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers, tcpServer } from './support/servers.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const clients = clientAddresses(500);
const share = (pinion: Pinion, backend: string): Promise<number | undefined> =>
  pinion.metric('pinion_backend_slow_start_share', { backend });
const askAll = (pinion: Pinion, from: number, to: number): Promise<string[]> =>
  inParallel(clients.slice(from, to), (client) => askTcp(pinion.port('front'), client));

test.each(['epoll', 'portable'])('%s: slow start', async (engine) => {
  const servers = await namedTcp(['a', 'b']);
  const pool = { health: quickCheck, slow_start: '20s', backends: backendsOf(servers) };
  const pinion = await startPinion(
    configText({ engine, workers: 1, listeners: [listener('front', 'tcp', 'pool')], pools: { pool } }),
  );
  expect(await share(pinion, 'a'), 'not at the start').toBe(1);
  await servers[0]!.stop();
  await pinion.waitForLog(({ event, backend }) => event === 'backend-down' && backend === 'a');
  await servers[0]!.start();
  await pinion.waitForLog(({ event, backend }) => event === 'backend-up' && backend === 'a');
  const ofA = (names: string[]): number => names.filter((name) => name === 'a').length;
  expect(await share(pinion, 'a'), 'a part of its share').toBeLessThan(0.9);
  const early = ofA(await askAll(pinion, 0, 120));
  await eventually('it has its whole share', async () => (await share(pinion, 'a')) === 1);
  const late = ofA(await askAll(pinion, 120, 240));
  // Of its half of 120 it has a tenth at first.
  expect(early).toBeLessThan(40);
  expect(late).toBeGreaterThan(40);
  // A drain makes as cold.
  await admin(pinion, 'POST', '/pools/pool/backends/a/drain');
  await admin(pinion, 'POST', '/pools/pool/backends/a/undrain');
  expect((await admin(pinion, 'GET', '/explain?listener=front&client=127.1.2.3')).body).toMatchObject({
    slowStarts: { a: expect.toSatisfy((ready) => ready < 0.9) },
  });
  expect(ofA(await askAll(pinion, 240, 360))).toBeLessThan(40);
});

test.each(['epoll', 'portable'])(
  '%s: panic, all checks failing together, and one that flaps',
  async (engine) => {
    const ips = { a: '127.0.0.2', b: '127.0.0.3', c: '127.0.0.4' };
    const [port, checkPort] = [await freePort(), await freePort()];
    const checks = [];
    for (const [name, ip] of Object.entries(ips)) {
      await tcpServer((socket) => socket.end(`${name}\n`), { ip, port });
      checks.push(await tcpServer((socket) => socket.end(), { ip, port: checkPort }));
    }
    const backends = Object.entries(ips).map(([name, ip]) => ({ name, address: `${ip}:${port}` }));
    const pool = { health: { ...quickCheck, port: checkPort }, panic_below: '50%', backends };
    const pinion = await startPinion(
      configText({ engine, workers: 1, listeners: [listener('front', 'tcp', 'pool')], pools: { pool } }),
    );
    const panic = (): Promise<number | undefined> => pinion.metric('pinion_pool_panic', { pool: 'pool' });
    expect(await panic()).toBe(0);
    const told = (event: string, backend: string): number =>
      pinion.events(event).filter((record) => record.backend === backend).length;
    for (const check of checks.slice(0, 2)) await check.stop();
    await eventually('two are down', () => told('backend-down', 'a') > 0 && told('backend-down', 'b') > 0);
    await eventually('panic is told', async () => (await panic()) === 1);
    expect(new Set(await askAll(pinion, 0, 60)), 'who is down serves all the same').toEqual(
      new Set(['a', 'b', 'c']),
    );
    expect((await admin(pinion, 'GET', '/status')).body).toMatchObject({
      pools: [{ name: 'pool', panic: true }],
    });
    expect((await admin(pinion, 'GET', '/explain?listener=front&client=127.1.2.3')).body).toMatchObject({
      why: expect.stringContaining('fewer are up than panic_below says'),
    });
    await checks[2]!.stop();
    await pinion.waitForLog(({ event }) => event === 'pool-down');
    expect(new Set(await askAll(pinion, 0, 60)), 'all checks fail together').toEqual(
      new Set(['a', 'b', 'c']),
    );
    const before = { b: told('backend-up', 'b'), c: told('backend-up', 'c') };
    for (const check of checks.slice(1)) await check.start();
    await eventually(
      'two are up',
      () => told('backend-up', 'b') > before.b && told('backend-up', 'c') > before.c,
    );
    await eventually('its end is told', async () => (await panic()) === 0);
    expect(new Set(await askAll(pinion, 60, 120))).toEqual(new Set(['b', 'c']));

    for (let flap = 2; flap <= 3; flap++) {
      const [downs, ups] = [told('backend-down', 'b'), told('backend-up', 'b')];
      await checks[1]!.stop();
      await eventually(`b is down`, () => told('backend-down', 'b') > downs);
      await expect.poll(panic, { message: 'one of three is left' }).toBe(1);
      await checks[1]!.start();
      await eventually('b is up', () => told('backend-up', 'b') > ups);
      const flaps = await pinion.metric('pinion_backend_flaps_total', { backend: 'b' });
      expect(flaps).toBeGreaterThanOrEqual(flap);
      await expect.poll(() => told('backend-down', 'b'), { message: 'each is told' }).toBe(flaps);
    }
    expect(new Set(await askAll(pinion, 120, 180)), 'one that has flapped').toEqual(new Set(['b', 'c']));
  },
);
