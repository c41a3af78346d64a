/** CRC-32C: the examples of RFC 3720 appendix B.4. */
import { expect, test } from 'vitest';
import { crc32c } from './crc32c.ts';

test.each([
  ['32 zeros', new Uint8Array(32), 0x8a9136aa],
  ['32 ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
  ['32 counting up', Uint8Array.from({ length: 32 }, (_, i) => i), 0x46dd794e],
  ['32 counting down', Uint8Array.from({ length: 32 }, (_, i) => 31 - i), 0x113fdb5c],
])('%s', (_, bytes, sum) => {
  expect(crc32c(bytes)).toBe(sum);
});

test('a place that is blank counts as zeros', () => {
  const bytes = new Uint8Array(32).fill(7, 28);
  expect(crc32c(bytes, 28)).toBe(0x8a9136aa);
  expect(crc32c(bytes)).not.toBe(0x8a9136aa);
});
