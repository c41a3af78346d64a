/** On what terms a client is served, as `explain` says it. */
import { describe, expect, test } from 'vitest';
import { parsePlan } from '../config/load.ts';
import type { BackendAddress, Plan } from '../core/plan.ts';
import { addressFor, mustHavePort, type Terms, termsOf } from './explain-terms.ts';

/** A plan of one listener and one pool. */
function planWith(listener: string, pool = ''): Plan {
  const text = `
listeners: [ { name: front, pool: p, ${listener} } ]
pools: { p: { ${pool} backends: [ { name: a, address: "10.0.0.1:53" } ] } }
`;
  const result = parsePlan(text, 'f');
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.plan;
}

const termsWith = (listener: string, pool?: string): Terms => {
  const { listeners, pools } = planWith(listener, pool);
  return termsOf(listeners[0]!, pools[0]!);
};

const tcp = 'bind: "tcp://0.0.0.0:5432"';
const udp = 'bind: "udp://0.0.0.0:53"';
const header = 'that names the client';

test.each<[string, string, string, Partial<Terms>]>([
  ['nothing', tcp, '', {}],
  [
    'a header',
    tcp,
    'proxy_protocol: v1,',
    { proxyHeader: `the backend hears a header of version 1 ${header} first` },
  ],
  [
    'with more in it',
    tcp,
    'proxy_protocol: { version: v2, tlvs: [ unique-id, checksum ] },',
    { proxyHeader: `the backend hears a header of version 2 (unique-id, checksum) ${header} first` },
  ],
  [
    'before a first datagram',
    udp,
    'proxy_protocol: v2,',
    {
      proxyHeader: `datagrams to the backend begin with a header of version 2 ${header}, until it has answered`,
    },
  ],
  [
    'in each',
    udp,
    'proxy_protocol: { version: v2, udp: every },',
    { proxyHeader: `each datagram to the backend begins with a header of version 2 ${header}` },
  ],
  [
    'bandwidth',
    `${tcp}, bandwidth: { per_flow: { up: 2MiB, down: 20MiB }, per_client: { down: 1500B }, total: { up: 1GiB } }`,
    '',
    {
      bandwidth: [
        {
          of: 'per_flow',
          up: 2 * 1024 ** 2,
          down: 20 * 1024 ** 2,
          why: '2MiB a second from clients, 20MiB a second to them; read no faster',
        },
        { of: 'per_client', up: 0, down: 1_500, why: '1500B a second to clients; read no faster' },
        { of: 'total', up: 1024 ** 3, down: 0, why: '1GiB a second from clients; read no faster' },
      ],
    },
  ],
  [
    'bandwidth of datagrams',
    `${udp}, bandwidth: { per_client: { up: 256KiB } }`,
    '',
    {
      bandwidth: [
        {
          of: 'per_client',
          up: 256 * 1024,
          down: 0,
          why: '256KiB a second from clients; datagrams above are dropped (rate)',
        },
      ],
    },
  ],
  [
    'a session that ends',
    `${udp}, session_ends_after: { replies: 1 }`,
    '',
    {
      ends: 'a conversation is over (expired) once 1 reply was sent for each datagram of its client, or after 1m of silence',
    },
  ],
  [
    'one that ends later',
    `${udp}, session_ends_after: { replies: 3 }, timeouts: { idle: 1500ms }`,
    '',
    {
      ends: 'a conversation is over (expired) once 3 replies were sent for each datagram of its client, or after 1s500ms of silence',
    },
  ],
  [
    'routes',
    `${tcp}, routes: [ { tls: {}, pool: p } ], timeouts: { identify: 500ms }`,
    '',
    {
      waits:
        'a client that has not said where it belongs is waited for 500ms; one that no route is for then goes to pool p',
    },
  ],
  ['routes that nothing is read for', `${tcp}, routes: [ { client: 10.0.0.0/8, pool: p } ]`, '', {}],
  [
    'a key that is waited for',
    `${tcp}, affinity: { key: { payload: { length: 8 } } }`,
    '',
    { waits: 'a client that says less than its key is waited for 3s, and then recognised by its address' },
  ],
  [
    'routes and such a key',
    `${tcp}, routes: [ { tls: {}, pool: p } ], timeouts: { identify: 500ms }, affinity: { key: { payload: { length: 8 } } }`,
    '',
    {
      waits:
        'a client that has not said where it belongs is waited for 3s; one that no route is for then goes to pool p',
    },
  ],
  ['a key of a datagram', `${udp}, affinity: { key: { payload: { length: 8 } } }`, '', {}],
])('%s', (_, listener, pool, terms) => {
  expect(termsWith(listener, pool)).toEqual(terms);
});

