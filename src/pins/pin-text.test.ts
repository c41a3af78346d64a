import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { wordsOfBytes } from '../core/key-bytes.ts';
import {
  formatPlace,
  type PinValue,
  parsePinText,
  parseValue,
  pinTextLengthMax,
  shardOf,
  valueLengthMax,
} from './pin-text.ts';

const address = fc
  .tuple(fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(0xffffffff), fc.nat(0xffffffff))
  .map(([a, b, c, d]) => new Address(a, b, c, d, 0));
/** As the scripts in Redis write it (cluster/scripts.ts). */
const formatValue = ({ backend, writer, reason, ttlMs, generation }: PinValue): string =>
  `1 ${backend} ${writer} ${reason} ${ttlMs} ${generation}`;
const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._:[\]-]{0,63}$/);

describe('where a pin is', () => {
  test('reads back what it wrote, for every pool name and address', () => {
    fc.assert(
      fc.property(name, address, fc.nat(65_535), (pool, ip, port) => {
        expect(parsePinText(formatPlace(pool, 'client-ip', ip))).toEqual({
          pool,
          kind: 'client-ip',
          words: ip,
        });
        const flow = ip.withPort(port);
        expect(parsePinText(formatPlace(pool, 'flow', flow))).toEqual({ pool, kind: 'flow', words: flow });
      }),
    );
  });

  test('reads back every key of bytes, and a pool with the longest name fits', () => {
    fc.assert(
      fc.property(name, fc.uint8Array({ minLength: 1, maxLength: 40 }), (pool, bytes) => {
        const words = wordsOfBytes(bytes)!;
        for (const kind of ['payload', 'quic-id', 'tlv'] as const)
          expect(parsePinText(formatPlace(pool, kind, words))).toEqual({ pool, kind, words });
      }),
    );
    const longest = formatPlace(`@${'p'.repeat(64)}`, 'payload', wordsOfBytes(new Uint8Array(16))!);
    expect(longest.length).toBeLessThanOrEqual(pinTextLengthMax);
  });

  test('of a kind that this version does not know is skipped', () => {
    for (const kind of [8, 9, 10, 15, 16, 99]) expect(parsePinText(`pg/${kind}/192.0.2.1`)).toBeUndefined();
  });

  test('is readable', () => {
    expect(formatPlace('pg', 'client-subnet', Address.parse('2001:db8::', 0)!)).toBe('pg/2/2001:db8::');
    expect(formatPlace('pg', 'flow', Address.parse('192.0.2.1', 53)!)).toBe('pg/3/192.0.2.1:53');
    expect(parsePinText('@world/1/192.0.2.1')).toMatchObject({ pool: '@world', kind: 'client-ip' });
  });

  test.each([
    '',
    '/',
    '//',
    'pg',
    'pg/',
    'pg/1/',
    'pg/0/192.0.2.1',
    'pg/9/192.0.2.1',
    '@/1/192.0.2.1',
    '@@pg/1/192.0.2.1',
    'pg/01/192.0.2.1',
    'pg/1/192.0.2.1\n',
    'pg/4/Play.example',
    'pg/4/',
    'pg/5/a b',
    'pg/5/a/b',
    'pg/5/%41',
    'pg/6/AB',
    '/1/192.0.2.1',
    'pg/1/x',
    'pg/3/192.0.2.1',
    'p g/1/192.0.2.1',
    `pg/1/${'1'.repeat(200)}`,
  ])('refuses %j', (text) => expect(parsePinText(text)).toBeUndefined());
});

describe('what a pin is', () => {
  const value = {
    backend: 'pg-2',
    writer: 'lb:1',
    reason: 'retry',
    ttlMs: 1_800_000,
    generation: 7,
  } as const;

  test('reads back what it wrote', () => {
    expect(formatValue(value)).toBe('1 pg-2 lb:1 retry 1800000 7');
    expect(parseValue(formatValue(value))).toEqual(value);
  });

  test('a reason this version does not know is one of a peer', () => {
    expect(parseValue('1 b w moon-phase 5 1')?.reason).toBe('peer');
    expect(parseValue('1 b w constructor 5 1')?.reason).toBe('peer');
  });

  test.each([
    '',
    '1',
    '1 b',
    '2 b w policy 5 1',
    '1 b w policy 5',
    '1  w policy 5 1',
    '1 b w policy -5 1',
    '1 b w policy 5 1 ',
    '1 b w policy 5 1\n',
    '1 b/c w policy 5 1',
    `1 b w policy 5 ${'1'.repeat(11)}`,
    `1 ${'b'.repeat(65)} w policy 5 1`,
    'x'.repeat(valueLengthMax + 1),
  ])('refuses %j', (text) => expect(parseValue(text)).toBeUndefined());

  test('no text makes it fail', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => void [parseValue(text), parsePinText(text)]),
    );
  });
});

test('shards are used evenly', () => {
  const used = new Array<number>(16).fill(0);
  for (let i = 0; i < 16_000; i++) used[shardOf(Address.v4(0x0a000000 + i, 0), 16)]!++;
  for (const count of used) expect(Math.abs(count - 1_000)).toBeLessThan(150);
});
