import { expect, test } from 'vitest';
import { Address } from '../core/address.ts';
import { AddressRanges } from '../core/address-ranges.ts';
import { listedNetworksMax } from '../core/limits.ts';
import { parseAddressFile, readAddressFile } from './address-file.ts';

function linesOf(text: string, ...ips: readonly string[]): (number | undefined)[] {
  const reading = parseAddressFile(text, 'list.txt');
  if ('refused' in reading) throw new Error(reading.refused);
  const ranges = new AddressRanges(reading.value.shared);
  return ips.map((ip) => ranges.find(Address.parse(ip, 0)!)?.line);
}

test('comments, blank lines and the ends of other systems', () => {
  const text = '# ours\r\n\r\n 10.0.0.0/8 # all\r\n\t192.0.2.7;one\n;\n2001:db8::/32';
  expect(linesOf(text, '10.1.2.3', '192.0.2.7', '2001:db8::1', '192.0.2.8')).toEqual([3, 4, 6, undefined]);
  expect(linesOf('', '10.0.0.1')).toEqual([undefined]);
  expect(linesOf('# nobody\n', '10.0.0.1')).toEqual([undefined]);
});

test.each([
  ['10.0.0.0/8\n10.0.0/8\nx\n', 'list.txt:2: "10.0.0/8" is neither an address nor a network'],
  ['fe80::1%eth0', 'list.txt:1: IPv6 zones'],
  ['10.0.0.1 10.0.0.2', 'list.txt:1: "10.0.0.1 10.0.0.2" is neither'],
  [`${'x'.repeat(1_000_000)}`, 'list.txt:1: "xxx'],
])('the first bad line is told: %.20s', (text, told) => {
  const reading = parseAddressFile(text, 'list.txt');
  expect('refused' in reading && reading.refused).toMatch(new RegExp(`^${told.replaceAll('.', '\\.')}`));
  expect('refused' in reading && reading.refused.length).toBeLessThan(200);
});

test('as many as there may be, of either family, and one more', () => {
  const many = Array.from({ length: listedNetworksMax }, (_, i) =>
    i % 2 === 0 ? `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` : `2001:db8:${(i >> 1).toString(16)}::/48`,
  );
  const reading = parseAddressFile(many.join('\n'), 'list.txt');
  expect('value' in reading && reading.value.entries).toBe(listedNetworksMax);
  expect(linesOf(many.join('\n'), '10.1.134.158', '2001:db8:c34f::9', '2001:db8:c350::')).toEqual([
    99_999,
    100_000,
    undefined,
  ]);
  const more = parseAddressFile([...many, '192.0.2.1'].join('\n'), 'list.txt');
  expect(more).toEqual({ refused: `list.txt:${listedNetworksMax + 1}: has more than 100000 networks` });
});

test('a file that is not there, and one that is none', () => {
  expect(readAddressFile('/nowhere/list.txt')).toEqual({
    refused: '/nowhere/list.txt: there is no such file',
  });
  expect(readAddressFile('/')).toEqual({ refused: '/: is a directory, not a file' });
});
