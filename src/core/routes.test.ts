import { describe, expect, test } from 'vitest';
import { Address } from './address.ts';
import type { RoutePlan, RouteProtocol } from './plan.ts';
import { poolsOf, Routes, routeText, type Said, saidNothing } from './routes.ts';

const here = Address.parse('192.0.2.1', 4711)!;
const bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const hex = (text: string): string => Buffer.from(text, 'latin1').toString('hex');
const route = (plan: Omit<RoutePlan, 'pool'>): RoutePlan => ({ pool: 'p', ...plan });
const spoke = (protocol: RouteProtocol, name?: string, ...alpn: string[]): Said => ({
  ...saidNothing,
  spoken: [{ protocol, name, alpn }],
});
/** A client that may yet speak these. */
const may = (possible: readonly RouteProtocol[], said = '', asksFirst = false): Said => ({
  ...saidNothing,
  possible,
  bytes: bytes(said),
  asksFirst,
  isAll: false,
});
const find = (
  plans: readonly Omit<RoutePlan, 'pool'>[],
  said: Said,
  client = here,
): number | 'wait' | undefined => new Routes(plans.map(route)).find(client, said);

describe('the first route that fits', () => {
  const names = [
    { protocol: 'tls', names: ['a.example'], alpn: ['h2'] },
    { protocol: 'tls', names: ['*.example'] },
    { protocol: 'tls', names: ['a.example'] },
    { protocol: 'tls', names: 'none' },
    { protocol: 'minecraft', names: ['a.example'] },
    { protocol: 'tls' },
  ] as const;

  test.each([
    [spoke('tls', 'a.example', 'http/1.1', 'h2'), 0],
    [spoke('tls', 'a.example', 'http/1.1'), 1],
    [spoke('tls', 'B.EXAMPLE.'), 1],
    [spoke('tls', 'example'), 5],
    [spoke('tls'), 3],
    [spoke('minecraft', 'a.example'), 4],
    [spoke('minecraft', 'b.example'), undefined],
    [spoke('minecraft'), undefined],
    [spoke('quic', 'a.example'), undefined],
    [saidNothing, undefined],
  ])('of %j is %s', (said, index) => {
    expect(find(names, said)).toBe(index);
  });

  test('of two protocols at once', () => {
    const said: Said = {
      ...saidNothing,
      spoken: [
        { protocol: 'tls', name: 'a', alpn: ['postgresql'] },
        { protocol: 'postgres', name: 'a', alpn: ['postgresql'] },
      ],
    };
    expect(find([{ protocol: 'postgres', names: ['a'] }, { protocol: 'tls' }], said)).toBe(0);
    expect(find([{ protocol: 'tls' }, { protocol: 'postgres', names: ['a'] }], said)).toBe(0);
  });

  test('by address, and by address and name', () => {
    const plans = [
      { protocol: 'tls', names: ['a'], clients: ['198.51.100.0/24', '2001:db8::/32'] },
      { clients: ['192.0.2.1'] },
      { protocol: 'tls', names: ['a'] },
    ] as const;
    expect(find(plans, spoke('tls', 'a'), Address.parse('198.51.100.7', 1)!)).toBe(0);
    expect(find(plans, spoke('tls', 'a'), Address.parse('2001:db8::7', 1)!)).toBe(0);
    expect(find(plans, spoke('tls', 'a'), Address.parse('203.0.113.1', 1)!)).toBe(2);
    expect(find(plans, spoke('tls', 'b'), Address.parse('203.0.113.1', 1)!)).toBeUndefined();
    expect(find(plans, saidNothing)).toBe(1);
  });
});

