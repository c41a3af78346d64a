/** What a client of Minecraft says first: of each edition and proxy, cut anywhere, changed anywhere. */
import { expect, test } from 'vitest';
import { encodeStatusQuestion, encodeVarInt } from './minecraft.ts';
import { readMinecraftHandshake } from './minecraft-handshake.ts';
import { mutate } from './mutations.fixture.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

/** A handshake of version 1.20.4 that joins. */
function handshake(host: string, { version = encodeVarInt(765), id = '00', end = '63dd 02' } = {}): Buffer {
  const name = Buffer.from(host);
  const body = Buffer.concat([hex(id), version, encodeVarInt(name.length), name, hex(end)]);
  return Buffer.concat([encodeVarInt(body.length), body]);
}
const hostOf = (bytes: Uint8Array): string | undefined => {
  const result = readMinecraftHandshake(bytes);
  if (typeof result !== 'object') throw new Error(`no handshake: ${result}`);
  return result.host;
};

/** The example of the wiki: `localhost`, port 25565, protocol 74. */
const ping16 = hex(`fe01fa 000b 004d 0043 007c 0050 0069 006e 0067 0048 006f 0073 0074
  0019 4a 0009 006c 006f 0063 0061 006c 0068 006f 0073 0074 000063dd`);

test('a client that asks for the status, one that joins, one that was sent on', () => {
  const bytes = handshake('play.example');
  const joins = { protocolVersion: 765, host: 'play.example', port: 25_565, length: bytes.length };
  expect(readMinecraftHandshake(bytes)).toEqual({ ...joins, next: 'login' });
  expect(readMinecraftHandshake(handshake('play.example', { end: '63dd 03' }))).toEqual({
    ...joins,
    next: 'transfer',
  });
  const asks = encodeStatusQuestion('play.example', 25_565);
  expect(readMinecraftHandshake(asks)).toMatchObject({
    next: 'status',
    protocolVersion: -1,
    host: 'play.example',
    // The request itself follows.
    length: asks.length - 2,
  });
});

test.each([
  ['Play.Example', 'Play.Example'],
  ['play.example.', 'play.example'],
  ['play.example\0FML\0', 'play.example'],
  ['play.example.\0FML2\0', 'play.example'],
  ['play.example\0FML3\0', 'play.example'],
  ['play.example\x00203.0.113.7\x0011111111222233334444555555555555\0[{"name":"textures"}]', 'play.example'],
  ['bücher.example', 'bücher.example'],
  ['::1', '::1'],
  ['\0FML\0', undefined],
  ['', undefined],
])('the host in %j', (sent, host) => {
  expect(hostOf(handshake(sent))).toBe(host);
});

test('a packet whose length begins like a ping is one', () => {
  const bytes = handshake('a'.repeat(0xfe - 8));
  expect(bytes.subarray(0, 3)).toEqual(hex('fe0100'));
  expect(hostOf(bytes)).toBe('a'.repeat(0xfe - 8));
});

test('pings of before 1.7', () => {
  expect(readMinecraftHandshake(ping16)).toEqual({
    next: 'ping',
    protocolVersion: 74,
    host: 'localhost',
    port: 25_565,
    length: ping16.length,
  });
  for (const early of [hex('fe'), hex('fe01')]) {
    expect(readMinecraftHandshake(early)).toBe('more');
    expect(readMinecraftHandshake(early, true)).toMatchObject({
      next: 'ping',
      host: undefined,
      length: early.length,
    });
  }
});

test('cut anywhere, more is needed; what follows does not matter', () => {
  for (const sample of [handshake('play.example\0FML\0'), ping16, handshake('a'.repeat(300))]) {
    for (let i = 0; i < sample.length; i++)
      expect(readMinecraftHandshake(sample.subarray(0, i))).toBe('more');
    const more = Buffer.concat([sample, hex('0100')]);
    expect(readMinecraftHandshake(more)).toEqual(readMinecraftHandshake(sample));
  }
});

test.each([
  ['TLS', hex('160301')],
  ['PostgreSQL', hex('00000008')],
  ['HTTP', Buffer.from('GET /')],
  ['another packet', handshake('a', { id: '01' })],
  ['a length of four bytes', hex('80808001')],
  ['a packet too short', hex('05 00')],
  ['a packet too long', encodeVarInt(16_385)],
  ['a version without end', handshake('a', { version: hex('ffffffffff') })],
  ['a name beyond the packet', hex('07 00 01 02 61 63dd 02')],
  ['a name shorter than the packet', hex('07 00 01 00 61 63dd 02')],
  ['another state', handshake('a', { end: '63dd 04' })],
  ['no state', handshake('a', { end: '63dd 00' })],
  ['another channel', hex('fe01fa 000c')],
  ['a ping whose lengths differ', Buffer.concat([ping16.subarray(0, 27), hex('0018 4a 0009')])],
  ['half a ping', hex('fe01fe')],
])('none: %s', (_, bytes) => {
  expect(readMinecraftHandshake(bytes)).toBeUndefined();
});

test('whatever is changed, it is a handshake, none yet, or none, and a part of it says nothing else', () => {
  const samples = [
    handshake('play.example'),
    handshake('play.example.\0FML2\0'),
    encodeStatusQuestion('a', 1),
    handshake('a'.repeat(300)),
    ping16,
  ];
  const found = { handshake: 0, more: 0, none: 0 };
  let cut = 0;
  mutate(samples, 200_000, (bytes) => {
    const result = readMinecraftHandshake(bytes);
    found[result === 'more' ? 'more' : result === undefined ? 'none' : 'handshake']++;
    if (typeof result === 'object' && result.length > bytes.length) throw new Error('longer than it is');
    if (result === 'more' && bytes.length > 16_384 + 3) throw new Error('waits for what cannot come');
    if (readMinecraftHandshake(bytes, true) === 'more' && result !== 'more') throw new Error('waits longer');
    cut = (cut + 7) % (bytes.length + 1);
    const earlier = readMinecraftHandshake(bytes.subarray(0, cut));
    if (earlier === 'more') return;
    if (earlier?.host !== (result as typeof earlier)?.host) throw new Error('a part said something else');
  });
  for (const count of Object.values(found)) expect(count).toBeGreaterThan(1_000);
});
