/** Stopping with UDP clients: whoever waits for an answer gets it, whichever worker serves him; nobody new comes in. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { clientAddresses, tryUdp } from './support/clients.ts';
import { backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { stopServers, udpServer } from './support/servers.ts';

const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await stopEverything();
  await stopServers();
});

/** Keeps its question until it is told to answer. */
async function patientServer() {
  const owed: (() => void)[] = [];
  const server = await udpServer((message, _from, reply) => {
    if (message.toString() === 'question') owed.push(() => reply('answer'));
    else reply('welcome');
  });
  return { server, owed };
}

test.each(['epoll', 'portable'])(
  '%s: SIGTERM leaves UDP clients the time of their answers',
  async (engine) => {
    const { server, owed } = await patientServer();
    const pinion = await startPinion(
      configText({
        engine,
        workers: 2,
        shutdown: { drain: '25s' },
        listeners: [listener('front', 'udp', 'pool')],
        pools: { pool: { health: noCheck, backends: backendsOf([server]) } },
      }),
    );
    const port = pinion.port('front');
    const got = new Map<Socket, string[]>();
    for (const from of clientAddresses(20)) {
      const socket = createSocket('udp4');
      sockets.push(socket);
      const texts: string[] = [];
      got.set(socket, texts);
      socket.on('message', (message) => texts.push(message.toString()));
      socket.bind(0, from);
      await once(socket, 'listening');
      socket.send('hello', port, '127.0.0.1');
    }
    const all = (text: string): boolean => [...got.values()].every((texts) => texts.includes(text));
    await eventually('everybody welcome', () => all('welcome'));
    for (const socket of got.keys()) socket.send('question', port, '127.0.0.1');
    await eventually('all questions', () => owed.length === got.size);

    pinion.process.signal('SIGTERM');
    await pinion.waitForLog((record) => record.event === 'shutdown');
    await eventually('newcomers turned away', async () => {
      await tryUdp(port, '127.9.0.1', 'hello', 50);
      const labels = { reason: 'shutdown' };
      return ((await pinion.metric('pinion_listener_datagrams_dropped_total', labels)) ?? 0) > 0;
    });
    for (const answer of owed) answer();
    await eventually('all answers', () => all('answer'));
    // Long before the idle time-out, which is a minute, and before the drain's end.
    expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
    const ends = new Set(pinion.events('flow').map(({ code }) => code));
    expect([...ends]).toEqual(['expired']);
  },
);

test('the end of the drain ends UDP conversations that go on', async () => {
  const { server } = await patientServer();
  const pinion = await startPinion(
    configText({
      workers: 1,
      shutdown: { drain: '1s' },
      listeners: [listener('front', 'udp', 'pool')],
      pools: { pool: { health: noCheck, backends: backendsOf([server]) } },
    }),
  );
  await tryUdp(pinion.port('front'), '127.9.0.1', 'question', 50);
  await expect.poll(() => pinion.metric('pinion_flows')).toBe(1);
  pinion.process.signal('SIGTERM');
  expect(await pinion.process.exited).toEqual({ code: 0, signal: null });
  expect(pinion.events('flow')).toMatchObject([{ code: 'shutdown' }]);
});
