/** QUIC's first packets: those of RFC 9001 and RFC 9369, split over frames, packets and datagrams, cut and changed anywhere. */
import { expect, test } from 'vitest';
import {
  ciphers,
  cryptoFrame,
  exampleFrame,
  exampleId,
  hex,
  type Initial,
  seal,
} from '../../test/support/quic.ts';
import { clientHelloBytesMax } from '../core/limits.ts';
import type { ClientHello } from './client-hello.ts';
import { helloOfCurl } from './hellos.fixture.ts';
import { mutate } from './mutations.fixture.ts';
import { type QuicCiphers, QuicHelloReader, readQuicHeader, readServerId, shortHeaderIds } from './quic.ts';

const example: ClientHello = { serverName: 'example.com', alpn: ['alpn'], hasEch: false };
const handshake = exampleFrame.subarray(4);
const read = (...datagrams: readonly Uint8Array[]): (ClientHello | 'more' | undefined)[] => {
  const reader = new QuicHelloReader(ciphers);
  return datagrams.map((datagram) => reader.read(datagram));
};
const frames = (...parts: readonly Uint8Array[]): Initial => ({ payload: Buffer.concat(parts) });

test.each([
  [
    1,
    'c000000001088394c8f03e5157080000449e7b9aec34d1b1c98dd7689fb8ec11',
    '7e78bfe706ca4cf5e9c5453e9f7cfd2b8b4c8d169a44e55c88d4a9a7f9474241e221af44860018ab0856972e194cd934',
  ],
  [
    2,
    'd76b3343cf088394c8f03e5157080000449ea0c95e82ffe67b6abcdb4298b485',
    '6f4c4938ae79324dc402894b44faf8afbab35282ab659d13c93f70412e85cb199a37ddec600545473cfb5a05e08d0b209973b2172b4d21fb69745a262ccde96ba18b2faa745b6fe189cf772a9f84cbfc',
  ],
] as const)('the packet of appendix A.2, version %i', (version, start, end) => {
  const packet = seal({ version, payload: exampleFrame });
  expect(packet).toHaveLength(1_200);
  // What the fixture makes is what the RFC prints, whose tag covers all of it.
  expect(packet.subarray(0, start.length / 2).toString('hex')).toBe(start);
  expect(packet.subarray(-end.length / 2).toString('hex')).toBe(end);
  expect(read(packet)).toEqual([example]);
});

test('a server answers a client: nothing to read there, but its ids', () => {
  // Appendix A.3 of RFC 9001.
  const answer = hex('cf000000010008f067a5502a4262b5004075c0d95a482cd0991cd25b0aac406a5816b6394100');
  expect(readQuicHeader(answer)).toEqual({
    form: 'long',
    version: 1,
    destinationId: Buffer.alloc(0),
    sourceId: hex('f067a5502a4262b5'),
    end: 15,
  });
  expect(read(Buffer.concat([answer, Buffer.alloc(1_200)]))).toEqual([undefined]);
});

test('ids of any version, as far as RFC 8999 says', () => {
  const long = hex(`ff 0a1a2a3a ff ${'01'.repeat(255)} 02 0304 05`);
  expect(readQuicHeader(long)).toEqual({
    form: 'long',
    version: 0x0a1a_2a3a,
    destinationId: Buffer.alloc(255, 1),
    sourceId: hex('0304'),
    end: 264,
  });
  for (let i = 1; i < 264; i++) expect(readQuicHeader(long.subarray(0, i)), `${i} bytes`).toBeUndefined();
  expect(readQuicHeader(hex('80 00000000 00 00'))).toMatchObject({ version: 0, end: 7 });
  expect(readQuicHeader(hex('40 0102'))).toEqual({ form: 'short', end: 1 });
  expect(readQuicHeader(hex(''))).toBeUndefined();
});

