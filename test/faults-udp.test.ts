/** UDP faults, each injected as it happens: rows 36 to 38 of the reliability table. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { askUdp, clientAddresses, inParallel, tryUdp } from './support/clients.ts';
import { admin, backendsOf, configText, listener, noCheck, type Section } from './support/config.ts';
import { eventually, settled } from './support/eventually.ts';
import { canForge, forgeDatagram } from './support/forge.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedUdp, stopServers, type TestServer, udpServer } from './support/servers.ts';

const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await stopEverything();
  await stopServers();
});

function front(
  servers: readonly TestServer[],
  more: Section = {},
  ofListener: Section = {},
): Promise<Pinion> {
  return startPinion(
    configText({
      workers: 1,
      listeners: [listener('front', 'udp', 'pool', ofListener)],
      pools: { pool: { policy: 'maglev', health: noCheck, backends: backendsOf(servers) } },
      ...more,
    }),
  );
}

async function openSocket(from = '127.0.0.1'): Promise<Socket> {
  const socket = createSocket('udp4');
  sockets.push(socket);
  socket.bind(0, from);
  await once(socket, 'listening');
  return socket;
}

/** One datagram from each of many addresses, nobody waiting for an answer; as a forger would, but slower. */
async function flood(pinion: Pinion, sources: number): Promise<void> {
  await inParallel(clientAddresses(sources), async (from) => {
    const socket = createSocket('udp4');
    socket.bind(0, from);
    await once(socket, 'listening');
    await new Promise((resolve) => socket.send('flood', pinion.port('front'), '127.0.0.1', resolve));
    socket.close();
  });
  await settled('the flood taken', async () => (await pinion.metric('pinion_listener_flows_total')) ?? 0);
}

/** Answers everybody but the flood. */
const choosy = (name: string) => (message: Buffer, _from: unknown, reply: (text: string) => void) => {
  if (message.toString() !== 'flood') reply(`${name}:`);
};

test('row 36: a flood from thousands of sources neither grows past the cap nor locks clients out', async () => {
  const servers = await Promise.all(['a', 'b'].map((name) => udpServer(choosy(name), { name })));
  const cap = 500;
  const pinion = await front(servers, { limits: { flows: cap } });
  await flood(pinion, 5_000);
  expect(await pinion.metric('pinion_flows')).toBeLessThanOrEqual(cap);
  expect(pinion.descriptors()).toBeLessThan(cap + 200);
  // The flood is not over its idle time yet: who comes now makes room for himself.
  const honest = clientAddresses(5_100).slice(5_000);
  const names = await inParallel(honest, (from) => tryUdp(pinion.port('front'), from, 'hello', 20_000), 8);
  expect(names.filter((name) => name === undefined)).toEqual([]);
  await expect
    .poll(() => pinion.metric('pinion_listener_ended_total', { code: 'evicted' }))
    .toBeGreaterThan(0);
});

test('row 36: a conversation that works is not given up for a flood', async () => {
  const servers = await Promise.all(['a', 'b'].map((name) => udpServer(choosy(name), { name })));
  const pinion = await front(servers, { limits: { flows: 300 } });
  const client = await openSocket('127.9.0.1');
  const answers: string[] = [];
  client.on('message', (message) => answers.push(message.toString()));
  const say = async (): Promise<void> => {
    const before = answers.length;
    client.send('hello', pinion.port('front'), '127.0.0.1');
    await eventually('an answer', () => answers.length > before);
  };
  await say();
  await flood(pinion, 3_000);
  await say();
  const flows = (await admin(pinion, 'GET', '/connections?most=1000')).body as {
    connections: { client: string }[];
  };
  const mine = flows.connections.filter((flow) => flow.client === `127.9.0.1:${client.address().port}`);
  expect(mine).toMatchObject([{ datagramsIn: 2, datagramsOut: 2 }]);
});

test('row 36: unconfirmed pins do not push out confirmed ones', async () => {
  const servers = await Promise.all(['a', 'b'].map((name) => udpServer(choosy(name), { name })));
  const pinion = await front(servers, { limits: { flows: 6_000, pins: 400 } }, { timeouts: { idle: '1s' } });
  const honest = clientAddresses(5_100).slice(5_000);
  const names = await inParallel(honest, (from) => askUdp(pinion.port('front'), from));
  await flood(pinion, 5_000);
  await eventually('the table full and full again', async () => {
    const evictions = await pinion.metric('pinion_pin_evictions_total');
    return evictions !== undefined && evictions > 1_000;
  });
  const explained = await inParallel(honest, async (from) => {
    const { body } = await admin(pinion, 'GET', `/explain?listener=front&client=${from}`);
    return body as { by: string; backend: string };
  });
  expect(explained.map(({ by, backend }) => `${by} ${backend}`)).toEqual(names.map((name) => `pin ${name}`));
});

test('row 37: nothing is ever answered by the balancer itself', async () => {
  const [server] = await namedUdp(['a']);
  const pinion = await front([server!]);
  await server!.stop();
  for (const message of ['', 'x', 'x'.repeat(60_000)]) {
    expect(await tryUdp(pinion.port('front'), '127.9.0.2', message, 300)).toBeUndefined();
  }
  await eventually('nothing came out', async () => {
    const sent = await pinion.metric('pinion_listener_datagrams_total', { direction: 'out' });
    return sent === 0;
  });
});

