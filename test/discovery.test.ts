/** Backends that are found while pinion runs: pins stay, lists that cannot be used change nothing, and what was found outlives a reload. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { admin, backendsOf, configText, listener, noCheck, reload } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers, type TestServer } from './support/servers.ts';
import { temporaryFolder } from './support/temporary.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const clients = clientAddresses(40);
const listOf = (servers: readonly TestServer[]): string => JSON.stringify(backendsOf(servers));

test('a listed file: servers come and go, a broken list changes nothing, a reload keeps what was found', async () => {
  const servers = await namedTcp(['a', 'b', 'c', 'd']);
  const folder = temporaryFolder('list');
  const path = join(folder, 'list.yaml');
  const replace = (text: string): void => {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  };
  const text = (more = {}): string =>
    configText({
      listeners: [listener('front', 'tcp', 'found')],
      pools: { found: { health: noCheck, discovery: { type: 'file', path }, ...more } },
    });
  // Nothing is there yet: it starts all the same.
  const pinion = await startPinion(text());
  const port = pinion.port('front');
  expect(pinion.events('discovery-failed')).toMatchObject([
    { pool: 'found', kept: 0, message: `${path}: there is no such file` },
  ]);
  await expect(askTcp(port)).rejects.toThrow(/no line/);

  writeFileSync(path, listOf(servers.slice(0, 3)));
  await pinion.waitForLog(({ event, backends }) => event === 'discovery-changed' && backends === '+3 ~0 -0');
  await pinion.waitForLog(({ event }) => event === 'discovery-restored');
  const ask = (): Promise<string[]> => inParallel(clients, (client) => askTcp(port, client));
  await eventually('the workers know them', async () => (await askTcp(port).catch(() => '')) !== '');
  const first = await ask();
  expect(new Set(first)).toEqual(new Set(['a', 'b', 'c']));

  replace(listOf(servers));
  await pinion.waitForLog(({ added }) => JSON.stringify(added) === '["d"]');
  await eventually('somebody new is given d', async () =>
    (await inParallel(clientAddresses(60).slice(40), (client) => askTcp(port, client))).includes('d'),
  );
  expect(await ask()).toEqual(first);

  replace('- { name: a, addr');
  const refused = await pinion.waitForLog(({ event, kept }) => event === 'discovery-failed' && kept === 4);
  expect(refused.message).toMatch(/list.yaml:1:\d+: /);
  expect(await ask()).toEqual(first);
  await reload(pinion, text({ tries: 2 }));
  expect(await ask()).toEqual(first);
  const { body } = await admin(pinion, 'GET', '/status');
  expect(body).toMatchObject({
    discovery: [{ pool: 'found', type: 'file', place: path, found: 4, fault: refused.message }],
  });
  expect(await pinion.metric('pinion_discovery_backends', { pool: 'found' })).toBe(4);
  expect(await pinion.metric('pinion_discovery_failures_total', { pool: 'found' })).toBeGreaterThan(1);

  // One is gone: its open connection ends, and its clients go elsewhere; nobody else moves.
  const ofA = await tcpClient(port, { from: clients[first.indexOf('a')]! });
  expect(await ofA.line()).toBe('a');
  rmSync(folder, { recursive: true });
  mkdirSync(folder);
  replace(listOf(servers.slice(1)));
  expect(await ofA.outcome).toBe('ECONNRESET');
  const then = await ask();
  for (const [i, name] of first.entries()) {
    if (name === 'a') expect(['b', 'c', 'd']).toContain(then[i]);
    else expect(then[i]).toBe(name);
  }
});
