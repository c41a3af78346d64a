/** Searched ranges against the plain meaning of each network, with the lines they are from. */
import { expect, test } from 'vitest';
import { Address } from './address.ts';
import { AddressRanges, RangesBuilder } from './address-ranges.ts';
import { parseCidr } from './cidr.ts';
import { clientMatcher } from './client-matcher.ts';

function rangesOf(...texts: readonly string[]): AddressRanges {
  const builder = new RangesBuilder();
  for (const [i, text] of texts.entries()) builder.add(parseCidr(text)!, i + 1);
  return new AddressRanges(builder.build());
}

function lineOf(ranges: AddressRanges, ip: string): number | undefined {
  const address = Address.parse(ip, 4711)!;
  const line = ranges.find(address)?.line;
  expect(ranges.has(address)).toBe(line !== undefined);
  return line;
}

test('the edges of a network are in it, their neighbours are not', () => {
  const ranges = rangesOf('10.0.0.0/8', '203.0.113.66', '2001:db8::/33', 'fd00::1');
  expect(['9.255.255.255', '10.0.0.0', '10.255.255.255', '11.0.0.0'].map((ip) => lineOf(ranges, ip))).toEqual(
    [undefined, 1, 1, undefined],
  );
  expect(['203.0.113.65', '203.0.113.66', '203.0.113.67'].map((ip) => lineOf(ranges, ip))).toEqual([
    undefined,
    2,
    undefined,
  ]);
  expect(
    ['2001:db7:ffff:ffff::', '2001:db8::', '2001:db8:7fff:ffff:ffff:ffff:ffff:ffff', '2001:db8:8000::'].map(
      (ip) => lineOf(ranges, ip),
    ),
  ).toEqual([undefined, 3, 3, undefined]);
  expect(['fd00::', 'fd00::1', 'fd00::2'].map((ip) => lineOf(ranges, ip))).toEqual([undefined, 4, undefined]);
});

test('a client over IPv6 that is IPv4 is judged as IPv4, and all of IPv6 is none of it', () => {
  const ranges = rangesOf('192.0.2.0/24', '::/0');
  expect(lineOf(ranges, '::ffff:192.0.2.9')).toBe(1);
  expect(lineOf(ranges, '198.51.100.1')).toBeUndefined();
  expect(lineOf(ranges, '2001:db8::1')).toBe(2);
});

test('of networks inside of others the outermost is told, and of equal ones the first', () => {
  const ranges = rangesOf('10.1.2.0/24', '10.0.0.0/8', '10.0.0.0/8', '10.1.0.0/16', '11.0.0.0/8');
  expect(ranges.size).toBe(2);
  expect(lineOf(ranges, '10.1.2.3')).toBe(2);
  expect(lineOf(ranges, '11.0.0.0')).toBe(5);
});

test('nothing, and everything', () => {
  expect(lineOf(rangesOf(), '10.0.0.1')).toBeUndefined();
  const all = rangesOf('0.0.0.0/0', '::/0');
  expect(['0.0.0.0', '255.255.255.255'].map((ip) => lineOf(all, ip))).toEqual([1, 1]);
  expect(['::', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff'].map((ip) => lineOf(all, ip))).toEqual([2, 2]);
});

test('what each network means by itself is what is found, whatever they are', () => {
  // Park and Miller, CACM 31 (1988): the same each time.
  let seed = 7;
  const draw = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  const v4 = (): string => [10, draw(3), draw(4), draw(256)].join('.');
  const v6 = (): string => `2001:db8:${draw(3).toString(16)}::${draw(4)}:${draw(65_536).toString(16)}`;
  for (let round = 0; round < 200; round++) {
    const texts = Array.from({ length: draw(40) }, () =>
      draw(2) === 0 ? `${v4()}/${8 + draw(25)}` : `${v6()}/${32 + draw(97)}`,
    );
    const ranges = rangesOf(...texts);
    const matchers = texts.map((text) => clientMatcher(text));
    for (let probe = 0; probe < 100; probe++) {
      const address = Address.parse(draw(2) === 0 ? v4() : v6(), 0)!;
      const holding = matchers.flatMap((matches, i) => (matches(address) ? [i + 1] : []));
      expect(ranges.has(address)).toBe(holding.length > 0);
      if (holding.length > 0) expect(holding).toContain(ranges.find(address)!.line);
    }
  }
});