test('row 37: a datagram to an upstream socket from anybody but its backend reaches no client', async () => {
  let upstreamPort = 0;
  const server = await udpServer((_message, from, reply) => {
    upstreamPort = from.port;
    reply('a:1');
  });
  const pinion = await front([server]);
  const client = await openSocket('127.9.0.3');
  const got: string[] = [];
  client.on('message', (message) => got.push(message.toString()));
  client.send('hello', pinion.port('front'), '127.0.0.1');
  await eventually('the answer', () => got.length === 1);
  const stranger = await openSocket();
  for (let i = 0; i < 20; i++) stranger.send('forged', upstreamPort, '127.0.0.1');
  client.send('hello', pinion.port('front'), '127.0.0.1');
  await eventually('the second answer', () => got.length >= 2);
  await sleep(200);
  expect(got).toEqual(['a:1', 'a:1']);
});

test.skipIf(!canForge()).each(['epoll', 'portable'])(
  'row 37: a datagram that says it comes from port 0 opens no conversation and is no fault (%s)',
  async (engine) => {
    const server = await udpServer((_message, _from, reply) => reply('a:1'));
    const pinion = await front([server], { engine });
    const to = { ip: '127.0.0.1', port: pinion.port('front') };
    for (let i = 0; i < 3; i++) forgeDatagram({ ip: '127.0.0.1', port: 0 }, to, 'forged');
    const dropped = () =>
      pinion.metric('pinion_listener_datagrams_dropped_total', { reason: 'unknown-source' });
    await eventually('three dropped', async () => (await dropped()) === 3);
    expect(await askUdp(to.port, '127.9.0.5')).toBe('a');
    await expect.poll(() => pinion.metric('pinion_listener_flows_total')).toBe(1);
    expect(pinion.events('flow-fault')).toEqual([]);
  },
);

test('row 37: a reply that comes after the conversation has expired goes nowhere', async () => {
  let answerLate: () => void = () => {};
  const server = await udpServer((message, _from, reply) => {
    if (message.toString() === 'later') answerLate = () => reply('late');
    else reply('now');
  });
  const pinion = await front([server], {}, { timeouts: { idle: '300ms' } });
  const client = await openSocket('127.9.0.4');
  const got: string[] = [];
  client.on('message', (message) => got.push(message.toString()));
  client.send('later', pinion.port('front'), '127.0.0.1');
  await pinion.waitForLog((record) => record.event === 'flow' && record.code === 'expired');
  answerLate();
  client.send('again', pinion.port('front'), '127.0.0.1');
  await eventually('a later answer', () => got.length > 0);
  await sleep(100);
  expect(got).toEqual(['now']);
});

test('row 38: a port that is unreachable puts its backend aside; its clients move and stay', async () => {
  const servers = await namedUdp(['a', 'b', 'c']);
  const passive = { failures: 2, eject: '2s' };
  const pinion = await startPinion(
    configText({
      listeners: [listener('front', 'udp', 'pool', { timeouts: { idle: '10s' } })],
      pools: { pool: { health: noCheck, passive, backends: backendsOf(servers) } },
    }),
  );
  const port = pinion.port('front');
  const clients = clientAddresses(90);
  const first = await inParallel(clients, (from) => askUdp(port, from));
  await servers[0]!.stop();
  // A client whose datagram met the closed port tries again, as games do.
  const ask = (from: string) => eventually(`an answer to ${from}`, () => tryUdp(port, from, 'hello', 300));
  const second = await inParallel(clients, ask, 8);
  expect(second.filter((answer) => answer.startsWith('a:'))).toEqual([]);
  expect(second.filter((answer, i) => first[i] !== 'a' && !answer.startsWith(first[i]!))).toEqual([]);
  await expect
    .poll(() => pinion.metric('pinion_backend_unreachable_total', { backend: 'a' }))
    .toBeGreaterThanOrEqual(2);
  const down = await pinion.waitForLog((record) => record.event === 'backend-down');
  expect(down).toMatchObject({
    backend: 'a',
    // Clients whose datagrams went out together find it closed together.
    why: expect.stringMatching(/^its port was unreachable ([2-9]|\d\d+) times in a row; left out for 2s$/),
  });
  await servers[0]!.start();
  await pinion.waitForLog((record) => record.event === 'backend-up' && record.backend === 'a');
  expect(await inParallel(clients, ask, 8), 'who moved stays').toEqual(second);
  expect(pinion.events('flow-fault')).toEqual([]);
});

test('row 38: the last backend of a pool is not put aside', async () => {
  const [server] = await namedUdp(['a']);
  const pinion = await front([server!]);
  await server!.stop();
  for (let i = 0; i < 20; i++)
    expect(await tryUdp(pinion.port('front'), '127.9.0.5', 'x', 20)).toBeUndefined();
  await server!.start();
  expect(await askUdp(pinion.port('front'), '127.9.0.5')).toBe('a');
  expect(pinion.events('backend-down')).toEqual([]);
});