test('what a server says its id is, and where the id after a short header may end', () => {
  // RFC 9001 appendix A.3 and A.4: its first answer, and Retry.
  const [answer, retry] = ['cf0000000100', 'ff0000000100'].map((start) =>
    hex(`${start} 08 f067a5502a4262b5 746f`),
  );
  expect([answer!, retry!].map(readServerId)).toEqual(Array(2).fill(hex('f067a5502a4262b5')));
  for (let i = 0; i < 15; i++) expect(readServerId(answer!.subarray(0, i)), `${i} bytes`).toBe('settled');
  expect(
    readServerId(hex('80 00000000 02 c1c2 08 f067a5502a4262b5 00000001')),
    'negotiation',
  ).toBeUndefined();
  expect(readServerId(hex('c0 00000001 02 c1c2 00 ff')), 'without an id').toBeUndefined();
  expect(readServerId(hex('40 c1c2'))).toBe('settled');
  const short = hex('40 0102030405');
  expect(shortHeaderIds(short, [20, 6, 5, 2])).toEqual([hex('0102030405'), hex('0102')]);
  expect(shortHeaderIds(hex('40'), [1])).toEqual([]);
  expect(shortHeaderIds(short, [])).toEqual([]);
});

test('whatever is changed, an id is a part of the datagram, or there is none', () => {
  const lengths = [20, 18, 8, 4, 1];
  const samples = [
    hex('cf0000000100 08 f067a5502a4262b5 746f'),
    hex('40 0102030405060708'),
    hex('80 00000000 02 c1c2 00'),
  ];
  const found = { id: 0, settled: 0, none: 0, short: 0 };
  mutate(samples, 200_000, (bytes) => {
    const id = readServerId(bytes);
    found[typeof id === 'object' ? 'id' : (id ?? 'none')]++;
    if (typeof id === 'object') expect(id.length > 0 && id.length + 7 <= bytes.length).toBe(true);
    const ids = shortHeaderIds(bytes, lengths);
    found.short += ids.length;
    if (ids.length !== lengths.filter((length) => length < bytes.length).length)
      throw new Error('another one');
  });
  for (const count of Object.values(found)) expect(count).toBeGreaterThan(1_000);
}, 60_000);

test('packet numbers of each length, tokens and ids', () => {
  for (const numberBytes of [1, 2, 3, 4] as const)
    expect(read(seal({ payload: exampleFrame, numberBytes, packetNumber: 200 }))).toEqual([example]);
  expect(
    read(seal({ payload: exampleFrame, token: Buffer.alloc(300, 9), sourceId: Buffer.alloc(20, 3) })),
  ).toEqual([example]);
});

test('a hello in frames of any size and order, among others', () => {
  for (let size = 1; size <= handshake.length; size++) {
    const parts: Buffer[] = [];
    for (let at = 0; at < handshake.length; at += size)
      parts.push(cryptoFrame(at, handshake.subarray(at, at + size)));
    // An acknowledgement of two ranges, and one with counts.
    const others = [hex('01'), hex('02 00 00 01 00 00 00'), hex('03 00 00 00 00 01 02 03'), hex('00')];
    const payload = Buffer.concat([
      ...parts.reverse(),
      ...others,
      cryptoFrame(0, handshake.subarray(0, size)),
    ]);
    if (payload.length < 1_400) expect(read(seal({ payload })), `parts of ${size}`).toEqual([example]);
  }
  expect(read(seal(frames(exampleFrame, hex('1c 00 00 00')))), 'it closes').toEqual([example]);
});

test('a hello over several datagrams and packets, in either order', () => {
  const [first, second] = [
    seal(frames(cryptoFrame(0, handshake.subarray(0, 100)))),
    seal(frames(cryptoFrame(100, handshake.subarray(100)))),
  ];
  expect(read(first, second)).toEqual(['more', example]);
  expect(read(second, first)).toEqual(['more', example]);
  expect(read(second, second, first)).toEqual(['more', 'more', example]);
  const large = handshake.length;
  const halves = [
    seal({ ...frames(cryptoFrame(100, handshake.subarray(100, large))), bytes: 0 }),
    // 0-RTT between them is passed over.
    seal({ ...frames(Buffer.alloc(40)), bytes: 0, typeBits: 0x10 }),
    seal(frames(cryptoFrame(0, handshake.subarray(0, 100)))),
  ];
  expect(read(Buffer.concat(halves))).toEqual([example]);
  const ofCurl = helloOfCurl.subarray(5);
  expect(read(seal(frames(cryptoFrame(0, ofCurl))))).toEqual([
    { serverName: 'b.example', alpn: ['h2', 'http/1.1'], hasEch: false },
  ]);
});

