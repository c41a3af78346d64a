/**
 * The examples of docs/EDGE.md do what the page says: each runs as it is written, on a host of its own between clients and the
 * servers that it names. Only paths of files are others here.
 *
 *     clients (10/8, 203.0.113/24, ...) and servers (10/8) --- edge: pinion
 */
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parsePlan } from '../src/config/load.ts';
import { Address } from '../src/core/address.ts';
import { helloWithoutName } from '../src/wire/hellos.fixture.ts';
import { encodeStatusQuestion } from '../src/wire/minecraft.ts';
import { type ProxyHeaderParts, readProxyHeader, writeProxyHeader } from '../src/wire/proxy-header.ts';
import { createNamespaces, hostsWork, type Namespaces } from './support/namespaces.ts';
import { type Pinion, startPinion } from './support/pinion.ts';
import { stopEverything } from './support/processes.ts';
import { cryptoFrame, seal } from './support/quic.ts';
import { temporaryFolder } from './support/temporary.ts';

const page = readFileSync(new URL('../docs/EDGE.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, text]) => text!);

const edge = '192.168.9.1';
const clientNetworks = ['203.0.113.0/24', '198.51.100.0/24', '192.0.2.0/24'];

/** `tcp 443 from 203.0.113.9`, and what is said there. */
type Ask = readonly [where: string, says: string | Uint8Array];

/** Whom it reaches (`10.0.0.11:80`), and the client that a PROXY header names to it; or `refused`: nobody answers. */
type Answer = string;

/** Servers that say where they were reached and what they heard. */
const serversProgram = `
const places = JSON.parse(process.argv[1]);
const tell = (place, heard) => JSON.stringify({ place, heard: heard.toString('base64') });
for (const { protocol, ip, port } of places) {
  const place = ip + ':' + port;
  if (protocol === 'tcp') {
    require('node:net').createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', (bytes) => socket.end(tell(place, bytes)));
    }).listen(port, ip);
  } else {
    const socket = require('node:dgram').createSocket('udp4');
    socket.on('message', (bytes, { address, port }) => socket.send(tell(place, bytes), port, address));
    socket.bind(port, ip);
  }
}
console.log('serving');
`;

/** Asks one after the other, and prints what came back: nothing is '' */
const clientsProgram = `
const asks = JSON.parse(process.argv[1]);
const ask = ({ protocol, port, from, words }) => new Promise((resolve) => {
  const bytes = Buffer.from(words, 'base64');
  let text = '';
  if (protocol === 'tcp') {
    const socket = require('node:net').connect({ host: '${edge}', port, localAddress: from });
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (more) => { text += more; });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  } else {
    const socket = require('node:dgram').createSocket('udp4');
    const done = (text) => { clearTimeout(timer); socket.close(); resolve(text); };
    const timer = setTimeout(() => done(''), 4_000);
    socket.on('message', (message) => done(String(message)));
    socket.bind(0, from, () => socket.send(bytes, port, '${edge}'));
  }
});
(async () => {
  const answers = [];
  for (const one of asks) answers.push(await ask(one));
  console.log(JSON.stringify(answers));
})();
`;

/** What a client of TLS says first. */
async function helloTo(servername: string, protocol: string): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ host: '127.0.0.1', port, servername, ALPNProtocols: [protocol] });
  client.on('error', () => {});
  const [socket] = await once(server, 'connection');
  const [hello] = await once(socket, 'data');
  client.destroy();
  socket.destroy();
  server.close();
  return hello;
}

function header(source: string, more: Partial<ProxyHeaderParts> = {}): Uint8Array {
  const destination = Address.parseWithPort('192.0.2.99:443')!;
  return writeProxyHeader({
    transport: 'stream',
    source: Address.parseWithPort(source)!,
    destination,
    ...more,
  });
}

/** What the load balancer of AWS says of a client's network. */
const inEndpoint = (name: string): Partial<ProxyHeaderParts> => ({
  tlvs: [{ type: 0xea, value: joined('\x01', name) }],
});

