/** PostgreSQL's messages: as its manual has them, cut anywhere, changed anywhere. */
import { expect, test } from 'vitest';
import {
  decodeAuthentication,
  decodeDataRow,
  decodeMessage,
  encodePassword,
  encodeQuery,
  encodeSaslInitial,
  encodeSaslResponse,
  encodeSslRequest,
  encodeStartup,
  encodeTerminate,
  errorOf,
} from './postgres.ts';

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** A message as a server sends it. */
function message(type: string, ...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)));
  const head = Buffer.alloc(5, type);
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, body]);
}

test('what a client says', () => {
  expect(encodeStartup({ user: 'a', database: 'é' })).toEqual(
    Buffer.concat([hex('0000001c 00030000'), Buffer.from('user\0a\0database\0é\0\0')]),
  );
  expect(encodeSslRequest()).toEqual(hex('00000008 04d2162f'));
  expect(encodePassword('pw')).toEqual(message('p', 'pw\0'));
  expect(encodeSaslInitial('SCRAM-SHA-256', 'n,,n=,r=é')).toEqual(
    message('p', 'SCRAM-SHA-256\0', hex('0000000a'), 'n,,n=,r=é'),
  );
  expect(encodeSaslResponse('c=biws')).toEqual(message('p', 'c=biws'));
  expect(encodeQuery('select 1')).toEqual(message('Q', 'select 1\0'));
  expect(encodeTerminate()).toEqual(hex('58 00000004'));
});

test('a NUL would begin another parameter', () => {
  expect(() => encodeStartup({ user: 'a\0replication\0true' })).toThrow(RangeError);
  expect(() => encodePassword('a\0')).toThrow(RangeError);
  expect(() => encodeQuery('select\0')).toThrow(RangeError);
});

const authentications: [string, Buffer, object][] = [
  ['ok', hex('00000000'), { kind: 'ok' }],
  ['cleartext', hex('00000003'), { kind: 'cleartext' }],
  ['md5', hex('00000005 01020304'), { kind: 'md5', salt: hex('01020304') }],
  [
    'sasl',
    Buffer.concat([hex('0000000a'), Buffer.from('SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0')]),
    { kind: 'sasl', mechanisms: ['SCRAM-SHA-256-PLUS', 'SCRAM-SHA-256'] },
  ],
  [
    'sasl-continue',
    Buffer.concat([hex('0000000b'), Buffer.from('r=a,s=b,i=1')]),
    { kind: 'sasl-continue', data: 'r=a,s=b,i=1' },
  ],
  ['sasl-final', Buffer.concat([hex('0000000c'), Buffer.from('v=a')]), { kind: 'sasl-final', data: 'v=a' }],
  ['GSS', hex('00000007'), { kind: 'other', name: 'GSSAPI' }],
  ['SSPI', hex('00000009'), { kind: 'other', name: 'SSPI' }],
  ['Kerberos', hex('00000002'), { kind: 'other', name: 'Kerberos 5' }],
  ['one nobody knows', hex('ffffffff'), { kind: 'other', name: 'authentication 4294967295' }],
];

test.each(authentications)('authentication: %s', (_, body, meaning) => {
  expect(decodeAuthentication(body)).toEqual(meaning);
});

test.each([
  ['cut', '0000'],
  ['ok and more', '00000000 00'],
  ['a salt that is short', '00000005 010203'],
  ['no mechanism', '0000000a 00'],
  ['no mechanism at all', '0000000a'],
  ['a mechanism without its end', '0000000a 4100'],
  ['an empty mechanism', '0000000a 0041 0000'],
  ['seventeen mechanisms', `0000000a ${'4100'.repeat(17)} 00`],
])('no authentication: %s', (_, bytes) => {
  expect(() => decodeAuthentication(hex(bytes))).toThrow(RangeError);
});

const row = hex('0003 00000001 74 ffffffff 00000002 3432');

test('a row: texts and NULL', () => {
  expect(decodeDataRow(row)).toEqual(['t', null, '42']);
  expect(decodeDataRow(hex('0000'))).toEqual([]);
});

test.each([
  ['nothing', ''],
  ['-1 columns', 'ffff'],
  ['65 columns', `0041 ${'ffffffff'.repeat(65)}`],
  ['a column of -2 bytes', '0001 fffffffe'],
  ['a column longer than the row', '0001 7fffffff 00'],
  ['bytes to spare', '0000 00'],
])('no row: %s', (_, bytes) => {
  expect(() => decodeDataRow(hex(bytes))).toThrow(RangeError);
});

test('an error has a code and a sentence, or what there is of them', () => {
  expect(errorOf(Buffer.from('SFATAL\0C28P01\0Mno\0\0'))).toEqual({ code: '28P01', message: 'no' });
  expect(errorOf(Buffer.from('Mno end'))).toEqual({ code: undefined, message: 'no end' });
  expect(errorOf(Buffer.alloc(0))).toEqual({ code: undefined, message: 'an error without words' });
});

test('a message is taken when all of it is there, and refused by its head when it is too long', () => {
  const bytes = message('Z', 'I');
  expect(decodeMessage(Buffer.concat([bytes, Buffer.from('more')]))).toEqual({
    type: 'Z',
    body: Buffer.from('I'),
    end: 6,
  });
  expect(decodeMessage(hex('44 00004000'))).toBeUndefined();
  for (const head of ['44 00004001', '44 7fffffff', '44 ffffffff', '44 00000003', '00 00000004'])
    expect(() => decodeMessage(hex(head)), head).toThrow(RangeError);
});

/** A value, undefined, or a RangeError. */
function decodes(bytes: Buffer): void {
  try {
    const found = decodeMessage(bytes);
    if (found === undefined) return;
    if (found.type === 'R') decodeAuthentication(found.body);
    if (found.type === 'D') decodeDataRow(found.body);
    if (found.type === 'E') errorOf(found.body);
  } catch (error) {
    expect(error).toBeInstanceOf(RangeError);
  }
}

test('every prefix, and every byte changed, is a message, none yet, or a RangeError', () => {
  const messages = [
    ...authentications.map(([, body]) => message('R', body)),
    message('D', row),
    message('E', 'SFATAL\0C28P01\0Mno\0\0'),
  ];
  for (const bytes of messages) {
    for (let i = 0; i < bytes.length; i++) {
      expect(decodeMessage(bytes.subarray(0, i))).toBeUndefined();
      // Cut, and yet announced as whole.
      if (i >= 5) decodes(message(String.fromCharCode(bytes[0]!), bytes.subarray(5, i)));
      for (let bit = 0; bit <= 8; bit++) {
        const other = Buffer.from(bytes);
        other[i]! ^= bit === 8 ? 0xff : 1 << bit;
        decodes(other);
      }
    }
  }
});
