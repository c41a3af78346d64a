/** PROXY headers: as the text of the protocol has them, cut anywhere, changed anywhere. */
import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { proxyHeaderBytesMax } from '../core/limits.ts';
import { crc32c } from './crc32c.ts';
import { mutate } from './mutations.fixture.ts';
import {
  type ProxyHeader,
  readProxyHeader,
  readSsl,
  type Tlv,
  tlvType,
  writeProxyHeader,
  writeProxyLine,
} from './proxy-header.ts';

const text = (value: string): Buffer => Buffer.from(value, 'latin1');
const signature = '0d0a0d0a000d0a515549540a';
const hex = (value: string): Buffer => Buffer.from(value.replace(/\s/g, ''), 'hex');
const binary = (rest: string): Buffer => hex(signature + rest);
const at = (value: string): Address => Address.parseWithPort(value)!;

/** A header, or what kept it from being one. */
function read(bytes: Uint8Array): ProxyHeader {
  const header = readProxyHeader(bytes);
  if (header === undefined || header === 'more') throw new Error(`no header: ${header}`);
  return header;
}

const v4 = binary('21 11 000c c0a80001 c0a8000b dc04 01bb');
const v6 = binary(`21 21 0024 20010db8000000000000000000000001 20010db8000000000000000000000002 0001 ffff`);
const tlvs = (...list: readonly (readonly [number, string])[]): Tlv[] =>
  list.map(([type, value]) => ({ type, value: new Uint8Array(Buffer.from(value, 'latin1')) }));

test('version 1: the example of section 2.1, and a line of each kind', () => {
  const line = 'PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n';
  expect(read(text(`${line}GET / HTTP/1.1\r\n`))).toEqual({
    version: 1,
    isLocal: false,
    transport: 'stream',
    addresses: { source: at('192.168.0.1:56324'), destination: at('192.168.0.11:443') },
    sourcePath: undefined,
    tlvs: [],
    length: line.length,
  });
  expect(read(text('PROXY TCP6 2001:DB8::1 ::2 0 65535\r\n')).addresses).toEqual({
    source: at('[2001:db8::1]:0'),
    destination: at('[::2]:65535'),
  });
  expect(read(text('PROXY TCP6 ::ffff:c000:201 ::2 1 2\r\n')).addresses?.source).toEqual(at('192.0.2.1:1'));
  for (const rest of ['', ' ', ' ffff:: whatever 1']) {
    const unknown = read(text(`PROXY UNKNOWN${rest}\r\n`));
    expect(unknown).toMatchObject({ transport: 'unknown', addresses: undefined, isLocal: false });
    expect(unknown.length).toBe(15 + rest.length);
  }
});

test('version 1: the longest line is one, a longer one is given up at once', () => {
  const longest = `PROXY UNKNOWN ${'x'.repeat(91)}\r\n`;
  expect(longest).toHaveLength(107);
  expect(read(text(longest)).length).toBe(107);
  expect(readProxyHeader(text(longest).subarray(0, 106))).toBe('more');
  expect(readProxyHeader(text(longest.replace('\r\n', 'x\r\n')))).toBeUndefined();
  expect(readProxyHeader(text(longest.replace('\r\n', 'xx')))).toBeUndefined();
});

