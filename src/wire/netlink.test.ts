/** Messages and attributes of netlink: in order, padded, nested, and whatever the bytes are. */
import { expect, test } from 'vitest';
import { mutate } from './mutations.fixture.ts';
import {
  type Answer,
  AttributeReader,
  decodeAnswer,
  MessageReader,
  MessageWriter,
  messageFlag,
  netfilterHeaderBytes,
} from './netlink.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

function readerOf(bytes: Uint8Array, length = bytes.length): MessageReader {
  const reader = new MessageReader();
  reader.reset(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), length);
  return reader;
}

function answerOf(bytes: Uint8Array): Answer | undefined {
  const reader = readerOf(bytes);
  return reader.next() ? decodeAnswer(reader) : undefined;
}

test('what is written is read again, padded and nested', () => {
  const writer = new MessageWriter();
  writer.begin(0x102, 5, 9, 10).bytes(1, Buffer.from('abcde')).open(2).u16(3, 0x1234).close().end();
  writer.begin(0x103, 1, 10, 0).u8(4, 7).words(5, 1, 2).end();
  const bytes = writer.written();
  expect(bytes.length % 4).toBe(0);
  const messages = readerOf(bytes);
  const attributes = new AttributeReader();
  expect(messages.next()).toBe(true);
  expect(messages).toMatchObject({ type: 0x102, flags: 5, sequence: 9, port: 0 });
  expect(bytes[messages.start]).toBe(10);
  attributes.reset(messages.view, messages.start + netfilterHeaderBytes, messages.end);
  expect(attributes.next()).toBe(true);
  expect([attributes.type, attributes.end - attributes.start]).toEqual([1, 5]);
  expect(attributes.next()).toBe(true);
  expect(attributes.type).toBe(2);
  const inner = new AttributeReader();
  inner.reset(messages.view, attributes.start, attributes.end);
  expect(inner.next()).toBe(true);
  // Shorter than what is asked for reads as 0.
  expect([inner.u8(), inner.u16(), inner.u32(), inner.u64()]).toEqual([0x12, 0x1234, 0, 0]);
  expect([inner.next(), attributes.next(), messages.next()]).toEqual([false, false, true]);
  attributes.reset(messages.view, messages.start + netfilterHeaderBytes, messages.end);
  expect([attributes.next(), attributes.u8()]).toEqual([true, 7]);
  expect([attributes.next(), attributes.u64()]).toEqual([true, 0x1_0000_0002]);
  expect(messages.next()).toBe(false);
});

test('a writer grows, and refuses what is no message', () => {
  const writer = new MessageWriter();
  for (let i = 0; i < 100; i++) writer.begin(0x100, 0, i, 0).u32(1, i).end();
  const messages = readerOf(writer.written());
  for (let i = 0; i < 100; i++) expect([messages.next(), messages.sequence]).toEqual([true, i]);
  // At every place inside of a message.
  for (let before = 0; before < 70; before++) {
    const long = new MessageWriter().begin(0x100, 0, 0, 0).bytes(1, new Uint8Array(before * 4));
    const whole = long.u8(2, 3).u16(4, 5).u32(6, 7).words(8, 9).open(10).u32(11, 12).close().end().written();
    expect(Buffer.from(whole).readUInt32LE(0)).toBe(whole.length);
    expect([...whole.subarray(-8)]).toEqual([8, 0, 11, 0, 0, 0, 0, 12]);
  }
  expect(() => writer.end()).toThrow(RangeError);
  expect(() => writer.close()).toThrow(RangeError);
  expect(() => writer.begin(1, 0, 0, 0).begin(1, 0, 0, 0)).toThrow(RangeError);
  expect(() => writer.bytes(1, new Uint8Array(65_536))).toThrow(RangeError);
});

test('answers: success, the end of a dump, a refusal with the words of the kernel', () => {
  expect(
    answerOf(hex('24000000 0200 0001 05000000 01000000 00000000 14000000 0201 0500 05000000 00000000')),
  ).toEqual({ sequence: 5, errno: 0, text: '' });
  expect(answerOf(hex('14000000 0300 0200 06000000 01000000 00000000'))).toEqual({
    sequence: 6,
    errno: 0,
    text: '',
  });
  const refused = (flags: string, request: string): Answer | undefined => {
    const words = `0a00 0100 ${Buffer.from('words\0').toString('hex')} 0000`;
    const body = hex(`feffffff ${request} ${words}`);
    const head = hex(`00000000 0200 ${flags} 05000000 01000000`);
    head.writeUInt32LE(head.length + body.length, 0);
    return answerOf(Buffer.concat([head, body]));
  };
  const header = '18000000 0201 0500 05000000 00000000';
  expect(refused('0003', header), 'capped').toEqual({ sequence: 5, errno: 2, text: 'words' });
  expect(refused('0002', `${header} 02000000 00000000`), 'whole').toEqual({
    sequence: 5,
    errno: 2,
    text: 'words',
  });
  expect(refused('0001', header), 'without words').toEqual({ sequence: 5, errno: 2, text: '' });
  expect(answerOf(hex('14000000 0001 0200 06000000 01000000 00000000'))).toBeUndefined();
});

test('whatever the bytes are, nothing outside of them is read and every step goes on', () => {
  const writer = new MessageWriter();
  writer.begin(0x100, messageFlag.multi, 1, 2).open(1).open(2).u32(3, 4).close().u8(5, 6).close().end();
  const samples = [
    writer.written().slice(),
    hex(
      '24000000 0200 0003 05000000 01000000 feffffff 14000000 0201 0500 05000000 00000000 0600 0100 6100 0000',
    ),
    hex('14000000 0300 0200 06000000 01000000 00000000 10000000 0100 0000 00000000 00000000'),
  ];
  const found = { messages: 0, attributes: 0, answers: 0 };
  const attributes = new AttributeReader();
  mutate(samples, 100_000, (bytes) => {
    const messages = readerOf(bytes, bytes.length);
    let last = 0;
    while (messages.next()) {
      found.messages++;
      if (messages.start < last + 16 || messages.end < messages.start || messages.end > bytes.length)
        throw new Error('a message is outside');
      last = messages.start;
      if (decodeAnswer(messages) !== undefined) found.answers++;
      attributes.reset(messages.view, messages.start, messages.end);
      let lastAttribute = messages.start;
      while (attributes.next()) {
        found.attributes++;
        if (attributes.start < lastAttribute + 4 || attributes.end > messages.end)
          throw new Error('an attribute is outside');
        lastAttribute = attributes.start;
        attributes.u64();
      }
    }
  });
  for (const count of Object.values(found)) expect(count).toBeGreaterThan(1_000);
});
