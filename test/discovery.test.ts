/** Backends that are found while pinion runs: pins stay, lists that cannot be used change nothing, and what was found outlives a reload. */
import { createSocket } from 'node:dgram';
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { admin, backendsOf, configText, listener, noCheck, reload, workersHave } from './support/config.ts';
import { startDnsmasq } from './support/dnsmasq.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { namedTcp, stopServers, type TestServer, tcpServer, udpServer } from './support/servers.ts';
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
  await workersHave(pinion);
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
  await expect.poll(() => pinion.metric('pinion_discovery_backends', { pool: 'found' })).toBe(4);
  await expect
    .poll(() => pinion.metric('pinion_discovery_failures_total', { pool: 'found' }))
    .toBeGreaterThan(1);

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

test('a listener that a refused reload has lost keeps no list from being used', async () => {
  const servers = await namedTcp(['a', 'b']);
  const folder = temporaryFolder('lost');
  const path = join(folder, 'list.json');
  const sockets = join(folder, 'sockets');
  mkdirSync(sockets);
  writeFileSync(path, listOf(servers.slice(0, 1)));
  const text = (lost: string): string =>
    configText({
      listeners: [
        listener('front', 'tcp', 'found'),
        { name: lost, bind: `unix:${join(sockets, 'front.sock')}`, pool: 'found' },
      ],
      pools: { found: { health: noCheck, discovery: { type: 'file', path } } },
    });
  const pinion = await startPinion(text('before'));
  // The one is closed to make room for the other, and neither can be opened.
  rmSync(sockets, { recursive: true });
  writeFileSync(pinion.configPath, text('after'));
  pinion.process.signal('SIGHUP');
  await pinion.waitForLog(
    ({ event, problems }) => event === 'reload-refused' && /cannot be opened again/.test(String(problems)),
  );
  writeFileSync(path, listOf(servers));
  await pinion.waitForLog(({ event, backends }) => event === 'discovery-changed' && backends === '+1 ~0 -0');
});

