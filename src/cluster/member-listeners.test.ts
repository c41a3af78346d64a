import { expect, test } from 'vitest';
import { memberAddressesMax, memberListenersMax } from '../core/limits.ts';
import { listenersOf, type MemberNetwork, parseNetwork } from './member-listeners.ts';

const network = (addresses: string[], machine = 'there', ips: string[] = []): MemberNetwork => ({
  addresses,
  ips,
  machine,
});

test('addresses and IPs of others, loopback only of this machine', () => {
  const said = ['udp 10.0.0.5:53', 'tcp [2001:db8::5]:443', 'tcp 127.0.0.1:80'];
  expect(listenersOf([network(said, 'there', ['10.0.0.6', '::1'])], 'here')).toEqual({
    listeners: [
      { protocol: 'udp', ip: '10.0.0.5', port: 53 },
      { protocol: 'tcp', ip: '2001:db8::5', port: 443 },
    ],
    ips: ['10.0.0.5', '2001:db8::5', '10.0.0.6'],
  });
  expect(listenersOf([network(said, 'here')], 'here').listeners).toHaveLength(3);
  expect(
    listenersOf([network(said, '')], '').listeners,
    'a machine that is not known is no one’s',
  ).toHaveLength(2);
});

test('what is beyond the bound is not even looked at', () => {
  let looked = 0;
  const said = (make: (index: number) => string): string[] =>
    new Proxy([], {
      get: (_, key) =>
        key === Symbol.iterator
          ? function* () {
              for (let i = 0; i < 100_000; i++, looked++) yield make(i);
            }
          : undefined,
    }) as string[];
  const ip = (i: number): string => `10.0.${i >> 8}.${i & 0xff}`;
  const known = listenersOf([network(said((i) => `udp ${ip(i)}:53`)), network([], 'x', said(ip))], 'here');
  expect(known.listeners.length).toBe(memberListenersMax);
  expect(looked).toBe(memberListenersMax);
});

test('what is no address is nothing', () => {
  const wrong = [
    '',
    'udp',
    'udp 10.0.0.5',
    'udp 10.0.0.5:0',
    'udp 10.0.0.5:99999',
    'sctp 10.0.0.5:1',
    'udp 0.0.0.0:53',
    'udp host:53',
    'udp  10.0.0.5:53',
    'udp 10.0.0.5:53\nudp 10.0.0.6:53',
  ];
  expect(listenersOf([network(wrong, 'there', ['x', '0.0.0.0', ''])], 'here')).toEqual({
    listeners: [],
    ips: [],
  });
});

test('a stranger’s text is bounded, each and all together', () => {
  const many = Array.from({ length: 10_000 }, (_, i) => `udp 10.0.${i >> 8}.${i & 255}:53`);
  const parsed = parseNetwork({ addresses: [...many, 7, null], ips: many, machine: 'x'.repeat(1_000) });
  expect(parsed.addresses).toHaveLength(memberAddressesMax);
  expect(parsed.ips.length).toBeLessThan(memberAddressesMax);
  expect(parsed.machine.length).toBeLessThan(200);
  const all = Array.from({ length: 100 }, (_, j) =>
    network(many.map((one) => one.replace(':53', `:${j + 1}`))),
  );
  const { listeners, ips } = listenersOf(all, 'here');
  expect([listeners.length, ips.length]).toEqual([memberListenersMax, memberListenersMax]);
});

test('an old member, or nonsense, says nothing', () => {
  for (const raw of [
    {},
    { addresses: 'udp 10.0.0.5:53', ips: {}, machine: 7 },
    { addresses: ['x'.repeat(500)] },
  ]) {
    expect(parseNetwork(raw)).toEqual({ addresses: [], ips: [], machine: '' });
  }
});
