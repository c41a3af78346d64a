/**
 * The PROXY protocol over UDP: one pinion sends headers, another believes them, and the server behind both is told who the client
 * is. nginx sends them as well (version 1, before a first datagram), and dnsdist sends and reads them.
 *
 *    client --> outer pinion --(first | every)--> inner pinion --(every)--> server
 *    client --> nginx ---------(first)---------------^
 *    client --> dnsdist -------(every)-------> pinion -------(every)--> dnsdist
 */
import { createSocket, type Socket } from 'node:dgram';
import { Resolver } from 'node:dns/promises';
import { once } from 'node:events';
import { afterEach, expect, test } from 'vitest';
import { Address } from '../src/core/address.ts';
import { readProxyHeader, writeProxyHeader } from '../src/wire/proxy-header.ts';
import { configText, listener, noCheck } from './support/config.ts';
import { startDnsdist } from './support/dnsdist.ts';
import { eventually } from './support/eventually.ts';
import { startNginx } from './support/nginx.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { freePort } from './support/ports.ts';
import { stopEverything } from './support/processes.ts';
import { requirePackage } from './support/require-package.ts';
import { stopServers, udpServer } from './support/servers.ts';

const sockets: Socket[] = [];

afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await stopEverything();
  await stopServers();
});

async function client(ip: string) {
  const socket = createSocket('udp4');
  sockets.push(socket);
  const texts: string[] = [];
  socket.on('message', (message) => texts.push(message.toString()));
  socket.bind(0, ip);
  await once(socket, 'listening');
  return {
    name: `${ip}:${socket.address().port}`,
    texts,
    send: (message: string | Uint8Array, port: number) => socket.send(message, port, '127.0.0.1'),
    receives: (message: string) => eventually(`"${message}" of ${texts}`, () => texts.includes(message)),
  };
}

/** Answers with whom a datagram says it is of, and what it says. `ping` of nobody in particular is answered as such. */
const teller = () =>
  udpServer((message, _from, reply) => {
    const header = readProxyHeader(message);
    if (typeof header !== 'object') return reply(`no header: ${message}`);
    const rest = message.subarray(header.length).toString();
    reply(rest === 'ping' ? 'pong' : `${header.addresses?.source} ${rest}`);
  });

async function inner(engine: string, udp: string, more: object = {}): Promise<Pinion> {
  const server = await teller();
  return startPinion(
    configText({
      engine,
      workers: 1,
      log: { flows: { level: 'info' } },
      listeners: [listener('in', 'udp', 'end', { proxy_protocol: { from: '127.0.0.1', udp }, ...more })],
      pools: {
        end: {
          health: noCheck,
          proxy_protocol: { version: 'v2', udp: 'every' },
          backends: [{ name: 'e', address: server.address }],
        },
      },
    }),
  );
}

const dropped = (pinion: Pinion) =>
  pinion.metric('pinion_listener_datagrams_dropped_total', { listener: 'in', reason: 'proxy-header' });

// Both engines play both in the conformance suite.
test.each([
  ['epoll', 'every'],
  ['portable', 'first'],
])('%s: two in a row, a header in %s', async (engine, udp) => {
  const last = await inner(engine, udp);
  const check = { type: 'send-expect', over: 'udp', steps: [{ send: 'ping' }, { expect: 'pong' }] };
  const outer = await startPinion(
    configText({
      engine,
      workers: 1,
      listeners: [listener('out', 'udp', 'next')],
      pools: {
        next: {
          // Passes only if it says who it is: nobody's client.
          health: { ...check, interval: '1s', timeout: '1s' },
          proxy_protocol: { version: 'v2', udp, tlvs: ['unique-id', 'checksum'] },
          backends: [{ name: 'n', address: `127.0.0.1:${last.port('in')}` }],
        },
      },
    }),
  );
  await eventually('the check passes', async () => (await outer.metric('pinion_backend_up')) === 1);
  const [one, two] = [await client('127.9.0.1'), await client('127.9.0.2')];
  for (const word of ['hello', 'again', 'more']) {
    for (const { name, send, receives } of [one, two]) {
      send(word, outer.port('out'));
      await receives(`${name} ${word}`);
    }
  }
  expect([one.texts.length, two.texts.length, await dropped(last)]).toEqual([3, 3, 0]);
});