describe('while more may come', () => {
  test('a route is taken as soon as none before it can be', () => {
    const plans = [
      { protocol: 'tls', clients: ['198.51.100.0/24'] },
      { clients: ['192.0.2.0/24'] },
      { protocol: 'minecraft' },
    ] as const;
    expect(find(plans, may(['tls', 'minecraft']))).toBe(1);
    expect(find(plans, may(['tls', 'minecraft']), Address.parse('198.51.100.1', 1)!)).toBe('wait');
    expect(find(plans, may(['minecraft']), Address.parse('198.51.100.1', 1)!)).toBe('wait');
    expect(find(plans, may([]), Address.parse('198.51.100.1', 1)!)).toBeUndefined();
  });

  test('first bytes decide as far as they have come', () => {
    const plans = [
      { firstBytesHex: hex('SSH-2.0') },
      { firstBytesHex: hex('SS') },
      { firstBytesHex: hex('GET ') },
    ];
    expect(find(plans, may([], ''))).toBe('wait');
    expect(find(plans, may([], 'SSH'))).toBe('wait');
    expect(find(plans, may([], 'SSX'))).toBe(1);
    expect(find(plans, may([], 'SSH-2.0-x'))).toBe(0);
    expect(find(plans, may([], 'G'))).toBe('wait');
    expect(find(plans, may([], 'X'))).toBeUndefined();
    expect(find(plans, { ...may([], 'SSH'), isAll: true })).toBe(1);
  });

  test('a question for TLS is answered only where the name behind it matters', () => {
    const byName = { protocol: 'postgres', names: ['a'] } as const;
    const any = { protocol: 'postgres' } as const;
    const asks = may(['postgres'], '', true);
    expect(find([byName], asks)).toBe('wait');
    expect(find([any, byName], asks)).toBe(0);
    expect(find([byName, any], asks)).toBe('wait');
    expect(find([{ ...byName, clients: ['203.0.113.1'] }, any], asks)).toBe(1);
    expect(find([any], may(['postgres'], '', false)), 'it may be none of PostgreSQL').toBe('wait');
  });
});

test('a thousand routes by name cost no more than one', () => {
  const plans = Array.from({ length: 1_000 }, (_, i) => ({
    protocol: 'tls' as const,
    names: [`${i}.example`, `*.${i}.example`],
  }));
  const routes = new Routes(plans.map(route));
  let asked = 0;
  const client = new Proxy(here, {
    get: (target, key) => {
      asked++;
      return Reflect.get(target, key);
    },
  });
  expect(routes.find(client, spoke('tls', '999.example'))).toBe(999);
  expect(routes.find(client, spoke('tls', 'x.500.example'))).toBe(500);
  expect(routes.find(client, spoke('tls', 'other.example'))).toBeUndefined();
  expect(routes.find(client, may(['tls']))).toBe('wait');
  expect(asked).toBe(0);
});

test('what has to be read', () => {
  const needs = (...plans: readonly Omit<RoutePlan, 'pool'>[]): unknown[] => {
    const { protocols, firstBytesMax, needsBytes } = new Routes(plans.map(route));
    return [protocols, firstBytesMax, needsBytes];
  };
  expect(needs({ clients: ['192.0.2.0/24'] })).toEqual([[], 0, false]);
  expect(needs({ firstBytesHex: '00' }, { firstBytesHex: '000102' })).toEqual([[], 3, true]);
  expect(needs({ protocol: 'quic' }, { protocol: 'tls' }, { protocol: 'tls' })).toEqual([
    ['quic', 'tls'],
    0,
    true,
  ]);
});

test('pools of a listener, and routes in words', () => {
  const routes = [
    route({ protocol: 'tls', names: ['a', '*.b'], alpn: ['h2'], clients: ['192.0.2.0/24'] }),
    route({ protocol: 'postgres', names: 'none' }),
    route({ firstBytesHex: '1603' }),
    { ...route({ protocol: 'quic' }), pool: 'q' },
  ];
  expect(poolsOf({ pool: undefined, routes })).toEqual(['p', 'q']);
  expect(poolsOf({ pool: 'd', routes })).toEqual(['d', 'p', 'q']);
  expect(poolsOf({ pool: 'd' })).toEqual(['d']);
  expect(routes.map(routeText)).toEqual([
    'tls a, *.b; alpn h2; client 192.0.2.0/24',
    'postgres without a name',
    'first bytes 0x1603',
    'quic',
  ]);
});