test('what comes between does not hide a hello that is under way', () => {
  const [first, second] = [
    seal(frames(cryptoFrame(0, handshake.subarray(0, 100)))),
    seal(frames(cryptoFrame(100, handshake.subarray(100)))),
  ];
  const broken = Buffer.from(second);
  broken[800]! ^= 1;
  const otherId = Buffer.from(second);
  otherId[8]! ^= 1;
  const answers = read(first, broken, hex('40'), Buffer.alloc(1_300, 0x40), otherId, second);
  expect(answers).toEqual(['more', 'more', 'more', 'more', 'more', example]);
});

test('one byte short, it is none: at its end, in its length, or of the least a first datagram has', () => {
  const whole = seal({ payload: exampleFrame, bytes: 1_300 });
  expect(read(whole)).toEqual([example]);
  expect(read(whole.subarray(0, -1))).toEqual([undefined]);
  expect(read(seal({ payload: exampleFrame }).subarray(0, 1_199))).toEqual([undefined]);
  expect(read(seal({ payload: exampleFrame, bytes: 1_199 }))).toEqual([undefined]);
  for (let i = 0; i < whole.length; i++) expect(read(whole.subarray(0, i))).toEqual([undefined]);
});

test.each([
  ['its version', (p: Buffer) => p.writeUInt8(9, 4)],
  ['its id', (p: Buffer) => p.writeUInt8(9, 7)],
  ['the length of its id', (p: Buffer) => p.writeUInt8(21, 5)],
  ['the length of the other id', (p: Buffer) => p.writeUInt8(255, 14)],
  ['the length of its token', (p: Buffer) => p.writeUInt8(0xff, 15)],
  ['its length', (p: Buffer) => p.writeUInt8(0x40, 16)],
  ['its length, to all there is', (p: Buffer) => p.writeUInt16BE(0xffff, 16)],
  ['its type', (p: Buffer) => p.writeUInt8(p[0]! ^ 0x20, 0)],
  ['its type, to a retry', (p: Buffer) => p.writeUInt8(p[0]! ^ 0x30, 0)],
  ['its form', (p: Buffer) => p.writeUInt8(p[0]! ^ 0x80, 0)],
  ['its number', (p: Buffer) => p.writeUInt8(p[18]! ^ 1, 18)],
  ['what it says', (p: Buffer) => p.writeUInt8(p[40]! ^ 1, 40)],
  ['its tag', (p: Buffer) => p.writeUInt8(p[1_199]! ^ 1, 1_199)],
])('none is read when %s is changed', (_, change) => {
  const packet = seal({ payload: exampleFrame });
  change(packet);
  expect(read(packet)).toEqual([undefined]);
});

test.each([
  ['a frame that has no place there', hex('08 00')],
  ['a frame that is cut', hex('06 00 4fff 01')],
  ['an acknowledgement of more than there is', hex('02 00 00 bfffffff 00')],
  ['a part beyond all hellos', cryptoFrame(clientHelloBytesMax - 1, hex('0102'))],
  ['a part at the end of all numbers', hex('06 ffffffffffffffff 01 00')],
  [
    'a part that contradicts another',
    Buffer.concat([cryptoFrame(1, hex('0000')), cryptoFrame(2, hex('01'))]),
  ],
  ['another message', cryptoFrame(0, hex('02 000000'))],
])('none is read of %s', (_, payload) => {
  expect(read(seal({ payload: Buffer.concat([payload, exampleFrame]) }))).toEqual([undefined]);
  // Nor when all before the hello is fine.
  expect(read(seal({ payload }))).toEqual([undefined]);
});

test('many ids in one datagram do not make work: those after the first are passed over', () => {
  let made = 0;
  const counting: QuicCiphers = {
    ...ciphers,
    hmacSha256: (key, data) => {
      made++;
      return ciphers.hmacSha256(key, data);
    },
  };
  const packets = Array.from({ length: 60 }, (_, i) => {
    const packet = seal({ payload: hex('01'), bytes: 60 });
    packet[13] = i;
    return packet;
  });
  expect(new QuicHelloReader(counting).read(Buffer.concat(packets))).toBeUndefined();
  expect(made).toBe(5);
});

