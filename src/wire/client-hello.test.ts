/** The first message of TLS: of real clients, in records of any size, cut anywhere, changed anywhere. */
import { expect, test } from 'vitest';
import { clientHelloBytesMax } from '../core/limits.ts';
import { type ClientHello, ClientHelloReader, readHandshake } from './client-hello.ts';
import { helloOfCurl, helloOfOpenssl, helloWithoutName } from './hellos.fixture.ts';
import { mutate } from './mutations.fixture.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');
const sized = (bytes: number, body: Uint8Array): Buffer => {
  const head = Buffer.alloc(bytes);
  head.writeUIntBE(body.length, 0, bytes);
  return Buffer.concat([head, body]);
};
const record = (body: Uint8Array): Buffer => Buffer.concat([hex('160301'), sized(2, body)]);
const extension = (type: string, body: Uint8Array): Buffer => Buffer.concat([hex(type), sized(2, body)]);

/** A message with these extensions; undefined: with none at all. */
function message(extensions: readonly Uint8Array[] | undefined): Buffer {
  const lists = Buffer.concat([Buffer.alloc(1), sized(2, hex('1301')), hex('0100')]);
  const end = extensions === undefined ? Buffer.alloc(0) : sized(2, Buffer.concat(extensions));
  return Buffer.concat([hex('01'), sized(3, Buffer.concat([hex('0303'), Buffer.alloc(32, 7), lists, end]))]);
}
const readClientHello = (bytes: Uint8Array): ClientHello | 'more' | undefined =>
  new ClientHelloReader().read(bytes);
const read = (...extensions: readonly Uint8Array[]): ReturnType<typeof readClientHello> =>
  readClientHello(record(message(extensions)));
const nameList = (...names: readonly (readonly [number, string])[]): Buffer =>
  sized(
    2,
    Buffer.concat(
      names.map(([type, name]) => Buffer.concat([Buffer.of(type), sized(2, Buffer.from(name, 'latin1'))])),
    ),
  );
const named = (name: string): Buffer => extension('0000', nameList([0, name]));

const nothing: ClientHello = { serverName: undefined, alpn: [], hasEch: false };

test('what real clients send', () => {
  expect(readClientHello(helloOfOpenssl)).toEqual({
    serverName: 'a.example',
    alpn: ['postgresql', 'h2'],
    hasEch: false,
  });
  expect(readClientHello(helloOfCurl)).toEqual({
    serverName: 'b.example',
    alpn: ['h2', 'http/1.1'],
    hasEch: false,
  });
  expect(readClientHello(helloWithoutName)).toEqual(nothing);
});

test('in records of any size, and in every two parts, it is the same', () => {
  for (const sample of [helloOfOpenssl, helloWithoutName]) {
    const body = sample.subarray(5);
    const whole = readHandshake(body);
    expect(whole).toEqual(readClientHello(sample));
    for (let size = 1; size <= body.length; size++) {
      const records: Buffer[] = [];
      for (let at = 0; at < body.length; at += size) records.push(record(body.subarray(at, at + size)));
      expect(readClientHello(Buffer.concat(records)), `records of ${size}`).toEqual(whole);
    }
    for (let size = 1; size < body.length; size++) {
      const [first, second] = [record(body.subarray(0, size)), record(body.subarray(size))];
      expect(readClientHello(first)).toBe('more');
      expect(readClientHello(Buffer.concat([first, second]))).toEqual(whole);
    }
  }
});

test('cut anywhere, more is needed; what follows does not matter', () => {
  for (const sample of [helloOfOpenssl, helloOfCurl, helloWithoutName]) {
    for (let i = 0; i < sample.length; i++) expect(readClientHello(sample.subarray(0, i))).toBe('more');
    const more = Buffer.concat([sample, hex('ff00')]);
    expect(readClientHello(more)).toEqual(readClientHello(sample));
    for (let i = 0; i < sample.length - 5; i++) expect(readHandshake(sample.subarray(5, 5 + i))).toBe('more');
  }
});

test('a reader that sees it come byte by byte says the same, whatever the records', () => {
  const body = message([named('a.example'), extension('0015', Buffer.alloc(2_500))]);
  for (const size of [1, 3, 2_500]) {
    const records: Buffer[] = [];
    for (let at = 0; at < body.length; at += size) records.push(record(body.subarray(at, at + size)));
    const bytes = Buffer.concat(records);
    const reader = new ClientHelloReader();
    let more = 0;
    for (let i = 0; i < bytes.length; i++) if (reader.read(bytes.subarray(0, i)) === 'more') more++;
    expect(more).toBe(bytes.length);
    expect(reader.read(bytes)).toEqual({ ...nothing, serverName: 'a.example' });
    expect(reader.read(bytes), 'asked again').toEqual({ ...nothing, serverName: 'a.example' });
  }
});

test('names', () => {
  expect(readClientHello(record(message(undefined)))).toEqual(nothing);
  expect(read()).toEqual(nothing);
  expect(read(named('A.Example'))).toMatchObject({ serverName: 'A.Example' });
  expect(read(named('a'.repeat(255)))).toMatchObject({ serverName: 'a'.repeat(255) });
  expect(read(extension('0000', Buffer.alloc(0))), 'an empty extension').toEqual(nothing);
  expect(read(extension('0000', nameList())), 'an empty list').toEqual(nothing);
  expect(read(extension('0000', nameList([1, 'x']))), 'of another kind').toEqual(nothing);
});

