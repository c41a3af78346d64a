/** Entries of conntrack: as a kernel told them, as they are asked for, cut and changed anywhere. */
import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import {
  type ConntrackEntry,
  conntrackEntry,
  conntrackStatus,
  decodeConntrack,
  deleteBytesMax,
  encodeDelete,
  encodeDeleteByMark,
  encodeDump,
  glanceAtConntrack,
  tcpState,
  writeDeletes,
} from './conntrack.ts';
import { mutate } from './mutations.fixture.ts';
import { MessageReader, MessageWriter, messageFlag } from './netlink.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');
const at = (text: string): Address => Address.parseWithPort(text)!;
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function entriesOf(bytes: Uint8Array): (ConntrackEntry | undefined)[] {
  const reader = new MessageReader();
  const found: (ConntrackEntry | undefined)[] = [];
  reader.reset(viewOf(bytes), bytes.length);
  while (reader.next()) found.push(decodeConntrack(reader));
  return found;
}

/** An entry as the kernel writes one. */
function written(
  type: number,
  flags: number,
  { family = 4, protocol = 6 }: { family?: 4 | 6; protocol?: number } = {},
): Uint8Array {
  const writer = new MessageWriter();
  const tuple = (kind: number, source: Address, destination: Address): void => {
    writer.open(kind).open(1);
    if (family === 4) writer.u32(1, source.w3).u32(2, destination.w3);
    else {
      writer.words(3, source.w0, source.w1, source.w2, source.w3);
      writer.words(4, destination.w0, destination.w1, destination.w2, destination.w3);
    }
    writer.close().open(2).u8(1, protocol).u16(2, source.port).u16(3, destination.port).close().close();
  };
  const [client, listener, backend] =
    family === 4
      ? [at('192.0.2.1:40000'), at('198.51.100.1:80'), at('10.0.0.1:8080')]
      : [at('[2001:db8::1]:40000'), at('[2001:db8:1::1]:80'), at('[fd00::1]:8080')];
  writer.begin(0x100 | type, flags, 7, family === 4 ? 2 : 10);
  tuple(1, client, listener);
  tuple(2, backend, client);
  writer.u32(12, 0xfedcba98).u32(3, conntrackStatus.assured | conntrackStatus.seenReply);
  writer.u32(7, 300).u32(8, 0x80000001);
  writer.open(4).open(1).u8(1, tcpState.established).u8(2, 7).close().close();
  writer.open(9).words(1, 0, 5).words(2, 1, 2).close();
  writer.open(10).words(1, 0, 6).words(2, 0, 0xffffffff).close();
  writer.open(20).words(1, 0x17000000, 0).words(2, 0x17000001, 0).close();
  return writer.end().written();
}

test('an entry has its tuples, mark, status, state, counters and times', () => {
  expect(entriesOf(written(0, messageFlag.multi))).toEqual([
    {
      event: 'dump',
      id: 0xfedcba98,
      protocol: 'tcp',
      original: { source: at('192.0.2.1:40000'), destination: at('198.51.100.1:80') },
      reply: { source: at('10.0.0.1:8080'), destination: at('192.0.2.1:40000') },
      mark: 0x80000001,
      status: 6,
      tcpState: tcpState.established,
      timeoutS: 300,
      originalCounters: { packets: 5, bytes: 0x1_0000_0002 },
      replyCounters: { packets: 6, bytes: 0xffffffff },
      startedNs: 0x17000000 * 2 ** 32,
      stoppedNs: 0x17000001 * 2 ** 32,
    },
  ]);
  expect(entriesOf(written(0, 0, { family: 6, protocol: 17 }))[0]).toMatchObject({
    event: 'update',
    protocol: 'udp',
    original: { source: at('[2001:db8::1]:40000'), destination: at('[2001:db8:1::1]:80') },
  });
});

test('the kind of message says what happened', () => {
  const events = [written(0, messageFlag.create | messageFlag.exclusive), written(0, 0), written(2, 0)];
  expect(events.flatMap(entriesOf).map((entry) => entry?.event)).toEqual(['new', 'update', 'destroy']);
  expect(entriesOf(Buffer.concat(events)).map((entry) => entry?.event)).toEqual(['new', 'update', 'destroy']);
  // Of another subsystem, and of another protocol.
  expect(entriesOf(written(0x600, 0))).toEqual([undefined]);
  expect(entriesOf(written(0, 0, { protocol: 1 }))).toEqual([undefined]);
});