const joined = (...parts: readonly (string | Uint8Array)[]): Buffer =>
  Buffer.concat(parts.map((part) => Buffer.from(part)));
/** A datagram to a connection id of 8 bytes (RFC 8999 section 5.1). */
const quicTo = (id: string): Buffer => Buffer.from(`c00000000108${id}0000`, 'hex');
const player = encodeStatusQuestion('play.example', 25_565);

const eight = [1, 2, 3, 4, 5, 6, 7, 8];

interface Story {
  /** It does not start there, and this is why; an expression. */
  readonly refused?: RegExp;
  /** What its example has, and no other. */
  readonly has: string;
  readonly asks: () => Promise<readonly (readonly [...Ask, Answer | RegExp])[]>;
}

const stories: readonly Story[] = [
  {
    has: 'bind_device: eth8',
    refused:
      /pinion.yaml:2:60: listeners\[0\].bind_device: there is no device eth8; .*\n.*pinion.yaml:7:13: pools.servers.device: there is no device eth9; /,
    asks: async () => [],
  },
  {
    has: '# nothing matched; left out: refused',
    asks: async () => [
      [
        'tcp 443 from 10.5.0.1',
        joined(header('203.0.113.9:4000'), await helloTo('a.example', 'postgresql')),
        '10.0.0.11:5432 for 203.0.113.9:4000',
      ],
      ['tcp 443 from 203.0.113.9', player, '10.0.0.13:25565'],
      ['tcp 443 from 198.51.100.7', 'hello', '10.0.0.12:5432'],
      ['tcp 443 from 203.0.113.9', 'GET / HTTP/1.0\r\n\r\n', '10.0.0.14:443'],
      ['tcp 443 from 203.0.113.66', player, 'refused'],
      ['tcp 443 from 192.0.2.1', player, 'refused'],
      ['tcp 443 from 10.5.0.1', player, 'refused'],
      ['udp 7042 from 192.0.2.1', 'xtoken123', '10.0.1.1:7042'],
    ],
  },
  {
    has: 'pool: pg',
    asks: async () => [
      ['tcp 5432 from 10.1.1.1', joined(header('192.0.2.1:7'), 'hello'), '10.0.1.1:5432 for 192.0.2.1:7'],
      ['tcp 5432 from 10.1.1.1', 'PROXY TCP4 192.0.2.1 192.0.2.2 7 9\r\nx', '10.0.1.1:5432 for 192.0.2.1:7'],
      ['tcp 5432 from 203.0.113.9', 'hello', /^10\.0\.1\.1:5432 for 203\.0\.113\.9:\d+$/],
      ['tcp 5432 from 10.1.1.1', 'hello, this is no header at all', 'refused'],
    ],
  },
  {
    has: 'from: 10.0.0.0/8, udp: every',
    asks: async () => [
      [
        'udp 53 from 10.1.1.1',
        joined(header('192.0.2.1:7', { transport: 'datagram' }), 'q'),
        '10.0.1.1:53 for 192.0.2.1:7',
      ],
      ['udp 53 from 203.0.113.9', 'q', /^10\.0\.1\.1:53 for 203\.0\.113\.9:\d+$/],
    ],
  },
  {
    has: 'rebind: quic',
    asks: async () => [
      ['udp 443 from 203.0.113.9', 'first', '10.0.1.1:443'],
      ['udp 7777 from 203.0.113.9', 'xtoken123', '10.0.1.2:7777'],
    ],
  },
  {
    has: 'refuse: close',
    asks: async () => [
      ['tcp 5432 from 203.0.113.9', 'hello', '10.0.0.11:5432'],
      ['tcp 5432 from 198.51.100.7', 'hello', '10.0.0.11:5432'],
      ['tcp 5432 from 203.0.113.66', 'hello', 'refused'],
      ['tcp 5432 from 192.0.2.1', 'hello', 'refused'],
    ],
  },
  {
    has: 'session_ends_after',
    asks: async () => [
      ['udp 27015 from 203.0.113.9', 'hello', '10.0.0.31:27015'],
      ['tcp 8443 from 203.0.113.9', 'hello', '10.0.0.41:8443'],
      ['udp 53 from 203.0.113.9', 'hello', '10.0.0.53:53'],
    ],
  },
  {
    has: 'limits: { scope: cluster, flows_per_client: 16',
    asks: async () => [['tcp 443 from 203.0.113.9', 'hello', '10.0.0.41:443']],
  },
  {
    has: 'key: quic-id',
    // The policy hashes: an id has one backend, whoever has it.
    asks: async () =>
      ['0102030405060708', '0102030405060709'].flatMap((id, i) =>
        ['203.0.113.9', '198.51.100.7', '192.0.2.1'].map(
          (client) => [`udp 443 from ${client}`, quicTo(id), `10.0.1.${[1, 2][i]}:443`] as const,
        ),
      ),
  },
  {
    has: 'group: world',
    asks: async () => [
      ['tcp 7000 from 203.0.113.9', 'xtoken123', /^10\.0\.1\.[12]:7000$/],
      ['udp 7000 from 198.51.100.7', 'xtoken123', /^10\.0\.1\.[12]:7001$/],
    ],
  },
  {
    has: 'key: { tlv: 0xEA }',
    // By their addresses they would be at either.
    asks: async () => {
      const hello = await helloTo('a.example', 'h2');
      return eight.flatMap((i) => [
        [`tcp 443 from 203.0.113.${i}`, hello, /^10\.0\.0\.1[12]:443$/] as const,
        [
          `tcp 8443 from 10.1.1.${i}`,
          joined(header(`192.0.2.${i}:7`, inEndpoint('vpce-1')), 'x'),
          /^10\.0\.0\.1[12]:443$/,
        ] as const,
      ]);
    },
  },
  {
    has: '10.0.1.2:+1000',
    asks: async () => [
      ['tcp 443 from 203.0.113.9', 'hello', '10.0.0.11:80'],
      ['udp 7042 from 203.0.113.9', 'hello', /^10\.0\.1\.(1:7042|2:8042)$/],
    ],
  },
  {
    has: 'first_bytes: SSH-2.0-',
    asks: async () => [
      ['tcp 443 from 203.0.113.9', await helloTo('www.shop.example', 'h2'), '10.0.0.11:443'],
      ['tcp 443 from 203.0.113.9', await helloTo('shop.example', 'http/1.1'), '10.0.0.51:443'],
      ['tcp 443 from 203.0.113.9', await helloTo('db.example', 'postgresql'), '10.0.0.21:5432'],
      ['tcp 443 from 203.0.113.9', player, '10.0.0.31:25565'],
      ['tcp 443 from 198.51.100.7', 'SSH-2.0-x', '10.0.0.41:22'],
      ['tcp 443 from 203.0.113.9', 'SSH-2.0-x', '10.0.0.51:443'],
      ['tcp 443 from 203.0.113.9', helloWithoutName, '10.0.0.61:443'],
      ['udp 443 from 203.0.113.9', joined(Buffer.alloc(4, 0xff), 'TSource'), '10.0.0.71:27015'],
      ['udp 443 from 203.0.113.9', 'neither', 'refused'],
      [
        'udp 443 from 203.0.113.9',
        seal({ version: 2, payload: cryptoFrame(0, (await helloTo('shop.example', 'h3')).subarray(5)) }),
        '10.0.0.11:443',
      ],
    ],
  },
];

