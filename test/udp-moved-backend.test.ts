/** A backend that gets another address, or another way to it, while UDP clients talk to it: row 57 of the reliability table. */
import { execFileSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { configText, listener, noCheck, reload, type Section } from './support/config.ts';
import { eventually } from './support/eventually.ts';
import { startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { stopServers, udpServer } from './support/servers.ts';

const sockets: Socket[] = [];
const engines = ['epoll', 'portable'];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await stopEverything();
  await stopServers();
});

function text(engine: string, address: string, pool: Section = {}): string {
  return configText({
    engine,
    workers: 1,
    listeners: [listener('front', 'udp', 'pool')],
    pools: { pool: { health: noCheck, backends: [{ name: 'a', address }], ...pool } },
  });
}

/** A client that keeps its port. */
async function client() {
  const socket = createSocket('udp4');
  sockets.push(socket);
  const texts: string[] = [];
  socket.on('message', (message) => texts.push(message.toString()));
  socket.bind(0, '127.9.0.1');
  await once(socket, 'listening');
  return {
    texts,
    send: (message: string, port: number) => socket.send(message, port, '127.0.0.1'),
    receives: (message: string) => eventually(`"${message}"`, () => texts.includes(message)),
  };
}

test.each(engines)('%s: a reload moves clients that never pause, and late answers arrive', async (engine) => {
  let answerLate: () => void = () => {};
  const old = await udpServer((message, _from, reply) => {
    if (message.toString() === 'slow') answerLate = () => reply('old:slow');
    else reply(`old:${message}`);
  });
  const next = await udpServer((message, _from, reply) => reply(`new:${message}`));
  const pinion = await startPinion(text(engine, old.address));
  const port = pinion.port('front');
  const { send, receives, texts } = await client();
  send('1', port);
  await receives('old:1');
  send('slow', port);
  await eventually('the slow question', () => old.count === 2);
  await reload(pinion, text(engine, next.address));
  for (const word of ['2', '3']) {
    send(word, port);
    await receives(`new:${word}`);
  }
  answerLate();
  await receives('old:slow');
  expect(texts).toEqual(['old:1', 'new:2', 'new:3', 'old:slow']);
  await expect.poll(() => pinion.metric('pinion_listener_flows_total')).toBe(1);
  await expect.poll(() => pinion.metric('pinion_backend_flows')).toBe(1);
});

test.each(engines)('%s: a reload moves clients to another source address', async (engine) => {
  const server = await udpServer((message, from, reply) => reply(`${message} from ${from.address}`));
  const pinion = await startPinion(text(engine, server.address, { source: '127.0.0.31' }));
  const port = pinion.port('front');
  const { send, receives } = await client();
  send('1', port);
  await receives('1 from 127.0.0.31');
  await reload(pinion, text(engine, server.address, { source: ['127.0.0.32'] }));
  send('2', port);
  await receives('2 from 127.0.0.32');
  await reload(pinion, text(engine, server.address));
  send('3', port);
  await receives('3 from 127.0.0.1');
  await expect.poll(() => pinion.metric('pinion_listener_flows_total')).toBe(1);
});

requirePackage('iproute2')('with ss(8)', () => {
  const need = process.getuid?.() === 0 ? test : test.skip;

  need('a reload gives open conversations another firewall mark', async () => {
    const server = await udpServer((message, _from, reply) => reply(message));
    const pinion = await startPinion(text('epoll', server.address, { mark: 7 }));
    const port = pinion.port('front');
    const marks = (): string[] => {
      const lines = execFileSync('ss', ['-nuHeO', 'dst', server.address], { encoding: 'utf8' });
      return [...lines.matchAll(/fwmark:(\S+)/g)].map(([, mark]) => mark!).sort();
    };
    const { send, receives } = await client();
    send('1', port);
    await receives('1');
    expect(marks()).toEqual(['0x7']);
    await reload(pinion, text('epoll', server.address, { mark: 9 }));
    send('2', port);
    await receives('2');
    expect(marks()).toContain('0x9');
    // The socket with the old mark is kept for late answers only.
    await eventually('the old one gone', () => marks().join() === '0x9', 20_000);
  });
});
