import { expect, test } from 'vitest';
import { parsePlan } from './load.ts';

function told(listener: string, pool = '', backends = '{ name: a, address: "10.0.0.1:80" }'): string[] {
  const result = parsePlan(
    `listeners:
  - { name: l, bind: "tcp://192.0.2.1:80", relay: kernel, pool: p, ${listener} }
pools:
  p: { ${pool} backends: [ ${backends} ] }
`,
    'f',
  );
  const problems = 'problems' in result ? result.problems : [];
  return [
    ...problems.map(({ path, message }) => `${path}: ${message}`),
    ...result.warnings.map(({ path, message }) => `(${path}: ${message})`),
  ];
}

test('what the kernel can carry is good', () => {
  expect(told('')).toEqual([]);
  expect(
    told(
      'source: masquerade, affinity: { key: client-subnet }, deny: [192.0.2.0/24], refuse: silence, timeouts: { idle: 5m }, limits: { flows_per_client: 5, new_flows_per_client: 5, new_flows: 5, per_subnet: { flows: 5 } }',
      'policy: rendezvous, tries: 1, max_connection_age: 1h, close_over: 5s, on_down: keep, slow_start: 5s, panic_below: 30%,',
    ),
  ).toEqual([]);
});

test.each([
  ['routes: [ { client: 10.0.0.0/8, pool: p } ]', 'listeners[0].routes', 'reads nothing that clients say'],
  ['proxy_protocol: { from: [10.0.0.1] }', 'listeners[0].proxy_protocol', 'reads no PROXY header'],
  ['bandwidth: { per_flow: { up: 1MiB } }', 'listeners[0].bandwidth', 'as fast as they come'],
  ['bind_device: eth0', 'listeners[0].bind_device', 'by their address'],
  ['refuse: close', 'listeners[0].refuse', 'use reset or silence'],
  ['limits: { flows: 5 }', 'listeners[0].limits.flows', 'use flows_per_client'],
  ['limits: { reserve: 5 }', 'listeners[0].limits.reserve', 'one table'],
  ['affinity: { key: flow }', 'listeners[0].affinity.key', 'use client-ip or client-subnet'],
  [
    'affinity: { key: { payload: { length: 4 } } }',
    'listeners[0].affinity.key',
    'use client-ip or client-subnet',
  ],
  ['affinity: { claim: before-dial }', 'listeners[0].affinity.claim', 'does not wait'],
])('%s is refused', (listener, path, why) => {
  expect(told(listener)[0]).toMatch(
    new RegExp(`^${path.replace(/[[\]]/g, '\\$&')}: cannot be had with relay: kernel: .*${why}`),
  );
});

test.each([
  ['policy: least-connections,', 'policy', 'use maglev, rendezvous, ring'],
  ['bound: 1.2,', 'bound', 'loads'],
  ['proxy_protocol: v2,', 'proxy_protocol', 'adds no bytes'],
  ['source: 10.0.0.9,', 'source', 'source: masquerade'],
  ['mark: 7,', 'mark', 'route'],
  ['device: eth1,', 'device', 'route'],
  ['tries: 2,', 'tries', 'one backend'],
  ['retry_on: dial,', 'retry_on', 'keeps nothing'],
])('pool: %s is refused', (pool, key, why) => {
  expect(told('', pool)[0]).toMatch(
    new RegExp(
      `^pools\\.p\\.${key}: cannot be had with relay: kernel \\(listeners\\[0\\]\\.relay \\(line 2\\)\\): .*${why}`,
    ),
  );
});

test('backends: no unix socket, no count of connections, no other family, no ports beside those of a range', () => {
  const where = 'relay: kernel \\(listeners\\[0\\]\\.relay \\(line 2\\)\\)';
  expect(told('', '', '{ name: a, address: "unix:/a" }')[0]).toMatch(/cannot go to a unix socket/);
  expect(told('', '', '{ name: a, address: "10.0.0.1:80", max_connections: 5 }')).toEqual([
    expect.stringMatching(new RegExp(`max_connections: cannot be had with ${where}`)),
  ]);
  expect(told('', '', '{ name: a, address: "[2001:db8::1]:80" }')).toEqual([
    'listeners[0].bind: relay: kernel does not translate between IPv4 and IPv6, and no backend of pool p has an IPv4 address',
  ]);
  // A name may have one.
  expect(told('', '', '{ name: a, address: "db.example.org:80" }')).toEqual([]);
  const range = (address: string): string[] =>
    told('', 'health: { type: none },', `{ name: a, address: "${address}" }`).map((line) =>
      line.slice(0, 70),
    );
  expect(range('10.0.0.1:+1000')).toEqual([]);
});

test('an address that is any, none, or not known yet', () => {
  const bound = (bind: string): string[] => {
    const result = parsePlan(
      `listeners: [ { name: l, bind: "${bind}", relay: kernel, pool: p } ]
pools: { p: { health: { type: none }, backends: [ { name: a, address: "10.0.0.1:+5" }, { name: b, address: "[::9]:+5" } ] } }
`,
      'f',
    );
    return [...('problems' in result ? result.problems : []), ...result.warnings].map(
      ({ message }) => message,
    );
  };
  expect(bound('tcp://0.0.0.0:80')).toEqual([expect.stringContaining('bind the one that clients use')]);
  expect(bound('tcp://192.0.2.1:0')).toContain('relay: kernel needs a port that is known: it binds none');
  expect(bound('unix:/run/l.sock')).toContain('relay: kernel carries packets, and a unix socket has none');
  expect(bound('udp://192.0.2.1:7000-7009')[0]).toMatch(/write :same or a port/);
});

test('without the kernel it is no matter, and source has no effect', () => {
  const result = parsePlan(
    'listeners: [ { name: l, bind: "tcp://192.0.2.1:80", source: masquerade, pool: p } ]\npools: { p: { tries: 2, backends: [ { name: a, address: "10.0.0.1:80" } ] } }\n',
    'f',
  );
  expect('problems' in result ? result.problems : []).toEqual([]);
  expect(result.warnings.map(({ message }) => message)).toEqual(['has no effect unless relay is kernel']);
});

test('a backend at a loopback address is warned of: packets from elsewhere do not come there', () => {
  expect(told('', '', '{ name: a, address: "127.0.0.1:80" }')).toEqual([
    expect.stringMatching(/^\(pools\.p\.backends\[0\]\.address: .*do not come to a loopback address/),
  ]);
});
