import { expect, test } from 'vitest';
import { parsePlan } from './load.ts';

function outcomeOf(listener: string, pool: string, protocol = 'tcp'): unknown {
  const text = `listeners: [ { name: l, bind: "${protocol}://127.0.0.1:0", pool: p${listener} } ]\npools: { p: { backends: [ { name: a, address: "127.0.0.1:1" } ]${pool} } }\n`;
  const result = parsePlan(text, 'f');
  const problems = 'problems' in result ? result.problems : [];
  const said = [...problems, ...result.warnings].map(({ path, message }) => `${path}: ${message}`);
  if (said.length > 0) return said;
  const { plan } = result as Extract<typeof result, { plan: unknown }>;
  const [front] = plan.listeners;
  const [{ proxyProtocol, health }] = plan.pools as [(typeof plan.pools)[0]];
  const over = health.proxyOver === undefined ? [] : [health.proxyOver];
  return [front?.proxyProtocol, proxyProtocol, health.proxyVersion, ...over];
}

test.each([
  ['', '', [undefined, undefined, undefined]],
  [
    ', proxy_protocol: { from: 10.0.0.0/8 }',
    '',
    [{ from: ['10.0.0.0/8'], timeoutMs: 3_000, udp: 'first' }, undefined, undefined],
  ],
  [
    ', proxy_protocol: { from: [ "::1", unix, 1.2.3.4 ], timeout: 500ms }',
    ', proxy_protocol: v1',
    [
      { from: ['::1', 'unix', '1.2.3.4'], timeoutMs: 500, udp: 'first' },
      { version: 1, tlvs: [], udp: 'first' },
      1,
    ],
  ],
  ['', ', proxy_protocol: v2', [undefined, { version: 2, tlvs: [], udp: 'first' }, 2]],
  [
    '',
    ', proxy_protocol: { tlvs: [ unique-id ] }',
    [undefined, { version: 2, tlvs: ['unique-id'], udp: 'first' }, 2],
  ],
  [
    ', proxy_protocol: { from: unix }',
    '',
    ['listeners[0].proxy_protocol.from: no PROXY header is read: nobody comes by a unix socket'],
  ],
  [', proxy_protocol: {}', '', ['listeners[0].proxy_protocol.from: is missing']],
  [
    ', proxy_protocol: { from: 10.0.0.1:80 }',
    '',
    [
      'listeners[0].proxy_protocol.from: must be addresses or networks, such as 10.0.0.0/8, not "10.0.0.1:80"',
    ],
  ],
  [', proxy_protocol: { from: 10.0.0.0/33 }', '', [expect.stringMatching(/must be addresses or networks/)]],
  ['', ', proxy_protocol: v3', [expect.stringMatching(/proxy_protocol: must be v1, v2, or a map/)]],
  ['', ', proxy_protocol: { tlvs: [ alpn ] }', [expect.stringMatching(/must be a list of authority, /)]],
  [
    '',
    ', proxy_protocol: { version: v1, tlvs: [ checksum ] }',
    ['pools.p.proxy_protocol.tlvs: has no effect unless version is v2'],
  ],
])('%s %s', (listener, pool, expected) => {
  expect(outcomeOf(listener, pool)).toEqual(expected);
});

test.each([
  [
    ', proxy_protocol: { from: 10.0.0.0/8, udp: every }',
    ', proxy_protocol: v2',
    [
      { from: ['10.0.0.0/8'], timeoutMs: 3_000, udp: 'every' },
      { version: 2, tlvs: [], udp: 'first' },
      2,
      ['udp'],
    ],
  ],
  ['', ', proxy_protocol: { udp: every }', [undefined, { version: 2, tlvs: [], udp: 'every' }, 2, ['udp']]],
  [
    ', proxy_protocol: { from: 10.0.0.0/8, timeout: 1s }',
    '',
    ['listeners[0].proxy_protocol.timeout: has no effect on a UDP listener'],
  ],
  [
    '',
    ', proxy_protocol: v1',
    [expect.stringMatching(/^pools.p.proxy_protocol: v1 has no word for UDP: write v2/)],
  ],
])('UDP: %s %s', (listener, pool, expected) => {
  expect(outcomeOf(listener, pool, 'udp')).toEqual(expected);
});

test('where UDP has no part, its key has no effect', () => {
  expect(outcomeOf(', proxy_protocol: { from: 10.0.0.0/8, udp: every }', '')).toEqual([
    'listeners[0].proxy_protocol.udp: has no effect on a TCP listener',
  ]);
  expect(outcomeOf('', ', proxy_protocol: { udp: every }')).toEqual([
    'pools.p.proxy_protocol.udp: has no effect: no listener of this pool is UDP',
  ]);
});

test('a unix socket whose peers are named by addresses reads no header, and says so', () => {
  const from = (peers: string) => {
    const text = `listeners: [ { name: l, bind: "unix:/run/l", pool: p, proxy_protocol: { from: ${peers} } } ]\npools: { p: { backends: [ { name: a, address: "127.0.0.1:1" } ] } }\n`;
    return parsePlan(text, 'f').warnings.map(({ message }) => message);
  };
  expect(from('[ unix, 10.0.0.0/8 ]')).toEqual([]);
  expect(from('10.0.0.0/8')).toEqual([
    'no PROXY header is read: whoever comes by a unix socket has no address: write unix',
  ]);
});
