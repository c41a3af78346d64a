import { crc32 as zlibCrc32 } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { crc32, crc32Finish, crc32Start, crc32Text, crc32Word } from './crc32.ts';

describe('crc32', () => {
  it('gives the check value of the CRC catalogue', () => {
    expect(crc32('123456789')).toBe(0xcbf43926);
    expect(crc32('')).toBe(0);
  });

  it('agrees with zlib on any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => crc32(text) === zlibCrc32(text)));
  });

  it('takes a word lowest byte first', () => {
    const word = crc32Word(crc32Text(crc32Start, 'x'), 0x64636261);
    expect(crc32Finish(word)).toBe(crc32('xabcd'));
  });
});
