/** MySQL's packets: as its documentation has them, cut anywhere, changed anywhere. */
import { expect, test } from 'vitest';
import {
  decodeChallenge,
  decodeColumnCount,
  decodeColumnName,
  decodeGreeting,
  decodePacket,
  decodeRow,
  encodeLogIn,
  encodeQuery,
  encodeQuit,
  encodeSslRequest,
  errorOf,
  isEof,
} from './mysql.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');

/**
 * The example of the documentation, MySQL 5.5.2:
 * https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets_protocol_handshake_v10.html
 */
const greeting55 = hex(`
  36 00 00 00 0a 35 2e 35 2e 32 2d 6d 32 00 0b 00 00 00 64 76 48 40 49 2d 43 4a 00 ff f7 08 02 00
  00 00 00 00 00 00 00 00 00 00 00 00 00 2a 34 64 7c 63 5a 77 6b 34 5e 5d 3a 00`);
/** MariaDB 10.11.19, as it came. */
const greetingMariaDb = hex(`
  64 00 00 00 0a 35 2e 35 2e 35 2d 31 30 2e 31 31 2e 31 39 2d 4d 61 72 69 61 44 42 2d 30 2b 64 65 62 31 32
  75 31 00 03 00 00 00 26 63 46 70 23 5a 7b 7d 00 fe f7 08 02 00 ff 81 15 00 00 00 00 00 00 1d 00 00 00 25
  3c 3d 5e 42 6f 28 77 42 24 29 40 00 6d 79 73 71 6c 5f 6e 61 74 69 76 65 5f 70 61 73 73 77 6f 72 64 00`);

test('what a server says first', () => {
  expect(decodeGreeting(decodePacket(greeting55)!.body)).toEqual({
    version: '5.5.2-m2',
    capabilities: 0xf7ff,
    nonce: Buffer.from('dvH@I-CJ*4d|cZwk4^]:'),
    plugin: 'mysql_native_password',
  });
  const greeting = decodePacket(greetingMariaDb)!;
  expect(greeting.end).toBe(greetingMariaDb.length);
  expect(decodeGreeting(greeting.body)).toEqual({
    version: '5.5.5-10.11.19-MariaDB-0+deb12u1',
    capabilities: 0x81ff_f7fe,
    nonce: Buffer.from('&cFp#Z{}%<=^Bo(wB$)@'),
    plugin: 'mysql_native_password',
  });
});

test('what a client says', () => {
  const greeting = { version: '8', capabilities: 0xffff_ffff, nonce: Buffer.alloc(20), plugin: 'x' };
  const fixed = `ffffff00 2d ${'00'.repeat(23)}`;
  expect(encodeSslRequest(greeting)).toEqual(hex(`20000001 01aa0800 ${fixed}`));
  const logIn = { user: 'é', plugin: 'p', proof: hex('0102'), isSecured: false };
  expect(encodeLogIn(greeting, logIn)).toEqual(hex(`28000001 01a20800 ${fixed} c3a900 020102 7000`));
  expect(encodeLogIn(undefined, { ...logIn, isSecured: true })).toEqual(
    hex(`28000002 01aa0800 ${fixed} c3a900 020102 7000`),
  );
  expect(encodeLogIn({ ...greeting, capabilities: 0x8200 }, logIn), 'to who knows no plugins').toEqual(
    hex(`26000001 00820000 ${fixed} c3a900 020102`),
  );
  expect(encodeQuery('select 1')).toEqual(Buffer.concat([hex('09000000 03'), Buffer.from('select 1')]));
  expect(encodeQuit()).toEqual(hex('01000000 01'));
  expect(() => encodeLogIn(greeting, { ...logIn, user: 'a\0b' })).toThrow(RangeError);
  expect(() => encodeQuery('a\0')).toThrow(RangeError);
});

test.each([
  ['another version', '09 3800'],
  ['nothing after the version', '0a 3800'],
  ['no end of the version', '0a 38383838'],
  [
    'before 4.1',
    `0a 3800 00000000 ${'61'.repeat(8)} 00 2c00 08 0200 0000 00 ${'00'.repeat(10)} ${'61'.repeat(13)}`,
  ],
  [
    'a nonce that is short',
    `0a 3800 00000000 ${'61'.repeat(8)} 00 fff7 08 0200 ffff 15 ${'00'.repeat(10)} 616161`,
  ],
])('no greeting: %s', (_, bytes) => {
  expect(() => decodeGreeting(hex(bytes))).toThrow(RangeError);
});

