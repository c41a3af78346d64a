/** c-ares, asked for all records of a name, and a name server that answers as it is told: right, wrong, with garbage, or not at all. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findRecords, type RecordQuestion } from './records.ts';

const types = { A: 1, AAAA: 28, SRV: 33 } as const;
type Type = keyof typeof types;
type Entry = readonly [type: Type, ttl: number, data: Buffer];

/** RFC 1035, section 3.1. */
const labels = (name: string): Buffer =>
  Buffer.concat([
    ...name
      .split('.')
      .filter(Boolean)
      .map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0]),
  ]);
const a = (ip: string, ttl = 60): Entry => ['A', ttl, Buffer.from(ip.split('.').map(Number))];
const aaaa = (hex: string, ttl = 60): Entry => ['AAAA', ttl, Buffer.from(hex, 'hex')];
/** RFC 2782. */
const srv = (priority: number, weight: number, port: number, target: string): Entry => {
  const head = Buffer.alloc(6);
  for (const [i, word] of [priority, weight, port].entries()) head.writeUInt16BE(word, 2 * i);
  return ['SRV', 60, Buffer.concat([head, labels(target)])];
};

/** What there is, by name and type; a number is a code without records (RFC 1035, 4.1.1), a buffer what stands for the records. */
const zone: Readonly<Record<string, readonly Entry[] | number | Buffer | 'silence'>> = {
  'many.test A': [a('10.0.0.2', 300), a('10.0.0.1', 30), a('10.0.0.2', 300)],
  'many.test AAAA': [aaaa('20010db8000000000000000000000001'), aaaa('00000000000000000000ffff0a000001')],
  'empty.test A': [],
  'failed.test A': 2,
  'nothing.test A': 3,
  'refused.test A': 5,
  'garbage.test A': Buffer.from('ffffffffffffffffff', 'hex'),
  'cut.test A': Buffer.from('c00c0001000100', 'hex'),
  'silent.test A': 'silence',
  '_s._udp.test SRV': [
    srv(10, 5, 7001, 'One.Test'),
    srv(20, 0, 7002, 'six.test'),
    srv(10, 0, 7003, 'silent.test'),
    srv(10, 0, 7004, 'nowhere.test'),
    srv(10, 0, 7005, '10.0.0.77'),
  ],
  '_no._udp.test SRV': [srv(0, 0, 0, '')],
  'one.test A': [a('10.0.0.9', 7), a('10.0.0.8', 5)],
  'six.test A': [],
  'six.test AAAA': [aaaa('20010db8000000000000000000000002', 3)],
  'nowhere.test A': 3,
  'nowhere.test AAAA': 3,
};

let server: Socket;
let servers: readonly string[];

function answerTo(query: Buffer): Buffer | undefined {
  let at = 12;
  const words: string[] = [];
  for (; query[at] !== 0; at += query[at]! + 1)
    words.push(query.toString('latin1', at + 1, at + 1 + query[at]!));
  const type = (Object.keys(types) as Type[]).find((one) => types[one] === query.readUInt16BE(at + 1));
  const found = zone[`${words.join('.').toLowerCase()} ${type}`] ?? 3;
  if (found === 'silence') return undefined;
  const head = Buffer.from(query.subarray(0, at + 5));
  head[2] = 0x84;
  head[3] = typeof found === 'number' ? found : 0;
  head.writeUInt16BE(Array.isArray(found) ? found.length : typeof found === 'number' ? 0 : 1, 6);
  head.writeUInt32BE(0, 8);
  if (typeof found === 'number') return head;
  if (Buffer.isBuffer(found)) return Buffer.concat([head, found]);
  const records = (found as readonly Entry[]).map(([one, ttl, data]) => {
    const fixed = Buffer.alloc(12);
    fixed.writeUInt16BE(0xc00c, 0);
    fixed.writeUInt16BE(types[one], 2);
    fixed.writeUInt16BE(1, 4);
    fixed.writeUInt32BE(ttl, 6);
    fixed.writeUInt16BE(data.length, 10);
    return Buffer.concat([fixed, data]);
  });
  return Buffer.concat([head, ...records]);
}