test('one sender brings many clients, and what has no header is dropped', async () => {
  const last = await inner('auto', 'every', { limits: { flows_per_client: 1 }, timeouts: { idle: '10s' } });
  const [proxy, stranger] = [await client('127.0.0.1'), await client('127.9.0.3')];
  const destination = Address.parseWithPort('198.51.100.1:53')!;
  const headerOf = (name: string): Uint8Array =>
    writeProxyHeader({ transport: 'datagram', source: Address.parseWithPort(name)!, destination });
  const say = (name: string, word: string, port = last.port('in')): void =>
    proxy.send(Buffer.concat([headerOf(name), Buffer.from(word)]), port);
  const names = ['192.0.2.1:7', '192.0.2.2:7', '[2001:db8::1]:7'];
  for (const word of ['a', 'b']) {
    for (const name of names) {
      say(name, word);
      await proxy.receives(`${name} ${word}`);
    }
  }
  await expect.poll(() => last.metric('pinion_listener_flows', { listener: 'in' })).toBe(3);
  proxy.send('no header', last.port('in'));
  await eventually('a drop', async () => (await dropped(last)) === 1);
  // The limit is that of the client whom the header names.
  say('192.0.2.1:8', 'too many');
  await eventually('a refusal', async () => {
    const labels = { listener: 'in', code: 'limit-client' };
    return (await last.metric('pinion_listener_ended_total', labels)) === 1;
  });
  // What a stranger writes is the stranger's own.
  stranger.send(headerOf('192.0.2.1:7'), last.port('in'));
  await eventually('an answer', () => stranger.texts.length === 1);
  expect(stranger.texts[0]?.startsWith(`${stranger.name} \r\n\r\n`)).toBe(true);
  const record = await last.waitForLog(({ event, client }) => event === 'flow' && client === '192.0.2.1:7');
  expect(record.peer).toBe(proxy.name);
});

requirePackage('nginx')('nginx before pinion', () => {
  test('its line before a first datagram names the client', async () => {
    const last = await inner('auto', 'first');
    const port = await freePort('udp');
    const server = `listen 127.0.0.1:${port} udp; proxy_protocol on; proxy_pass 127.0.0.1:${last.port('in')};`;
    await startNginx({ blocks: `stream { server { ${server} } }`, port, transport: 'udp' });
    const one = await client('127.9.0.4');
    for (const word of ['hello', 'again']) {
      one.send(word, port);
      await one.receives(`${one.name} ${word}`);
    }
  });
});

requirePackage('dnsdist')('dnsdist before pinion and behind it', () => {
  test.each(['epoll', 'portable'])('%s: is told the client that dnsdist tells', async (engine) => {
    const back = await startDnsdist([
      "setProxyProtocolACL('127.0.0.1/32')",
      "addAction(makeRule('127.9.0.5/32'), SpoofAction('192.0.2.5'))",
      "addAction(AllRule(), SpoofAction('192.0.2.99'))",
    ]);
    const pinion = await startPinion(
      configText({
        engine,
        workers: 1,
        listeners: [listener('in', 'udp', 'dns', { proxy_protocol: { from: '127.0.0.1', udp: 'every' } })],
        pools: {
          dns: {
            health: noCheck,
            proxy_protocol: { version: 'v2', udp: 'every', tlvs: ['unique-id', 'checksum'] },
            backends: [{ name: 'd', address: `127.0.0.1:${back}` }],
          },
        },
      }),
    );
    const front = await startDnsdist([
      `newServer({address='127.0.0.1:${pinion.port('in')}', useProxyProtocol=true}):setUp()`,
    ]);
    for (const [ip, answer] of [
      ['127.9.0.5', '192.0.2.5'],
      ['127.9.0.6', '192.0.2.99'],
    ] as const) {
      const resolver = new Resolver({ timeout: 5_000, tries: 1 });
      resolver.setServers([`127.0.0.1:${front}`]);
      resolver.setLocalAddress(ip);
      expect(await resolver.resolve4('who.example')).toEqual([answer]);
    }
    expect(await dropped(pinion)).toBe(0);
    await expect.poll(() => pinion.metric('pinion_listener_flows', { listener: 'in' })).toBe(2);
  });
});