test('requests, byte by byte', () => {
  expect(Buffer.from(encodeDump(0x01020304))).toEqual(hex('14000000 0101 0103 04030201 00000000 00000000'));
  const filter = '0800 0800 80000001 0800 1500 ff0000ff';
  expect(Buffer.from(encodeDump(1, { mark: 0x80000001, mask: 0xff0000ff }))).toEqual(
    hex(`24000000 0101 0103 01000000 00000000 00000000 ${filter}`),
  );
  expect(Buffer.from(encodeDeleteByMark(1, { mark: 0x80000001, mask: 0xff0000ff }))).toEqual(
    hex(`24000000 0201 0500 01000000 00000000 00000000 ${filter}`),
  );
  expect(
    Buffer.from(
      encodeDelete(2, {
        protocol: 'udp',
        id: 0xfedcba98,
        original: { source: at('192.0.2.1:53'), destination: at('192.0.2.2:54') },
      }),
    ),
  ).toEqual(
    hex(`50000000 0201 0500 02000000 00000000 02000000
      3400 0180 1400 0180 0800 0100 c0000201 0800 0200 c0000202
      1c00 0280 0500 0100 11000000 0600 0200 0035 0000 0600 0300 0036 0000
      0800 0c00 fedcba98`),
  );
  const writer = new MessageWriter();
  const one = { protocol: 'tcp', original: { source: at('[::1]:1'), destination: at('[::2]:2') } } as const;
  for (let round = 0; round < 2; round++) {
    writer.clear();
    writeDeletes(writer, [
      { ...one, id: 1 },
      { ...one, id: 2 },
    ]);
    const bytes = writer.written();
    expect(bytes.length).toBeLessThanOrEqual(2 * deleteBytesMax);
    // As by itself, but for the sequence and that no answer is asked for.
    const [first, second] = [bytes.subarray(0, bytes.length / 2), bytes.subarray(bytes.length / 2)];
    expect(first.subarray(16)).toEqual(encodeDelete(1, { ...one, id: 1 }).subarray(16));
    expect(second.subarray(16)).toEqual(encodeDelete(1, { ...one, id: 2 }).subarray(16));
    expect([...first.subarray(4, 12)]).toEqual([2, 1, 1, 0, 0, 0, 0, 0]);
  }
  expect(() => encodeDeleteByMark(1, { mark: 0, mask: 0 })).toThrow(RangeError);
});

test('cut anywhere, a message is none; changed anywhere, it says nothing that is not in it', () => {
  const samples = [
    written(0, messageFlag.multi),
    written(2, 0, { family: 6 }),
    Buffer.concat([written(0, 0, { protocol: 17 }), written(0, 0x600)]),
    encodeDelete(1, {
      protocol: 'tcp',
      id: 1,
      original: { source: at('[::2]:1'), destination: at('[::3]:2') },
    }),
  ];
  for (const sample of samples.slice(0, 2))
    for (let i = 0; i < sample.length; i++) expect(entriesOf(sample.subarray(0, i))).toEqual([]);
  const found = { entries: 0, nothing: 0 };
  mutate(samples, 100_000, (bytes) => {
    const entries = entriesOf(bytes);
    for (const entry of entries) {
      if (entry === undefined) found.nothing++;
      else if (entry.original.source.port > 0xffff || entry.status < 0) throw new Error('out of bounds');
      else found.entries++;
    }
    if (entries.length > bytes.length / 16) throw new Error('more messages than fit');
  });
  for (const count of Object.values(found)) expect(count).toBeGreaterThan(1_000);
});

test('a glance says of an entry what the entry says, and whose it is, whatever the bytes', () => {
  const samples = [4, 6].flatMap((family) =>
    [6, 17].map((protocol) => written(0, 0, { family: family as 4 | 6, protocol })),
  );
  const known = samples.map((sample) => entriesOf(sample)[0]!);
  const reader = new MessageReader();
  let same = 0;
  mutate(samples, 20_000, (bytes) => {
    reader.reset(viewOf(bytes), bytes.length);
    while (reader.next()) {
      const glance = glanceAtConntrack(reader);
      if (glance === undefined) continue;
      const entry = conntrackEntry();
      const { event, id, status, tcpState: state, originalCounters, replyCounters } = glance;
      expect(entry).toMatchObject({ event, id, status, originalCounters, replyCounters });
      expect(entry.tcpState).toBe(state);
      expect(glance.sourcePort).toBe(entry.original.source.port);
      expect(glance.isOf(entry)).toBe(true);
      for (const one of known) {
        const isSame =
          one.protocol === entry.protocol &&
          one.original.source.equals(entry.original.source) &&
          one.original.destination.equals(entry.original.destination);
        expect(glance.isOf(one)).toBe(isSame);
        if (isSame) same++;
      }
    }
  });
  expect(same).toBeGreaterThan(1_000);
});