test('whom no route is for, where there is no pool for others', () => {
  const listenerOf = (bind: string, route: string): string =>
    `listeners: [ { name: l, bind: "${bind}", routes: [ { ${route}, pool: p } ] } ]
pools: { p: { backends: [ { name: a, address: "10.0.0.1:53" } ] } }
`;
  const waits = (text: string): string | undefined => {
    const result = parsePlan(text, 'f');
    if ('problems' in result) throw new Error(JSON.stringify(result.problems));
    return termsOf(result.plan.listeners[0]!, result.plan.pools[0]!).waits;
  };
  expect(waits(listenerOf('tcp://0.0.0.0:1', 'tls: {}'))).toMatch(
    / 3s; one that no route is for then is refused \(no-route\)$/,
  );
  expect(waits(listenerOf('udp://0.0.0.0:1', 'quic: {}'))).toBe(
    'a client whose QUIC hello is not whole is waited for 3s; one that no route is for is refused (no-route)',
  );
});

describe('the port of a backend', () => {
  const follows = (portShift: number): BackendAddress => ({
    kind: 'inet',
    ip: '10.0.1.1',
    port: 0,
    portShift,
  });
  const [one] = planWith('bind: "udp://0.0.0.0:7042"').listeners;
  const [range] = planWith('bind: "udp://0.0.0.0:7000-7099"').listeners;
  const [both] = planWith(
    'bind: [ "tcp://0.0.0.0:443", "tcp://[2001:db8::1]:443", "unix:/run/x.sock" ]',
  ).listeners;

  test.each([
    [{ kind: 'inet', ip: '10.0.1.1', port: 53 } as const, range!, undefined, '10.0.1.1:53'],
    [{ kind: 'unix', path: '/run/a' } as const, range!, 7000, 'unix:/run/a'],
    [follows(0), one!, undefined, '10.0.1.1:7042'],
    [follows(1_000), one!, undefined, '10.0.1.1:8042'],
    [follows(0), both!, undefined, '10.0.1.1:443'],
    [follows(0), range!, undefined, '10.0.1.1:same'],
    [follows(-1_000), range!, 7_007, '10.0.1.1:6007'],
    [{ ...follows(0), ip: '2001:db8::2' } as BackendAddress, range!, 7_099, '[2001:db8::2]:7099'],
    [{ kind: 'name', host: 'a.example', port: 0, portShift: 2 } as const, range!, 7_000, 'a.example:7002'],
    [follows(60_000), range!, 7_000, '10.0.1.1:+60000'],
  ])('%j', (address, listener, port, text) => {
    expect(addressFor(address, listener, port)).toBe(text);
  });

  test('one that the listener has not', () => {
    expect(() => mustHavePort(range!, 7_100)).toThrow(
      'listener front has no port 7100: it is at udp://0.0.0.0:7000-7099',
    );
    expect(() => mustHavePort(range!, 7_099)).not.toThrow();
    // A header says which one its client came to.
    const [behind] = planWith(`${tcp}, proxy_protocol: { from: 10.0.0.0/8 }`).listeners;
    expect(() => mustHavePort(behind!, 443)).not.toThrow();
  });
});
