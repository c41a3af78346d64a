import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Address } from './address.ts';

describe('Address', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1', 4],
    ['0.0.0.0', '0.0.0.0', 4],
    ['255.255.255.255', '255.255.255.255', 4],
    ['::', '::', 6],
    ['::1', '::1', 6],
    ['2001:DB8::1', '2001:db8::1', 6],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1', 6],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1', 6],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8', 6],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1', 6],
    ['::ffff:192.0.2.1', '192.0.2.1', 4],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221', 6],
    ['fe80::', 'fe80::', 6],
  ])('reads %s and writes %s', (text, canonical, family) => {
    const address = Address.parse(text, 53);
    expect(address?.ip).toBe(canonical);
    expect(address?.family).toBe(family);
  });

  test.each([
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '01.2.3.4',
    '1.2.3.4 ',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'fe80::1%eth0',
    '::1.2.3.4.5',
    '1.2.3.4::',
    'localhost',
  ])('refuses %j', (text) => {
    expect(Address.parse(text, 0)).toBeUndefined();
  });

  test('reads with a port', () => {
    expect(Address.parseWithPort('192.0.2.1:53')?.toString()).toBe('192.0.2.1:53');
    expect(Address.parseWithPort('[::1]:65535')?.toString()).toBe('[::1]:65535');
    for (const text of [
      '::1:53',
      '[::1]',
      '192.0.2.1',
      '192.0.2.1:65536',
      '[192.0.2.1]:53',
      '[::1]:',
      ':53',
    ]) {
      expect(Address.parseWithPort(text), text).toBeUndefined();
    }
  });

  test('whatever it writes it reads back as the same address', () => {
    const word = fc.oneof(
      fc.constant(0),
      fc.integer({ min: 0, max: 0xffffffff }),
      fc.integer({ min: 0, max: 65535 }),
    );
    fc.assert(
      fc.property(word, word, word, word, fc.integer({ min: 0, max: 65535 }), (w0, w1, w2, w3, port) => {
        const address = new Address(w0, w1, w2, w3, port);
        expect(Address.parseWithPort(address.toString())?.equals(address)).toBe(true);
      }),
    );
  });
});