beforeAll(async () => {
  server = createSocket('udp4');
  server.on('message', (query, { port, address }) => {
    const answer = answerTo(query);
    if (answer !== undefined) server.send(answer, port, address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  servers = [`127.0.0.1:${server.address().port}`];
});

afterAll(() => server.close());

const find = (name: string, record: RecordQuestion['record'] = 'A', more: Partial<RecordQuestion> = {}) =>
  findRecords({ name, record, servers, most: 1_000, ...more });

test('addresses, once each, and for how long they hold', async () => {
  expect(await find('many.test')).toEqual({
    is: 'found',
    ips: ['10.0.0.2', '10.0.0.1'],
    services: [],
    ttlMs: 30_000,
  });
  // RFC 4291, 2.5.5.2: an IPv4 address in that form is an IPv4 address.
  expect(await find('many.test', 'AAAA')).toMatchObject({ is: 'found', ips: ['2001:db8::1', '10.0.0.1'] });
});

test.each([
  ['nothing.test', { is: 'none', why: 'there is no such name (NXDOMAIN)', noName: true }],
  ['empty.test', { is: 'none', why: 'the name has no A record', noName: false }],
  ['failed.test', { is: 'fault', why: 'the name server failed (SERVFAIL)' }],
  ['refused.test', { is: 'fault', why: 'the name server refuses to answer (REFUSED)' }],
  ['garbage.test', { is: 'fault', why: "the name server's answer cannot be read" }],
  ['cut.test', { is: 'fault', why: "the name server's answer cannot be read" }],
])('%s', async (name, answer) => {
  expect(await find(name)).toEqual(answer);
});

test('more than are wanted are not taken', async () => {
  const why = 'the name has 2 A records; at most 1 are taken (records_max)';
  expect(await find('many.test', 'A', { most: 1 })).toEqual({ is: 'fault', why });
});

test('a server that is not there', async () => {
  const gone = createSocket('udp4');
  gone.bind(0, '127.0.0.1');
  await once(gone, 'listening');
  const { port } = gone.address();
  await new Promise<void>((resolve) => gone.close(() => resolve()));
  expect(await find('many.test', 'A', { servers: [`127.0.0.1:${port}`] })).toMatchObject({ is: 'fault' });
});

test('a silent name delays no other, and a silent target none of its service', async () => {
  const order: string[] = [];
  const silent = find('silent.test').then((answer) => {
    order.push('silent');
    return answer;
  });
  const services = find('_s._udp.test', 'SRV').then((answer) => {
    order.push('services');
    return answer;
  });
  const many = find('many.test').then(() => order.push('many'));
  await many;
  expect(await services).toEqual({
    is: 'found',
    ips: [],
    services: [
      { target: 'one.test', port: 7001, priority: 10, weight: 5, ip: '10.0.0.8' },
      { target: 'six.test', port: 7002, priority: 20, weight: 0, ip: '2001:db8::2' },
      { target: 'silent.test', port: 7003, priority: 10, weight: 0, ip: undefined },
      { target: 'nowhere.test', port: 7004, priority: 10, weight: 0, ip: undefined },
      { target: '10.0.0.77', port: 7005, priority: 10, weight: 0, ip: '10.0.0.77' },
    ],
    ttlMs: 3_000,
  });
  expect(await silent).toEqual({ is: 'fault', why: 'no name server answers' });
  expect(order).toEqual(['many', 'services', 'silent']);
});

test('a service that is decidedly not available', async () => {
  expect(await find('_no._udp.test', 'SRV')).toMatchObject({
    is: 'none',
    noName: false,
    why: expect.stringMatching(/not available/),
  });
});