test('protocols, and an encrypted hello', () => {
  const alpn = (...list: readonly string[]): Buffer =>
    extension('0010', sized(2, Buffer.concat(list.map((each) => sized(1, Buffer.from(each, 'latin1'))))));
  expect(read(alpn('h2', '\xda\xda', 'x'.repeat(255)))).toMatchObject({
    alpn: ['h2', '\xda\xda', 'x'.repeat(255)],
  });
  expect(read(extension('0010', Buffer.alloc(0)))).toEqual(nothing);
  expect(read(named('public.example'), extension('fe0d', hex('00')))).toEqual({
    serverName: 'public.example',
    alpn: [],
    hasEch: true,
  });
  for (const broken of ['00', '0001', '0003 02 6832 00', '0001 00', '0002 05 61'])
    expect(read(extension('0010', hex(broken))), broken).toBeUndefined();
});

test('a huge hello is one up to 16 KiB', () => {
  const filler = (bytes: number): Buffer => extension('0015', Buffer.alloc(bytes));
  const rest = message([named('a'), filler(0)]).length;
  const largest = message([named('a'), filler(clientHelloBytesMax - rest)]);
  expect(largest).toHaveLength(clientHelloBytesMax);
  const [first, second] = [record(largest.subarray(0, 16_000)), record(largest.subarray(16_000))];
  expect(readClientHello(Buffer.concat([first, second]))).toMatchObject({ serverName: 'a' });
  const larger = message([named('a'), filler(clientHelloBytesMax - rest + 1)]);
  expect(readClientHello(record(larger.subarray(0, 4))), 'its length is enough to know').toBeUndefined();
});

test.each([
  ['twice', [named('a'), named('a')]],
  ['two', [extension('0000', nameList([0, 'a'], [0, 'b']))]],
  ['one of no letters', [named('')]],
  ['a longer one than there are', [named('a'.repeat(256))]],
  ['one with a NUL', [named('a.example\0b')]],
  ['one with a space', [named('a b')]],
  ['one of UTF-8', [named('\xc3\xa9')]],
  ['a list shorter than it says', [extension('0000', hex('0005 00 0001 61'))]],
  ['a list longer than it says', [extension('0000', hex('0003 00 0001 61'))]],
  ['beyond its list', [extension('0000', hex('0004 00 0002 61'))]],
  ['half a list', [extension('0000', hex('00'))]],
  ['beyond the message', [extension('0000', nameList([0, 'a'])).subarray(0, -1)]],
  ['half an extension', [hex('000000')]],
])('no hello: a name %s', (_, extensions) => {
  expect(read(...extensions)).toBeUndefined();
});

test.each([
  ['HTTP', Buffer.from('GET / HTTP/1.1')],
  ['SSH', Buffer.from('SSH-2.0-')],
  ['an alert', hex('15')],
  ['another version', hex('16 02')],
  ['an empty record', hex('160301 0000')],
  ['a record too long', hex('160301 4001')],
  ['another message', hex('160301 0004 02')],
  ['a message of SSL 2', hex('802e01')],
  ['another record within the hello', hex('160301 0001 01 15')],
  ['a hello too short', record(hex('01 000002 0303'))],
  ['another version of the hello', record(Buffer.concat([hex('01 00002a feff'), Buffer.alloc(40)]))],
  ['a session beyond', record(Buffer.concat([hex('01 000026 0303'), Buffer.alloc(32), hex('21 0002 1301')]))],
  [
    'odd ciphers',
    record(Buffer.concat([hex('01 00002a 0303'), Buffer.alloc(32), hex('00 0003 130113 01 00')])),
  ],
  [
    'no compression',
    record(Buffer.concat([hex('01 000028 0303'), Buffer.alloc(32), hex('00 0002 1301 00')])),
  ],
  [
    'bytes to spare',
    record(Buffer.concat([hex('01 00002d 0303'), Buffer.alloc(32), hex('00 0002 1301 01 00 0000 00 00')])),
  ],
])('no hello: %s', (_, bytes) => {
  expect(readClientHello(bytes)).toBeUndefined();
});

test('whatever is changed, it is a hello, none yet, or none, and a part of it says nothing else', () => {
  const samples = [
    helloOfOpenssl,
    helloWithoutName,
    record(message([named('a.example'), extension('fe0d', hex('0000'))])),
    Buffer.concat([...message([named('a.example')])].map((byte) => record(Buffer.of(byte)))),
  ];
  const found = { hello: 0, more: 0, none: 0 };
  let cut = 0;
  mutate(samples, 200_000, (bytes) => {
    const result = readClientHello(bytes);
    found[result === 'more' ? 'more' : result === undefined ? 'none' : 'hello']++;
    cut = (cut + 7) % (bytes.length + 1);
    const reader = new ClientHelloReader();
    const earlier = reader.read(bytes.subarray(0, cut));
    const later = reader.read(bytes);
    if (JSON.stringify(later) !== JSON.stringify(result)) throw new Error('it depends on the pieces');
    if (earlier !== 'more' && JSON.stringify(earlier) !== JSON.stringify(result))
      throw new Error(`${JSON.stringify(earlier)} became ${JSON.stringify(result)}`);
  });
  for (const count of Object.values(found)) expect(count).toBeGreaterThan(1_000);
});
