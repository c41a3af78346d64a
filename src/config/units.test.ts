import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatDuration, formatSize } from '../core/quantities.ts';
import {
  durationPattern,
  formatPercent,
  percentPattern,
  readDuration,
  readPercent,
  readSize,
  sizePattern,
} from './units.ts';

describe('readDuration', () => {
  it.each([
    ['200ms', 200],
    ['30s', 30_000],
    ['30m', 1_800_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['1h30m', 5_400_000],
    ['1d2h3m4s5ms', 93_784_005],
    ['1.5s', 1_500],
    ['1.1s', 1_100],
    ['0', 0],
    ['0s', 0],
    [0, 0],
  ])('%j is %i ms', (text, ms) => expect(readDuration(text)).toEqual({ value: ms }));

  it.each([30, '30', 1.5, 1e9])('refuses %j with the unit that is missing', (bare) => {
    expect(readDuration(bare)).toEqual({ refused: expect.stringContaining(`write ${bare}s`) });
  });

  it.each([
    '',
    's',
    '30 s',
    '30sec',
    '30S',
    '30M',
    '1m1h',
    '1s1s',
    '-5s',
    '1h 30m',
    '0.5ms',
    '1.2345s',
    'ms5',
    {},
    null,
    true,
    [],
  ])('refuses %j', (text) => expect(readDuration(text)).toHaveProperty('refused'));

  it('refuses what a number cannot hold exactly', () => {
    expect(readDuration('999999999999999999d')).toHaveProperty('refused');
  });

  it('reads back what formatDuration writes, and the editor pattern agrees', () => {
    const pattern = new RegExp(durationPattern);
    fc.assert(
      fc.property(fc.nat(2 ** 31 - 1), (ms) => {
        const text = formatDuration(ms);
        expect(readDuration(text)).toEqual({ value: ms });
        expect(text).toMatch(pattern);
      }),
    );
  });
});

describe('readSize', () => {
  it('reads back what formatSize writes, and the editor pattern agrees', () => {
    const pattern = new RegExp(sizePattern);
    const sizes = fc.oneof(
      fc.nat(2 ** 40),
      fc.nat(2_000).map((n) => n * 1024),
      fc.nat(2_000).map((n) => n * 1_000_000),
    );
    fc.assert(
      fc.property(sizes, (bytes) => {
        const text = formatSize(bytes);
        expect(readSize(text)).toEqual({ value: bytes });
        // That is a value of its own where it may stand.
        if (bytes > 0) expect(text).toMatch(pattern);
      }),
    );
    expect([0, 1, 65_536, 2_000_000, 1_536].map(formatSize)).toEqual(['0', '1B', '64KiB', '2MB', '1536B']);
  });

  it.each([
    ['64KiB', 65_536],
    ['1MiB', 1_048_576],
    ['2GiB', 2_147_483_648],
    ['2kB', 2_000],
    ['3MB', 3_000_000],
    ['512B', 512],
    ['0.5KiB', 512],
    [0, 0],
  ])('%j is %i bytes', (text, bytes) => expect(readSize(text)).toEqual({ value: bytes }));

  it.each([64, '64', '64K', '64kb', '64 KiB', '0.3B', 'KiB', null])('refuses %j', (text) => {
    expect(readSize(text)).toHaveProperty('refused');
  });
});

describe('readPercent', () => {
  it.each([
    ['70%', 0.7],
    ['12.5 %', 0.125],
    ['100%', 1],
    ['0%', 0],
    [0, 0],
  ])('%j is %d', (text, share) => {
    expect(readPercent(text)).toEqual({ value: share });
    if (typeof text === 'string') expect(text).toMatch(new RegExp(percentPattern));
    expect(readPercent(formatPercent(share))).toEqual({ value: share });
  });

  it.each([70, 0.7, '70', '101%', '100.5%', '-1%', '%', null])('refuses %j', (text) => {
    expect(readPercent(text)).toHaveProperty('refused');
  });
});
