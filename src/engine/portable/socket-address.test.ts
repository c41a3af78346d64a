import { expect, test } from 'vitest';
import { clientKey, socketAddress } from './socket-address.ts';

test('an IPv4 client has one key, mapped or not', () => {
  expect(clientKey('127.0.0.1', 80)).toBe(clientKey('::ffff:127.0.0.1', 80));
  expect(clientKey('255.255.255.255', 65_535)).toBe(2 ** 48 - 1);
  expect(clientKey('0.0.0.0', 1)).toBe(1);
});

test('clients that differ have keys that differ', () => {
  const clients: [string, number][] = [
    ['10.0.0.1', 1],
    ['10.0.0.1', 2],
    ['10.0.0.2', 1],
    ['1.10.0.0', 1],
    ['10.0.1.0', 1],
    ['2001:db8::1', 1],
    ['2001:db8::1', 2],
    ['2001:db8::11', 1],
    ['fe80::1%eth0', 1],
    ['fe80::1%eth1', 1],
    ['::ffff:a:b', 1],
    ['::1', 1],
  ];
  expect(new Set(clients.map(([ip, port]) => clientKey(ip, port))).size).toBe(clients.length);
});

test('addresses lose their zone, and a socket without a peer has none', () => {
  expect(socketAddress('fe80::1%eth0', 7)?.toString()).toBe('[fe80::1]:7');
  expect(socketAddress('::ffff:192.0.2.1', 7)?.toString()).toBe('192.0.2.1:7');
  expect(socketAddress(undefined, undefined)).toBeUndefined();
});
