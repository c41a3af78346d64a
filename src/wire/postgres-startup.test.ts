/** What a client of PostgreSQL says first: as its documentation has it, cut anywhere, changed anywhere. */
import { expect, test } from 'vitest';
import { mutate } from './mutations.fixture.ts';
import { encodeSslRequest, encodeStartup } from './postgres.ts';
import { readPostgresStartup } from './postgres-startup.ts';

const hex = (text: string): Buffer => Buffer.from(text.replace(/\s/g, ''), 'hex');
const startup = (parameters: string, version = '00030000'): Buffer => {
  const body = Buffer.concat([hex(version), Buffer.from(parameters)]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(4 + body.length);
  return Buffer.concat([length, body]);
};

/** `psql "user=ann dbname=shop"` of version 15. */
const ann = encodeStartup({
  user: 'ann',
  database: 'shop',
  application_name: 'psql',
  client_encoding: 'UTF8',
});
const cancel = hex('00000010 04d2162e 0000002a deadbeef');

test('each message', () => {
  expect(readPostgresStartup(encodeSslRequest())).toEqual({ kind: 'ssl-request', length: 8 });
  expect(readPostgresStartup(hex('00000008 04d21630'))).toEqual({ kind: 'gss-request', length: 8 });
  expect(readPostgresStartup(cancel)).toEqual({
    kind: 'cancel',
    processId: 42,
    secret: hex('deadbeef'),
    length: 16,
  });
  expect(readPostgresStartup(ann)).toEqual({
    kind: 'startup',
    minorVersion: 0,
    user: 'ann',
    database: 'shop',
    length: ann.length,
  });
});

test('who names no database means that of the same name; what is said twice counts the last time', () => {
  expect(readPostgresStartup(startup('user\0é\0\0', '00030002'))).toMatchObject({
    minorVersion: 2,
    user: 'é',
    database: 'é',
  });
  expect(readPostgresStartup(startup('user\0a\0database\0\0user\0b\0\0'))).toMatchObject({
    user: 'b',
    database: 'b',
  });
});

test('cut anywhere, more is needed; what follows does not matter', () => {
  for (const sample of [encodeSslRequest(), cancel, ann]) {
    for (let i = 0; i < sample.length; i++) expect(readPostgresStartup(sample.subarray(0, i))).toBe('more');
    const more = Buffer.concat([sample, hex('16030100')]);
    expect(readPostgresStartup(more)).toEqual(readPostgresStartup(sample));
  }
});

test.each([
  ['TLS', hex('16')],
  ['Minecraft', hex('1000')],
  ['a length beyond', startup('x'.repeat(10_000))],
  ['a length of nothing', hex('00000007')],
  ['another version, by its first byte', hex('00000008 03')],
  ['version 2', hex('00000128 00020000')],
  ['a number of no message', hex('00000008 04d2162d')],
  ['a request with more in it', hex('00000009 04d2162f 00')],
  ['a cancellation without a key', hex('0000000c 04d2162e 00000001')],
  ['one with a key of 257 bytes', hex('0000010d 04d2162e 00000001')],
  ['nobody', startup('database\0a\0\0')],
  ['no end', startup('user\0a\0')],
  ['an end within', startup('user\0a\0\0\0')],
  ['a name without a value', startup('user\0\0')],
  ['nothing at all', startup('')],
])('none: %s', (_, bytes) => {
  expect(readPostgresStartup(bytes)).toBeUndefined();
});

test('whatever is changed, it is a message, none yet, or none, and a part of it says nothing else', () => {
  const found = { message: 0, more: 0, none: 0 };
  let cut = 0;
  const samples = [encodeSslRequest(), cancel, ann, startup('user\0a\0database\0b\0\0', '00030002')];
  mutate(samples, 200_000, (bytes) => {
    const result = readPostgresStartup(bytes);
    found[result === 'more' ? 'more' : result === undefined ? 'none' : 'message']++;
    if (typeof result === 'object' && result.length > bytes.length) throw new Error('longer than it is');
    if (result === 'more' && bytes.length >= 10_000) throw new Error('waits for what cannot come');
    cut = (cut + 7) % (bytes.length + 1);
    const earlier = readPostgresStartup(bytes.subarray(0, cut));
    if (earlier === 'more') return;
    if (earlier?.kind !== (result as typeof earlier)?.kind) throw new Error('a part said something else');
  });
  for (const count of Object.values(found)) expect(count).toBeGreaterThan(1_000);
});
