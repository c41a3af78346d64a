import { expect, test } from 'vitest';
import { peerOf } from './connection.ts';

test('a peer is an IPv4 address, whatever the socket it came through, or a /64 of IPv6', () => {
  expect(peerOf('192.0.2.1')).toBe(peerOf('::ffff:192.0.2.1'));
  expect(peerOf('192.0.2.1')).not.toBe(peerOf('192.0.2.2'));
  expect(peerOf('2001:db8:0:1::1')).toBe(peerOf('2001:db8:0:1:ffff::2'));
  expect(peerOf('2001:db8:0:1::1')).not.toBe(peerOf('2001:db8:0:2::1'));
  expect(peerOf('fe80::1%eth0')).toBe('fe80::1%eth0');
});
