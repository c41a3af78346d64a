import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { listenDropFamilies } from './listen-drops.ts';
import { Page } from './page.ts';

/** Overflows and drops as the page has them. */
function onPage(read?: () => string): (number | undefined)[] {
  const page = new Page(listenDropFamilies(read)).bytes().toString();
  return ['overflows', 'drops'].map((what) => {
    const value = new RegExp(`^pinion_kernel_listen_${what}_total (\\d+)$`, 'm').exec(page)?.[1];
    return value === undefined ? undefined : Number(value);
  });
}

test('the two are found by their names, wherever a kernel has them', () => {
  const text =
    'TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPHPHits\nTcpExt: 1 22 333 4\nIpExt: ListenDrops\nIpExt: 9\n';
  expect(onPage(() => text)).toEqual([22, 333]);
  expect(onPage(() => 'TcpExt: ListenDrops X ListenOverflows\nTcpExt: 5 6 7')).toEqual([7, 5]);
  for (const wrong of [
    '',
    'TcpExt: ListenOverflows ListenDrops\n',
    'TcpExt: ListenOverflows\nTcpExt: 1\n',
    'TcpExt: ListenOverflows ListenDrops\nTcpExt: 1 -\n',
    'TcpExt: ListenOverflows ListenDrops\nTcpExt: 1\n',
    'IpExt: ListenOverflows ListenDrops\nIpExt: 1 2\n',
  ])
    expect(onPage(() => wrong)).toEqual([undefined, undefined]);
});

test('each page has one reading, and a new one', () => {
  let reads = 0;
  const families = listenDropFamilies(() => {
    reads++;
    return `TcpExt: ListenOverflows ListenDrops\nTcpExt: ${reads} ${10 * reads}\n`;
  });
  const page = new Page(families);
  for (let time = 1; time <= 3; time++) {
    expect(
      page
        .bytes()
        .toString()
        .match(/^pinion\S+ \d+$/gm),
    ).toEqual([
      `pinion_kernel_listen_overflows_total ${time}`,
      `pinion_kernel_listen_drops_total ${10 * time}`,
    ]);
    expect(reads).toBe(time);
  }
});

test('the page has those of this kernel', () => {
  const before = onPage(() => readFileSync('/proc/self/net/netstat', 'latin1'));
  // Other programs of this machine may add to them meanwhile.
  for (const [i, value] of onPage().entries()) expect(value).toBeGreaterThanOrEqual(before[i]!);
});
