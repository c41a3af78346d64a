/** Tiers with real servers: clients spill over, are kept where they went, and come back as the nearer servers do. */
import { afterEach, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { admin, backendsOf, configText, listener, quickCheck } from './support/config.ts';
import type { Pinion } from './support/pinion.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers, type TestServer } from './support/servers.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const clients = clientAddresses(450);

async function flip(pinion: Pinion, server: TestServer, act: 'start' | 'stop'): Promise<void> {
  const event = act === 'start' ? 'backend-up' : 'backend-down';
  const before = pinion.events(event).length;
  await server[act]();
  await pinion.waitForLog(
    (record) =>
      record.event === event &&
      record.backend === server.name &&
      pinion.events(event).indexOf(record) >= before,
  );
}

test.each(['epoll', 'portable'])('%s: clients spill over and come back', async (engine) => {
  const servers = await namedTcp(['a', 'b', 'c', 'z']);
  const [a, b, c] = servers as [TestServer, TestServer, TestServer];
  const more = [{}, {}, { priority: 2, zone: 'far' }, { backup: true }];
  const backends = backendsOf(servers).map((backend, i) => ({ ...backend, ...more[i] }));
  const pool = { health: quickCheck, on_up: { close_backup: true }, backends };
  const pinion = await startPinion(
    configText({ engine, workers: 1, listeners: [listener('front', 'tcp', 'pool')], pools: { pool } }),
  );
  const ask = (from: number, to: number): Promise<string[]> =>
    inParallel(clients.slice(from, to), (client) => askTcp(pinion.port('front'), client));

  const first = await ask(0, 100);
  expect(new Set(first)).toEqual(new Set(['a', 'b']));

  await flip(pinion, b, 'stop');
  const half = await ask(0, 100);
  for (const [i, name] of half.entries()) if (first[i] === 'a') expect(name, 'pins stay').toBe('a');
  const newcomers = await ask(100, 300);
  const gone = newcomers.filter((name) => name === 'c').length;
  // Two in seven of 200 are 57, with a standard deviation of 6.4.
  expect(gone).toBeGreaterThan(25);
  expect(gone).toBeLessThan(90);
  expect(newcomers.filter((name) => name === 'a').length).toBe(200 - gone);
  const explained = await admin(pinion, 'GET', '/explain?listener=front&client=127.1.2.3');
  expect(explained.body).toMatchObject({
    tiers: [
      { tier: 1, backends: ['a', 'b'], ready: 0.5, share: expect.closeTo(5 / 7, 9) },
      { tier: 2, backends: ['c'], ready: 1, share: expect.closeTo(2 / 7, 9) },
      { tier: 3, backends: ['z'], backup: true, share: 0 },
    ],
  });

  await flip(pinion, a, 'stop');
  expect(new Set(await ask(0, 300))).toEqual(new Set(['c']));
  await flip(pinion, c, 'stop');
  expect(new Set(await ask(0, 350)), 'nobody else is there').toEqual(new Set(['z']));

  const refugee = await tcpClient(pinion.port('front'), { from: clients[0]! });
  expect(await refugee.line()).toBe('z');
  await flip(pinion, c, 'start');
  await pinion.waitForLog(({ code, backend }) => code === 'backup-closed' && backend === 'z');
  refugee.socket.destroy();
  expect(new Set(await ask(0, 300)), 'a backup is nobody’s home').toEqual(new Set(['c']));
  await flip(pinion, a, 'start');
  await flip(pinion, b, 'start');
  expect(new Set(await ask(0, 300)), 'c is one').toEqual(new Set(['c']));
  expect(new Set(await ask(350, 450)), 'newcomers are back').toEqual(new Set(['a', 'b']));
  expect((await admin(pinion, 'GET', '/status')).body).toMatchObject({
    backends: [{ tier: 1 }, { tier: 1 }, { tier: 2, priority: 2, zone: 'far' }, { tier: 3, backup: true }],
  });
  await expect.poll(() => pinion.metric('pinion_backend_tier', { backend: 'z' })).toBe(3);
});