test('an error has a number and a sentence, and a state after the greeting', () => {
  expect(errorOf(hex('ff 1004 546f6f'))).toEqual({ code: 1040, state: undefined, message: 'Too' });
  expect(errorOf(hex('ff 1504 23 3238303030 6e6f'))).toEqual({ code: 1045, state: '28000', message: 'no' });
  expect(errorOf(hex('ff 1504')).message).toBe('error 1045');
  expect(() => errorOf(hex('ff 15'))).toThrow(RangeError);
});

test('what comes between a log-in and its end', () => {
  const nonce = '61'.repeat(20);
  expect(decodeChallenge(hex(`fe 7800 ${nonce} 00`))).toEqual({
    kind: 'switch',
    plugin: 'x',
    nonce: hex(nonce),
  });
  expect(decodeChallenge(hex('01 03'))).toEqual({ kind: 'more', data: hex('03') });
  expect(decodeChallenge(hex('fe'))).toMatchObject({ plugin: 'mysql_old_password' });
  for (const bytes of ['02', 'fe 78', '7f'])
    expect(() => decodeChallenge(hex(bytes)), bytes).toThrow(RangeError);
});

test('rows: texts with one, two and three bytes of length, and NULL', () => {
  const long = 'x'.repeat(300);
  const row = Buffer.concat([hex('0161 fb fc2c01'), Buffer.from(long), hex('fd2c0100'), Buffer.from(long)]);
  expect(decodeRow(row, 4)).toEqual(['a', null, long, long]);
  expect(decodeColumnCount(hex('3c'))).toBe(60);
  expect(decodeColumnName(hex('03646566 00 00 00 04 4e616d65 00 0c'))).toBe('Name');
  expect(isEof(hex('fe 0000 0200'))).toBe(true);
  expect(isEof(hex('fe 0000010000000000 61'))).toBe(false);
});

test.each([
  ['nothing', '', 1],
  ['a column more', '0161 0162', 1],
  ['a column less', '0161', 2],
  ['longer than the row', '0261', 1],
  ['a length that is cut', 'fc01', 1],
  ['a length of eight bytes', 'fe0100000000000000 61', 1],
  ['no length', 'ff', 1],
])('no row: %s', (_, bytes, columns) => {
  expect(() => decodeRow(hex(bytes), columns)).toThrow(RangeError);
});

test('no count of columns: none, a file that is asked for, more than a check asks for', () => {
  for (const bytes of ['00', 'fb', 'fc0001', '0101'])
    expect(() => decodeColumnCount(hex(bytes)), bytes).toThrow(RangeError);
});

test('a packet is taken when all of it is there, and refused by its head when it is too long or empty', () => {
  expect(decodePacket(hex('02000007 0102 03'))).toEqual({ sequence: 7, body: hex('0102'), end: 6 });
  expect(decodePacket(hex('00800000'))).toBeUndefined();
  for (const head of ['01800000', 'ffffff00', '00000000'])
    expect(() => decodePacket(hex(head)), head).toThrow(RangeError);
});

/** A value, undefined, or a RangeError. */
function decodes(decode: () => unknown): void {
  try {
    decode();
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
  }
}

test('every prefix, and every byte changed, is a packet, none yet, or a RangeError', () => {
  const row = hex('0161 fb fc0300616263');
  const bodies: [Buffer, (body: Buffer) => unknown][] = [
    [greeting55.subarray(4), decodeGreeting],
    [greetingMariaDb.subarray(4), decodeGreeting],
    [hex('ff 1504 23 3238303030 6e6f'), errorOf],
    [hex(`fe 7800 ${'61'.repeat(20)} 00`), decodeChallenge],
    [hex('03646566 00 00 00 04 4e616d65 00 0c'), decodeColumnName],
    [row, (body) => decodeRow(body, 3)],
  ];
  for (const [body, decode] of bodies) {
    for (let i = 0; i <= body.length; i++) {
      decodes(() => decode(body.subarray(0, i)));
      for (let bit = 0; bit <= 8 && i < body.length; bit++) {
        const other = Buffer.from(body);
        other[i]! ^= bit === 8 ? 0xff : 1 << bit;
        decodes(() => decode(other));
      }
    }
  }
  for (let i = 0; i < greeting55.length; i++) expect(decodePacket(greeting55.subarray(0, i))).toBeUndefined();
});
