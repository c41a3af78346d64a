/** An operator ends connections and UDP conversations, moves clients at once, and is asked before nobody is left to serve. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { tcpClient } from './support/clients.ts';
import { pinionCommand } from './support/command.ts';
import { backendsOf, configText, listener, noCheck } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { namedTcp, namedUdp, stopServers } from './support/servers.ts';

const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await stopEverything();
  await stopServers();
});

test.each(['epoll', 'portable'])('engine %s', async (engine) => {
  const pool = (servers: Parameters<typeof backendsOf>[0]) => ({
    health: noCheck,
    backends: backendsOf(servers),
  });
  const pinion = await startPinion(
    configText({
      engine,
      workers: 2,
      listeners: [listener('tcp', 'tcp', 'streams'), listener('udp', 'udp', 'games')],
      pools: { streams: pool(await namedTcp(['a', 'b'])), games: pool(await namedUdp(['a', 'b'])) },
    }),
  );
  const command = async (...args: string[]) => {
    const at = ['--json', '--admin', `127.0.0.1:${pinion.port('admin')}`];
    const { status, stdout } = await pinionCommand([...args, ...at]);
    return { status, body: JSON.parse(stdout) };
  };
  const socket = createSocket('udp4');
  sockets.push(socket);
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const askGame = async (): Promise<string> => {
    socket.send('who?', pinion.port('udp'), '127.0.0.1');
    return String((await once(socket, 'message'))[0]).split(':')[0]!;
  };
  const killed = async (): Promise<number> =>
    (await pinion.metric('pinion_listener_ended_total', { code: 'operator' })) ?? 0;

  const player = await askGame();
  const client = await tcpClient(pinion.port('tcp'), { from: '127.0.0.1' });
  const served = await client.line();

  // With a conversation under way a move alone waits for its end: a client that goes on is not moved.
  const other = player === 'a' ? 'b' : 'a';
  expect(await command('pins', 'move', other, '--pool', 'games')).toMatchObject({ body: { moved: 1 } });
  expect(await askGame()).toBe(player);
  expect(await command('pins', 'move', other, '--pool', 'games', '--now')).toEqual({
    status: 0,
    body: { moved: 0, connections: 1, overMs: 0 },
  });
  await eventually('the conversation ended', async () => (await killed()) === 1);
  expect(await askGame()).toBe(other);

  const elsewhere = served === 'a' ? 'b' : 'a';
  expect(await command('connections', 'kill', '--backend', elsewhere, '--pool', 'streams')).toMatchObject({
    body: { connections: 0 },
  });
  expect(await command('connections', 'kill', '--client', '127.0.0.0/8', '--over', '100ms')).toEqual({
    status: 0,
    body: { connections: 2, overMs: 100 },
  });
  await client.outcome;
  await eventually('both ended', async () => (await killed()) === 3);
  expect(await askGame(), 'a new conversation').toBe(other);

  expect((await command('drain', 'games/a')).status).toBe(0);
  const refused = {
    status: 1,
    body: { error: expect.stringContaining('games/b is the last backend of its pool') },
  };
  expect(await command('maintenance', 'games/b')).toEqual(refused);
  expect(await command('weight', 'games/b', '0')).toEqual(refused);
  expect(await command('drain', 'games/b', '--force')).toMatchObject({ status: 0, body: { state: 'drain' } });
});