test('nor do many packets of one id, whatever versions they say', () => {
  let made = 0;
  const counted =
    <A extends unknown[], R>(make: (...all: A) => R) =>
    (...all: A): R => {
      made++;
      return make(...all);
    };
  const counting: QuicCiphers = {
    hmacSha256: counted(ciphers.hmacSha256),
    aes128Ecb: counted(ciphers.aes128Ecb),
    openAes128Gcm: counted(ciphers.openAes128Gcm),
  };
  const packets = Array.from({ length: 200 }, (_, i) =>
    seal({ payload: hex('01'), bytes: 60, version: i < 100 || i % 2 === 0 ? 1 : 2 }),
  );
  new QuicHelloReader(counting).read(Buffer.concat(packets));
  // Keys once, and two ciphers for each of four packets.
  expect(made).toBe(5 + 2 * 4);
  made = 0;
  new QuicHelloReader(counting).read(Buffer.concat(packets.slice(100)));
  expect(made).toBe(5 + 2);
});

test.each([1, 2] as const)('0-RTT that overtakes its hello is waited with, version %i', (version) => {
  const typeBits = version === 1 ? 0x10 : 0x30;
  const early = seal({ version, payload: Buffer.alloc(40), bytes: 0, typeBits });
  const hello = seal({ version, payload: exampleFrame });
  expect(read(early, early, hello)).toEqual(['more', 'more', example]);
  // Somebody else's hello is not its.
  expect(read(early.subarray(0, -1))).toEqual([undefined]);
});

const zeros = new Uint8Array(32);

/** Nothing is sealed, so that changes reach what is inside. */
const open: QuicCiphers = {
  hmacSha256: () => zeros,
  aes128Ecb: () => zeros,
  openAes128Gcm: (_key, _nonce, _associated, sealed) => sealed.subarray(0, -16),
};

/** As {@link seal}, but not sealed. */
function plain(...payload: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(payload);
  const bytes = Math.max(1_200, body.length + 40);
  const head = Buffer.concat([hex('c0 00000001 08'), exampleId, hex('00 00')]);
  const length = Buffer.alloc(2);
  length.writeUInt16BE(0x4000 | (bytes - head.length - 2));
  const packet = Buffer.alloc(bytes);
  Buffer.concat([head, length, hex('00'), body]).copy(packet);
  return packet;
}

test('whatever is changed, outside and inside, it is a hello, more of it, or none', () => {
  const parts = [0, 60, 120, 180, 240].map((at) => cryptoFrame(at, handshake.subarray(at, at + 60)));
  const samples = [
    plain(exampleFrame),
    plain(...parts.reverse()),
    plain(hex('02 00 00 01 00 00 00'), ...parts),
    plain(cryptoFrame(0, handshake.subarray(0, 100))),
  ];
  const heads = samples.map((sample) => sample.subarray(0, 360));
  const found = { hello: 0, more: 0, none: 0 };
  const datagram = new Uint8Array(1_400);
  mutate(
    heads,
    200_000,
    (bytes) => {
      datagram.fill(0, bytes.length);
      datagram.set(bytes);
      const reader = new QuicHelloReader(open);
      let result = reader.read(datagram.subarray(0, 1_200));
      if (result === 'more' && bytes.length % 2 === 0) result = reader.read(samples[0]!);
      found[result === 'more' ? 'more' : result === undefined ? 'none' : 'hello']++;
    },
    { bytesMax: 1_400 },
  );
  for (const count of Object.values(found)) expect(count).toBeGreaterThan(1_000);
  // Sealed ones say nothing more once they are changed, but must not throw either.
  const sealed = [
    seal({ payload: exampleFrame }),
    seal({ payload: exampleFrame, version: 2, token: Buffer.alloc(9) }),
  ];
  mutate(sealed, 5_000, (bytes) => void new QuicHelloReader(ciphers).read(bytes), { bytesMax: 1_400 });
  // Two million in the long form.
}, 300_000);
