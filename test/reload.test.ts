/** Reloads at bad moments: an address that changes hands, a plan that is refused half way, a worker that is away. */
import { writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { admin, backendsOf, configText, noCheck, reload, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort, isBound } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers, type TestServer } from './support/servers.ts';

afterEach(async () => {
  await stopEverything();
  await stopServers();
});

const listenerAt = (name: string, port: number): Section => ({
  name,
  bind: `tcp://127.0.0.1:${port}`,
  pool: 'pool',
});

function configOf(
  listeners: readonly Section[],
  servers: readonly Pick<TestServer, 'name' | 'address'>[],
  more: Section = {},
): string {
  const pool = { policy: 'round-robin', health: noCheck, backends: backendsOf(servers) };
  return configText({ workers: 4, listeners, pools: { pool }, ...more });
}

/** Sends SIGHUP with a new file and waits for the answer, whatever it is. */
async function tryReload(pinion: Pinion, text: string): Promise<string | undefined> {
  const answers = () => [...pinion.events('reloaded'), ...pinion.events('reload-refused')];
  const before = answers().length;
  writeFileSync(pinion.configPath, text);
  pinion.process.signal('SIGHUP');
  await eventually('an answer to the reload', () => answers().length > before);
  return pinion.logs.findLast(({ event }) => event === 'reloaded' || event === 'reload-refused')?.event;
}

test('a listener may be renamed: its port goes from one to the other on every worker', async () => {
  const servers = await namedTcp(['a']);
  const port = await freePort();
  const pinion = await startPinion(configOf([listenerAt('name-0', port)], servers));
  for (let i = 1; i <= 10; i++) {
    await reload(pinion, configOf([listenerAt(`name-${i}`, port)], servers));
    expect(await askTcp(port)).toBe('a');
  }
  expect(pinion.events('reload-refused')).toEqual([]);
});

test('a refused reload ends no flow, closes no listener and forgets no drain', async () => {
  const servers = await namedTcp(['a', 'b']);
  const [front, side] = [await freePort(), await freePort()];
  const listeners = [listenerAt('front', front), listenerAt('side', side)];
  const pinion = await startPinion(configOf(listeners, servers));
  const open = await inParallel(clientAddresses(8), (from) => tcpClient(front, { from }));
  const names = await Promise.all(open.map((client) => client.line()));
  expect(new Set(names)).toEqual(new Set(['a', 'b']));
  await admin(pinion, 'POST', '/pools/pool/backends/b/drain');

  // Without b, without side, and with a listener where the first backend sits.
  const wrong = [listenerAt('front', front), listenerAt('taken', servers[0]!.port)];
  expect(await tryReload(pinion, configOf(wrong, servers.slice(0, 1)))).toBe('reload-refused');
  for (const [i, client] of open.entries()) {
    client.socket.write('still here');
    await eventually('the echo', () => client.text === `${names[i]}\nstill here`);
  }
  expect(await askTcp(side)).toBe('a');
  const { body } = await admin(pinion, 'GET', '/status');
  expect(body).toMatchObject({ backends: [{ backend: 'a' }, { backend: 'b', up: true, draining: true }] });
});

test('a reload while a worker is away waits for it, and the worker gets the new listener', async () => {
  const servers = await namedTcp(['a']);
  const [front, late] = [await freePort(), await freePort()];
  const env = { PINION_TEST_FAULTS: '1' };
  const pinion = await startPinion(configOf([listenerAt('front', front)], servers), { env });
  await admin(pinion, 'POST', '/faults/workers/0/exit');
  await pinion.waitForLog((record) => record.event === 'worker-died');
  const both = configOf([listenerAt('front', front), listenerAt('late', late)], servers);
  expect(await tryReload(pinion, both)).toBe('reloaded');
  await inParallel(clientAddresses(32), (from) => askTcp(late, from));
  expect(await tryReload(pinion, configOf([listenerAt('front', front)], servers))).toBe('reloaded');
});

test('a reload while the last flows finish does not begin to listen anew', async () => {
  const servers = await namedTcp(['a']);
  const port = await freePort();
  const text = configOf([listenerAt('front', port)], servers, { shutdown: { drain: '60s' } });
  const pinion = await startPinion(text);
  const client = await tcpClient(port);
  await client.line();
  pinion.process.signal('SIGTERM');
  await eventually('the listener closed', () => !isBound('tcp', port, pinion.pid));
  expect(await tryReload(pinion, text)).toBe('reload-refused');
  expect(isBound('tcp', port, pinion.pid)).toBe(false);
  await client.leave();
  expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
});