requirePackage('dnsmasq')('names', () => {
  test('records come and go, servers move, answers are wrong or do not come: nobody loses a backend that is still there', async () => {
    const port = await freePort();
    const udpPort = await freePort('udp');
    const places = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '::1'];
    for (const ip of places) {
      await tcpServer((socket) => socket.end(`${ip}\n`), { ip, port });
      if (ip !== '::1') await udpServer((_, __, reply) => reply(`${ip}:`), { ip, port: udpPort });
    }
    let dnsmasq = await startDnsmasq({
      args: zone({ web: ['127.0.0.2', '::1'], services: ['1:10:one', '2:0:two'] }, udpPort),
    });
    const play = async (records: Zone): Promise<void> => {
      const { port: dnsPort } = dnsmasq;
      await dnsmasq.stop();
      dnsmasq = await startDnsmasq({ port: dnsPort, args: zone(records, udpPort) });
    };
    const discovery = {
      type: 'dns',
      servers: [`127.0.0.1:${dnsmasq.port}`],
      refresh: { min: '1s', max: '2s' },
      records_max: 3,
    };
    const pinion = await startPinion(
      configText({
        listeners: [listener('web', 'tcp', 'web'), listener('game', 'udp', 'game')],
        pools: {
          web: { health: noCheck, discovery: { ...discovery, name: 'web.test', port } },
          game: { health: noCheck, discovery: { ...discovery, name: '_game._udp.test', record: 'SRV' } },
        },
      }),
    );
    const ask = (): Promise<string[]> => inParallel(clients, (client) => askTcp(pinion.port('web'), client));
    const backends = async (pool: string): Promise<unknown[]> =>
      ((await admin(pinion, 'GET', '/status')).body as { backends: { pool: string }[] }).backends
        .filter((one) => one.pool === pool)
        .map(({ backend, at, weight, priority }: Record<string, unknown>) => [backend, at, weight, priority]);
    // A start waits for the first answers, but not for long.
    await eventually(
      'both pools have found theirs',
      async () => (await backends('web')).length === 2 && (await backends('game')).length === 2,
    );
    const first = await eventually('the workers know them', async () => ask().catch(() => undefined));
    expect(new Set(first)).toEqual(new Set(['127.0.0.2', '::1']));
    expect(await backends('web')).toEqual([
      [`127.0.0.2:${port}`, `127.0.0.2:${port}`, 1, 1],
      [`ip6:[::1]:${port}`, `[::1]:${port}`, 1, 1],
    ]);
    expect(await backends('game')).toEqual([
      [`one.test:${udpPort}`, `127.0.0.2:${udpPort}`, 1, 1],
      [`two.test:${udpPort}`, `127.0.0.3:${udpPort}`, 1, 2],
    ]);
    const player = createSocket('udp4').bind(0, '127.0.0.1');
    const heard: string[] = [];
    player.on('message', (message) => heard.push(message.toString()));
    const played = async (answer: string): Promise<void> => {
      await eventually(`the player hears ${answer}`, async () => {
        player.send('x', pinion.port('game'), '127.0.0.1');
        await new Promise((resolve) => setTimeout(resolve, 100));
        return heard.at(-1) === answer;
      });
    };
    try {
      await played('127.0.0.2:');

      // One more address and another order; `one` is at another place.
      await play({
        web: ['::1', '127.0.0.3', '127.0.0.2'],
        services: ['2:0:two', '1:10:one'],
        one: '127.0.0.4',
      });
      await pinion.waitForLog(({ pool, backends }) => pool === 'web' && backends === '+1 ~0 -0');
      await pinion.waitForLog(({ pool, backends }) => pool === 'game' && backends === '+0 ~1 -0');
      expect(await ask()).toEqual(first);
      await played('127.0.0.4:');

      // Nobody answers; then there are no such names; then there are too many records.
      const faultIs = (words: RegExp): Promise<unknown> =>
        eventually(`the status says ${words}`, async () => {
          const { discovery } = (await admin(pinion, 'GET', '/status')).body as {
            discovery: { pool: string; fault: string | null }[];
          };
          return words.test(discovery.find(({ pool }) => pool === 'web')!.fault ?? 'none');
        });
      process.kill(dnsmasq.process.pid, 'SIGSTOP');
      await faultIs(/A: no name server answers, AAAA: no name server answers/);
      process.kill(dnsmasq.process.pid, 'SIGCONT');
      await faultIs(/^none$/);
      await play({ web: [], services: [] });
      await faultIs(/NXDOMAIN/);
      expect(await ask()).toEqual(first);
      await play({ web: ['::1', '127.0.0.2'], services: [] });
      await faultIs(/^none$/);
      await play({ web: ['::1', '127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5'], services: [] });
      await faultIs(/^A: the name has 4 A records; at most 3 are taken/);
      expect(await ask()).toEqual(first);
      const told = () => pinion.events('discovery-failed').filter(({ pool }) => pool === 'web');
      await expect.poll(told).toContainEqual(expect.objectContaining({ place: 'A+AAAA web.test', kept: 3 }));
      await expect.poll(() => pinion.metric('pinion_discovery_backends', { pool: 'game' })).toBe(2);
      await played('127.0.0.4:');
    } finally {
      player.close();
    }
  });
});

interface Zone {
  readonly web: readonly string[];
  /** `priority:weight:host`. */
  readonly services: readonly string[];
  readonly one?: string;
}

function zone({ web, services, one = '127.0.0.2' }: Zone, port: number): string[] {
  return [
    '--local=/test/',
    '--local-ttl=1',
    `--host-record=one.test,${one}`,
    '--host-record=two.test,127.0.0.3',
    ...web.map((ip) => `--host-record=web.test,${ip}`),
    ...services.map((text) => {
      const [priority, weight, host] = text.split(':');
      return `--srv-host=_game._udp.test,${host}.test,${port},${priority},${weight}`;
    }),
  ];
}