/** Of all backends, for all ports that are asked for. */
function places(): { protocol: string; ip: string; port: number }[] {
  const found = new Map<string, { protocol: string; ip: string; port: number }>();
  for (const text of examples) {
    const result = parsePlan(text, 'EDGE.md');
    if ('problems' in result) throw new Error(JSON.stringify(result.problems));
    for (const { address } of result.plan.pools.flatMap(({ backends }) => backends)) {
      if (address.kind !== 'inet') continue;
      const port = address.portShift === undefined ? address.port : 7_042 + address.portShift;
      for (const protocol of ['tcp', 'udp'])
        found.set(`${protocol} ${address.ip} ${port}`, { protocol, ip: address.ip, port });
    }
  }
  return [...found.values()];
}

function answerIn(text: string): Answer {
  if (text === '') return 'refused';
  const { place, heard } = JSON.parse(text) as { place: string; heard: string };
  const told = readProxyHeader(Buffer.from(heard, 'base64'));
  return typeof told === 'object' ? `${place} for ${told.addresses?.source}` : place;
}

/** One that has no story is started, and that is all. */
const played = examples.map((text) => {
  const [story, ...others] = stories.filter(({ has }) => text.includes(has));
  if (others.length > 0) throw new Error(`two stories for one example: ${story!.has}`);
  return { text, ...(story ?? { has: text.split('\n', 2)[1]!.trim(), asks: async () => [] }) };
});