test.each([
  ['a line feed alone', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n'],
  ['a carriage return too many', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r\n'],
  ['a space too many', 'PROXY TCP4 1.2.3.4  1.2.3.4 1 2\r\n'],
  ['a space at the end', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n'],
  ['a port missing', 'PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n'],
  ['a port too high', 'PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n'],
  ['a port with a zero in front', 'PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n'],
  ['a port with a sign', 'PROXY TCP4 1.2.3.4 1.2.3.4 +1 2\r\n'],
  ['an address with a zero in front', 'PROXY TCP4 1.2.3.04 1.2.3.4 1 2\r\n'],
  ['an address of the other family', 'PROXY TCP4 ::1 ::1 1 2\r\n'],
  ['an address of the other family, turned', 'PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n'],
  ['a name', 'PROXY TCP4 localhost 1.2.3.4 1 2\r\n'],
  ['another protocol', 'PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n'],
  ['a word that begins like one', 'PROXY UNKNOWNS\r\n'],
  ['small letters', 'proxy TCP4 1.2.3.4 1.2.3.4 1 2\r\n'],
  ['nothing', 'PROXY \r\n'],
  ['no space', 'PROXY\r\n'],
])('version 1: no header: %s', (_, line) => {
  expect(readProxyHeader(text(line))).toBeUndefined();
});

test('version 2: TCP and UDP over IPv4 and IPv6', () => {
  expect(read(Buffer.concat([v4, hex('0102')]))).toEqual({
    version: 2,
    isLocal: false,
    transport: 'stream',
    addresses: { source: at('192.168.0.1:56324'), destination: at('192.168.0.11:443') },
    sourcePath: undefined,
    tlvs: [],
    length: 28,
  });
  expect(read(v6).addresses).toEqual({
    source: at('[2001:db8::1]:1'),
    destination: at('[2001:db8::2]:65535'),
  });
  expect(read(binary('21 12 000c c0a80001 c0a8000b dc04 01bb')).transport).toBe('datagram');
  // At an offset, as a piece of a larger buffer is.
  expect(read(Buffer.concat([hex('ff'), v6]).subarray(1)).addresses).toEqual(read(v6).addresses);
});

test('version 2: LOCAL is one whatever it says, of the length it says', () => {
  const local = { isLocal: true, addresses: undefined, tlvs: [], transport: 'unknown' };
  expect(read(binary('20 00 0000'))).toMatchObject({ ...local, length: 16 });
  expect(read(binary('20 11 0000')), 'a family without its addresses').toMatchObject(local);
  expect(read(binary('20 9f 0003 ffffff')), 'no family at all').toMatchObject({ ...local, length: 19 });
  expect(read(binary('20 11 000c c0a80001 c0a8000b dc04 01bb'))).toMatchObject({ ...local, length: 28 });
  expect(readProxyHeader(binary('20 00 0001'))).toBe('more');
});

test('version 2: UNSPEC says nothing about addresses, and may say other things', () => {
  expect(read(binary('21 00 0000'))).toMatchObject({
    addresses: undefined,
    isLocal: false,
    transport: 'unknown',
  });
  expect(read(binary('21 00 0005 02 0002 6162')).tlvs).toEqual(tlvs([2, 'ab']));
  expect(read(binary('21 00 0005 ff ffff ffff')), 'no TLVs: addresses of who knows what').toMatchObject({
    tlvs: [],
    length: 21,
  });
  expect(read(binary('21 10 000c c0a80001 c0a8000b dc04 01bb')).addresses).toBeUndefined();
});

test('version 2: unix sockets', () => {
  const path = (value: string): string => Buffer.from(value.padEnd(108, '\0'), 'latin1').toString('hex');
  const unix = (source: string): ProxyHeader =>
    read(binary(`21 31 00dd ${path(source)} ${path('/run/b')} 02 0002 6162`));
  expect(unix('/run/a')).toMatchObject({ sourcePath: '/run/a', addresses: undefined, transport: 'stream' });
  expect(unix('/run/a').tlvs).toEqual(tlvs([2, 'ab']));
  expect(unix('').sourcePath).toBe('');
  expect(unix('\0name').sourcePath).toBe('@name');
  expect(unix('x'.repeat(108)).sourcePath).toBe('x'.repeat(108));
  expect(readProxyHeader(binary(`21 31 00d7 ${path('/a')} ${path('/b')}`))).toBeUndefined();
});

test('version 2: TLVs are kept in their order, known or not; fillers are not', () => {
  const sent = tlvs(
    [tlvType.authority, 'a.example'],
    [0xea, 'vpce-1'],
    [tlvType.noop, 'xxx'],
    [2, ''],
    [0xff, 'z'],
  );
  const header = read(
    writeProxyHeader({
      transport: 'stream',
      source: at('1.2.3.4:5'),
      destination: at('1.2.3.4:6'),
      tlvs: sent,
    }),
  );
  expect(header.tlvs.map(({ type, value }) => [type, Buffer.from(value).toString()])).toEqual([
    [2, 'a.example'],
    [0xea, 'vpce-1'],
    [2, ''],
    [0xff, 'z'],
  ]);
});

const sslValue = '01 00000000 21 0007 544c5376312e33 22 0003 626f62';

test('version 2: what a TLV says of TLS', () => {
  const value = hex(sslValue);
  expect(
    read(binary(`21 00 ${(3 + value.length).toString(16).padStart(4, '0')} 20 0015 ${sslValue}`)).tlvs,
  ).toEqual([{ type: tlvType.ssl, value: new Uint8Array(value) }]);
  expect(readSsl(new Uint8Array(value))).toEqual({
    client: 1,
    verify: 0,
    tlvs: tlvs([0x21, 'TLSv1.3'], [0x22, 'bob']),
  });
  expect(readSsl(hex('07 ffffffff'))).toEqual({ client: 7, verify: 0xffff_ffff, tlvs: [] });
  for (const cut of ['', '01 000000', '01 00000000 21', '01 00000000 21 0002 00'])
    expect(readSsl(hex(cut)), cut).toBeUndefined();
});

test('version 2: a checksum that is wrong, cut or said twice makes it no header', () => {
  const source = at('[2001:db8::1]:5');
  const parts = { transport: 'datagram', source, destination: at('[::2]:6'), hasChecksum: true } as const;
  const header = writeProxyHeader({ ...parts, tlvs: tlvs([2, 'a']) });
  expect(read(header)).toMatchObject({ tlvs: tlvs([2, 'a']), addresses: { source }, length: header.length });
  for (let i = 0; i < header.length; i++) {
    const other = Buffer.from(header);
    other[i]! ^= 1;
    const result = readProxyHeader(other);
    // LOCAL is believed without its checksum (nothing else in it is), and a checksum of another type is none.
    const isHeader = result !== undefined && result !== 'more';
    expect(isHeader, `byte ${i}`).toBe(i === 12 || i === header.length - 7);
    if (isHeader) expect(result.isLocal).toBe(i === 12);
  }
  expect(readProxyHeader(binary('21 00 0006 03 0003 000000'))).toBeUndefined();
  expect(readProxyHeader(binary('21 11 0012 01020304 01020304 0001 0002 03 0003 000000'))).toBeUndefined();
  const twice = binary('21 11 001a 01020304 01020304 0001 0002 03 0004 00000000 03 0004 00000000');
  twice.writeUInt32BE(crc32c(twice), twice.length - 11);
  expect(readProxyHeader(twice)).toBeUndefined();
});

test.each([
  ['another signature', hex('0d0a0d0a000d0a515549540b 21 11')],
  ['version 1 in the form of 2', binary('11 11 000c')],
  ['version 3', binary('31')],
  ['another command', binary('22')],
  ['another family', binary('21 41 0000')],
  ['another transport', binary('21 13 000c')],
  ['no room for its addresses', binary('21 11 000b')],
  ['none for IPv6', binary('21 22 0023')],
  ['longer than any', binary('21 11 ffff')],
  ['a TLV without a length', binary('21 11 000d 01020304 01020304 0001 0002 02')],
  ['a TLV whose length is cut', binary('21 11 000e 01020304 01020304 0001 0002 0200')],
  ['a TLV beyond the header', binary('21 11 0010 01020304 01020304 0001 0002 020002 61 62')],
  ['an id of 129 bytes', binary(`21 11 0090 01020304 01020304 0001 0002 05 0081 ${'61'.repeat(129)}`)],
  ['TLS without its fields', binary('21 11 000f 01020304 01020304 0001 0002 20 0000')],
])('version 2: no header: %s', (_, bytes) => {
  expect(readProxyHeader(bytes)).toBeUndefined();
});

test('what is written', () => {
  const source = at('192.0.2.1:1');
  expect(text('PROXY TCP4 192.0.2.1 198.51.100.2 1 65535\r\n')).toEqual(
    Buffer.from(writeProxyLine(source, at('198.51.100.2:65535'))),
  );
  expect(Buffer.from(writeProxyLine(source, at('[2001:db8::2]:2'))).toString()).toBe(
    'PROXY TCP6 ::ffff:c000:201 2001:db8::2 1 2\r\n',
  );
  expect(Buffer.from(writeProxyLine(undefined, source)).toString()).toBe('PROXY UNKNOWN\r\n');
  const written = (parts: Parameters<typeof writeProxyHeader>[0]): Buffer =>
    Buffer.from(writeProxyHeader(parts));
  expect(
    written({ transport: 'stream', source: at('192.168.0.1:56324'), destination: at('192.168.0.11:443') }),
  ).toEqual(v4);
  expect(
    written({ transport: 'stream', source: at('[2001:db8::1]:1'), destination: at('[2001:db8::2]:65535') }),
  ).toEqual(v6);
  expect(written({ transport: 'datagram', source, destination: at('[::2]:2') })).toEqual(
    binary('21 22 0024 00000000000000000000ffffc0000201 00000000000000000000000000000002 0001 0002'),
  );
  expect(
    written({ transport: 'stream', source: undefined, destination: source, tlvs: tlvs([2, 'ab']) }),
  ).toEqual(binary('21 00 0005 02 0002 6162'));
  expect(
    written({ isLocal: true, transport: 'stream', source, destination: source, tlvs: tlvs([2, 'ab']) }),
  ).toEqual(binary('20 00 0000'));
});

test('what does not fit a header is left out of it', () => {
  const [source, transport] = [at('192.0.2.1:1'), 'stream'] as const;
  const long = tlvs([1, 'x'.repeat(4_000)], [2, 'y'.repeat(66)], [3 + 0xe0, 'z']);
  const header = writeProxyHeader({ transport, source, destination: source, tlvs: long, hasChecksum: true });
  expect(header.length).toBeLessThanOrEqual(proxyHeaderBytesMax);
  expect(read(header).tlvs.map(({ type }) => type)).toEqual([1, 0xe3]);
});

const samples: readonly Buffer[] = [
  text('PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n'),
  text('PROXY TCP6 2001:DB8::1 ::ffff:192.0.2.1 0 65535\r\n'),
  text('PROXY UNKNOWN ffff:: whatever 1\r\n'),
  v4,
  v6,
  binary('20 00 0000'),
  binary(`21 31 00d8 ${'2f61'.padEnd(216, '00')} ${'2f62'.padEnd(216, '00')}`),
  binary(`21 00 0018 20 0015 ${sslValue}`),
  Buffer.from(
    writeProxyHeader({
      transport: 'datagram',
      source: at('[2001:db8::1]:5'),
      destination: at('[::2]:6'),
      tlvs: tlvs([2, 'a.example'], [5, 'unique'], [0xe0, '']),
      hasChecksum: true,
    }),
  ),
];

test('cut anywhere, it is no header yet; with anything behind it, the same one', () => {
  for (const sample of samples) {
    for (let i = 0; i < sample.length; i++) expect(readProxyHeader(sample.subarray(0, i))).toBe('more');
    expect(readProxyHeader(Buffer.concat([sample, hex('0a000d')]))).toEqual(read(sample));
  }
});

test('whatever is changed, it is a header within its bytes, none yet, or none, and a part of it says nothing else', () => {
  const found = { header: 0, more: 0, none: 0 };
  const lengthOf = (result: ReturnType<typeof readProxyHeader>): number | 'more' | undefined =>
    typeof result === 'object' ? result.length : result;
  let cut = 0;
  mutate(samples, 200_000, (bytes) => {
    const length = lengthOf(readProxyHeader(bytes));
    found[length === 'more' ? 'more' : length === undefined ? 'none' : 'header']++;
    // It never waits for what cannot come.
    const end = length ?? 'none';
    if (end === 'more' ? bytes.length >= proxyHeaderBytesMax : end !== 'none' && end > bytes.length)
      throw new Error(`${end} of ${bytes.length} bytes`);
    cut = (cut + 7) % (bytes.length + 1);
    const earlier = lengthOf(readProxyHeader(bytes.subarray(0, cut)));
    if (earlier !== 'more' && earlier !== length) throw new Error(`${earlier} became ${length}`);
  });
  for (const count of Object.values(found)) expect(count).toBeGreaterThan(1_000);
});
