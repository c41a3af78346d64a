import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hash128, wordsOfBytes } from './key-bytes.ts';
import { type KeyKind, keyKinds, kindOfNumber, readNamedKey } from './key-kinds.ts';

const ofBytes = ['server-name', 'payload', 'quic-id', 'tlv'] as const;
const words = (text: string | readonly number[]) =>
  wordsOfBytes(typeof text === 'string' ? new TextEncoder().encode(text) : Uint8Array.from(text))!;

// Other versions read these numbers in Redis: they may never change.
test('the numbers are frozen', () => {
  const numbers = Object.entries(keyKinds).map(([kind, { number }]) => [kind, number]);
  expect(Object.fromEntries(numbers)).toEqual({
    none: 0,
    'client-ip': 1,
    'client-subnet': 2,
    flow: 3,
    'server-name': 4,
    payload: 5,
    'quic-id': 6,
    tlv: 7,
  });
  for (const [kind, { number }] of Object.entries(keyKinds)) expect(kindOfNumber(number)).toBe(kind);
  expect(kindOfNumber(8)).toBeUndefined();
});

test.each<[KeyKind, string | readonly number[], string]>([
  ['server-name', 'play.example', 'play.example'],
  ['server-name', 'lobby.play.example', '#84bb13d27f7c648275e93ba86739a591'],
  ['payload', [0, 1, 0x41, 0x25, 0x2f, 0xff], '%00%01A%25%2f%ff'],
  ['payload', '#token', '%23token'],
  ['quic-id', [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08], '8394c8f03e515708'],
  ['tlv', 'vpce-08d2bf15fac', 'vpce-08d2bf15fac'],
  ['tlv', [0x7f], '%7f'],
])('%s %j is written %s', (kind, bytes, text) => {
  const { print, parse, read } = keyKinds[kind];
  const key = words(bytes);
  expect(print(key)).toBe(text);
  expect(parse(print(key))).toEqual(key);
  expect(read(print(key))).toEqual(key);
});

test.each(ofBytes)('whatever bytes a %s is, its text reads back, is short and needs no quoting', (kind) => {
  const { print, parse } = keyKinds[kind];
  const inLowerCase = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte + 32 : byte);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 40 }), (any) => {
      const bytes = kind === 'server-name' ? any.map(inLowerCase) : any;
      const key = wordsOfBytes(bytes)!;
      const text = print(key);
      expect(text).toMatch(/^[!-.0-~]{1,48}$/);
      expect(parse(text)).toEqual(key);
    }),
  );
});

test('different bytes are different keys, however short', () => {
  const seen = new Map<string, string>();
  const all = ['a', 'a\0', 'ab', 'ab\0', '\0', '\0\0', 'a'.repeat(16), 'a'.repeat(17), `${'a'.repeat(16)}\0`];
  for (const bytes of all) seen.set(JSON.stringify(words(bytes)), bytes);
  expect(seen.size).toBe(all.length);
  expect(wordsOfBytes(new Uint8Array())).toBeUndefined();
});

describe('a text that pinion does not write is no key', () => {
  test.each<[KeyKind, string]>([
    ['server-name', ''],
    ['server-name', 'Play.example'],
    ['server-name', 'a name'],
    ['server-name', 'lobby.play.example.com'],
    ['payload', '%'],
    ['payload', '%4'],
    ['payload', '%41'],
    ['payload', '%FF'],
    ['payload', '%zz'],
    ['payload', 'a/b'],
    ['payload', '\u00e9'],
    ['payload', `#${'0'.repeat(31)}`],
    ['payload', `#${'A'.repeat(32)}`],
    ['payload', 'x'.repeat(100_000)],
    ['quic-id', 'AB'],
    ['quic-id', 'abc'],
    ['quic-id', '0x12'],
    ['quic-id', 'ab'.repeat(17)],
    ['none', '192.0.2.1'],
  ])('%s %j', (kind, text) => expect(keyKinds[kind].parse(text)).toBeUndefined());
});

describe('what a person writes', () => {
  test('is read in other spellings, too', () => {
    expect(readNamedKey('server-name=Play.Example')).toEqual({
      kind: 'server-name',
      words: words('play.example'),
    });
    expect(readNamedKey('payload=a b%20c')).toEqual({ kind: 'payload', words: words('a b c') });
    expect(readNamedKey('quic-id=8394C8F0')).toEqual({
      kind: 'quic-id',
      words: words([0x83, 0x94, 0xc8, 0xf0]),
    });
    const long = 'lobby.play.example.com';
    expect(readNamedKey(`server-name=${long}`)?.words).toEqual(words(long));
    expect(readNamedKey(`server-name=${keyKinds['server-name'].print(words(long))}`)?.words).toEqual(
      words(long),
    );
    expect(readNamedKey('client-ip=192.0.2.1')?.words).toMatchObject({ w3: 0xc0000201, port: 0 });
  });

  test('without a kind is something else', () => {
    for (const text of ['192.0.2.1', 'constructor=1', '=1', 'none=1', '2001:db8::1', ''])
      expect(readNamedKey(text)).toBeUndefined();
  });

  test.each(['payload=', 'payload=%4', 'quic-id=xyz', 'client-ip=a', `tlv=${'x'.repeat(5_000)}`])(
    '%.40s is refused',
    (text) => expect(() => readNamedKey(text)).toThrow(RangeError),
  );
});

// The words of the reference implementation (github.com/aappleby/smhasher, MurmurHash3.cpp).
test('the hash of what is longer is MurmurHash3_x86_128', () => {
  const hex = (text: string): string =>
    hash128(new TextEncoder().encode(text))
      .map((word) => word.toString(16).padStart(8, '0'))
      .join('');
  expect(hex('')).toBe('0'.repeat(32));
  expect(hex("I will not buy this tobacconist's, it is scratched.")).toBe('9b5b7ba2ef3f7866889adeaf00f3f98e');
});

test('the hash spreads: a bit of the text changes about half of its own, wherever it is', () => {
  for (let length = 17; length < 50; length++) {
    const bytes = new Uint8Array(length).fill(0x61);
    const before = hash128(bytes);
    for (let at = 0; at < length; at++) {
      const changed = hash128(bytes.with(at, 0x60));
      const bits = changed.reduce((sum, word, i) => sum + ones(word ^ before[i]!), 0);
      expect(bits, `byte ${at} of ${length}`).toBeGreaterThan(30);
    }
  }
});

function ones(word: number): number {
  return (word >>> 0).toString(2).replaceAll('0', '').length;
}
