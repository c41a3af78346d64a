/**
 * Crowds that mean no work: ten thousand clients that connect and reset at once, and connects that no backend ever
 * answers. Neither disturbs a client that is served meanwhile, and descriptors are back afterwards.
 */
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { type Blackhole, openBlackhole } from './support/blackhole.ts';
import { askTcp, clientAddresses, inParallel, tcpClient } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, stopServers, tcpServer } from './support/servers.ts';
import { askOverTcp } from './support/traffic.ts';

let blackhole: Blackhole | undefined;

afterEach(async () => {
  await stopEverything();
  await stopServers();
  await blackhole?.close();
  blackhole = undefined;
});

async function start(): Promise<Pinion> {
  const [named] = await namedTcp(['a']);
  const echo = await tcpServer((socket) => socket.pipe(socket), { name: 'echo' });
  blackhole = await openBlackhole('never');
  const alone = { health: noCheck, tries: 1, passive: { failures: 0 } };
  return startPinion(
    configText({
      log: { flows: { level: 'off' } },
      listeners: [
        listener('front', 'tcp', 'named'),
        listener('echo', 'tcp', 'echo'),
        listener('never', 'tcp', 'never', { timeouts: { connect: '1s' } }),
      ],
      pools: {
        named: { ...alone, backends: backendsOf([named!]) },
        echo: { ...alone, backends: backendsOf([echo]) },
        never: { ...alone, backends: backendsOf([blackhole]) },
      },
    }),
  );
}

const addresses = clientAddresses(1_000);
const crowd = 10_000;
/** Sockets of this process open at once; the backend's are in it, too. */
const wave = 2_500;

/** The pages' own connections, kept alive by fetch, are gone before the figure is believed. */
function descriptorsAtRest(pinion: Pinion): Promise<number> {
  return settled('descriptors', () => pinion.descriptors(), 6_000);
}

/** Connects and resets once the handshake is done; resolves when the socket is gone. */
function hitAndRun(port: number, from: string): Promise<boolean> {
  return new Promise((resolve) => {
    let isUp = false;
    const socket = connect({ port, host: '127.0.0.1', localAddress: from });
    socket.once('connect', () => {
      isUp = true;
      socket.resetAndDestroy();
    });
    socket.on('error', () => {});
    socket.once('close', () => resolve(isUp));
  });
}

test('ten thousand clients that connect and reset at once', async () => {
  const pinion = await start();
  await askTcp(pinion.port('front'));
  const baseline = await descriptorsAtRest(pinion);
  const bystander = await askOverTcp(pinion.port('echo'), '127.9.9.9', 200);
  let connected = 0;
  for (let done = 0; done < crowd; done += wave) {
    const answersBefore = bystander.answers;
    const all = Array.from({ length: wave }, (_, i) =>
      hitAndRun(pinion.port('front'), addresses[(done + i) % 1_000]!),
    );
    connected += (await Promise.all(all)).filter(Boolean).length;
    await eventually('service beside the storm', () => bystander.answers > answersBefore);
  }
  expect(connected).toBe(crowd);
  expect([bystander.outcome, bystander.wrong]).toEqual([undefined, 0]);
  await bystander.leave();
  expect(await askTcp(pinion.port('front')), 'one more client').toBe('a');
  expect(await descriptorsAtRest(pinion)).toBe(baseline);
  await expect.poll(() => pinion.metric('pinion_flows')).toBe(0);
  await expect.poll(() => pinion.metric('pinion_backend_flows', { backend: 'a' })).toBe(0);
});

test('connects that never finish: clients that wait are turned away, clients that leave cost nothing', async () => {
  const pinion = await start();
  await askTcp(pinion.port('front'));
  const baseline = await descriptorsAtRest(pinion);
  const waiting = await inParallel(
    addresses.slice(0, 500),
    (from) => tcpClient(pinion.port('never'), { from }),
    100,
  );
  const leaving = addresses.slice(500, 1_000).map((from) => hitAndRun(pinion.port('never'), from));
  expect((await Promise.all(leaving)).filter(Boolean).length).toBe(500);
  expect(await askTcp(pinion.port('front')), 'service meanwhile').toBe('a');
  const outcomes = await Promise.all(waiting.map((client) => client.outcome));
  expect(new Set(outcomes)).toEqual(new Set(['ECONNRESET']));
  const ended = (code: string) => pinion.metric('pinion_listener_ended_total', { listener: 'never', code });
  await eventually('all of them counted', async () => (await ended('backend-timeout'))! >= 500);
  await expect.poll(() => pinion.metric('pinion_flows')).toBe(0);
  expect(await descriptorsAtRest(pinion)).toBe(baseline);
});