test('each story has its example', () => {
  const without = stories.filter(({ has }) => !played.some((one) => one.has === has));
  expect(without).toEqual([]);
});

describe.skipIf(!hostsWork())('as it is written', () => {
  let world: Namespaces;
  let pinion: Pinion | undefined;

  beforeAll(async () => {
    world = await createNamespaces('edge', 'others');
    await world.link('edge', [`${edge}/24`], 'others', ['192.168.9.2/24']);
    await world.ip('edge', 'route', 'add', 'default', 'via', '192.168.9.2');
    await world.ip('edge', 'address', 'add', '2001:db8::10/128', 'dev', 'lo', 'nodad');
    for (const network of ['10.0.0.0/8', ...clientNetworks])
      await world.ip('others', 'route', 'add', 'local', network, 'dev', 'lo');
    const args = ['-e', serversProgram, JSON.stringify(places())];
    await world.start('others', { command: process.execPath, args }).waitForOutput(/serving/);
  });

  afterAll(async () => {
    await stopEverything();
    world.close();
  });

  // One that failed to start has ended by itself.
  afterEach(() => pinion?.stop('SIGKILL'));

  test.each(played)('$has', async ({ text, has, refused, asks }) => {
    const folder = temporaryFolder('edge');
    const allowed = join(folder, 'allowed.txt');
    writeFileSync(allowed, '198.51.100.0/24\n');
    const here = text.replaceAll('/etc/pinion/allowed.txt', allowed).replaceAll('/run/pinion', folder);
    if (refused !== undefined) {
      await expect(startPinion(here, { wrapper: world.wrapper('edge') })).rejects.toThrow(refused);
      return;
    }
    pinion = await startPinion(here, { wrapper: world.wrapper('edge') });
    const told = await asks();
    const words = told.map(([where, says]) => {
      const [protocol, port, , from] = where.split(' ');
      return { protocol, port: Number(port), from, words: Buffer.from(says).toString('base64') };
    });
    if (told.length === 0) return;
    const printed = await world.run('others', process.execPath, '-e', clientsProgram, JSON.stringify(words));
    const answers = (JSON.parse(printed) as string[]).map(answerIn);
    expect(answers.map((answer, i) => `${told[i]![0]}: ${answer}`)).toEqual(
      told.map(([where, , answer]) =>
        typeof answer === 'string'
          ? `${where}: ${answer}`
          : expect.stringMatching(new RegExp(`^${where}: ${answer.source.slice(1)}`)),
      ),
    );
    // The same client is at the backend of the same name.
    if (has === 'group: world') expect(answers[1]).toBe(answers[0]!.replace(':7000', ':7001'));
    if (has.includes('tlv'))
      expect(
        new Set(answers.filter((_, i) => i % 2 === 0)).size +
          new Set(answers.filter((_, i) => i % 2 === 1)).size,
      ).toBe(2);
  });
});
