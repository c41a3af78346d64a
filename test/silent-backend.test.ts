/** `passive.no_reply`: a UDP backend that falls silent is left out, and its clients go on elsewhere without a word from anybody. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { admin, configText, listener, noCheck } from './support/config.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { stopServers, udpServer } from './support/servers.ts';

const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await stopEverything();
  await stopServers();
});

test.each(['epoll', 'portable'])('engine %s', async (engine) => {
  let mute = '';
  const server = (name: string) =>
    udpServer((_message, _from, reply) => {
      if (name !== mute) reply(name);
    });
  const servers = { a: await server('a'), b: await server('b') };
  const passive = { eject: '60s', no_reply: { datagrams: 10, within: '1s' } };
  const backends = Object.entries(servers).map(([name, { address }]) => ({ name, address }));
  const pinion = await startPinion(
    configText({
      engine,
      workers: 2,
      listeners: [listener('front', 'udp', 'pool')],
      pools: { pool: { health: noCheck, passive, backends } },
    }),
  );
  const client = async (ip: string) => {
    const socket = createSocket('udp4');
    sockets.push(socket);
    const replies: string[] = [];
    socket.on('message', (message) => replies.push(message.toString()));
    socket.bind(0, ip);
    await once(socket, 'listening');
    const send = (): void => socket.send('anybody there?', pinion.port('front'), '127.0.0.1');
    send();
    await once(socket, 'message');
    return { replies, send };
  };
  const alone = await client('127.0.0.1');
  const { replies } = alone;
  const witnesses = [];
  for (let i = 2; witnesses.length < 2; i++) {
    const other = await client(`127.0.0.${i}`);
    if (other.replies[0] === replies[0]) witnesses.push(other);
  }
  mute = replies[0]!;
  // One client takes no server away: it would have within four seconds.
  for (let tries = 0; tries < 60; tries++) {
    alone.send();
    await sleep(100);
  }
  expect(replies).toEqual([mute]);
  for (let tries = 0; tries < 300 && replies.length === 1; tries++) {
    for (const { send } of [alone, ...witnesses]) send();
    await sleep(100);
  }
  expect(replies[1]).toBe(mute === 'a' ? 'b' : 'a');
  const { body } = await admin(pinion, 'GET', '/status');
  const status = (body as { backends: { backend: string }[] }).backends.find((one) => one.backend === mute);
  expect(status).toMatchObject({
    up: false,
    reason: 'passive',
    why: expect.stringMatching(/^no reply to \d+ datagrams within 1s; left out for 1m$/),
    ejection: { times: 1 },
  });
  await expect.poll(() => pinion.metric('pinion_backend_ejections_total')).toBe(1);
});
