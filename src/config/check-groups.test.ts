import { expect, test } from 'vitest';
import { parsePlan } from './load.ts';

interface Written {
  readonly pool: string;
  readonly affinity: string;
  readonly routes?: string;
  readonly bind?: string;
}

function told(listeners: readonly Written[], pools: Readonly<Record<string, string>>): string[] {
  const text = [
    'listeners:',
    ...listeners.map(
      ({ pool, affinity, routes, bind }, i) =>
        `  - { name: l${i}, bind: ${bind ?? `tcp://127.0.0.1:${7000 + i}`}, pool: ${pool}, affinity: ${affinity}${routes === undefined ? '' : `, routes: ${routes}`} }`,
    ),
    'pools:',
    ...Object.entries(pools).map(([name, backends]) => `  ${name}: { backends: [${backendsOf(backends)}] }`),
  ].join('\n');
  const result = parsePlan(text, 'pinion.yaml');
  const problems = 'problems' in result ? result.problems : [];
  return [...problems, ...result.warnings].map(({ path, message }) => `${path}: ${message}`);
}

function backendsOf(names: string): string {
  return [...names].map((name, i) => `{ name: ${name}, address: '10.0.0.${i + 1}:80' }`).join(', ');
}

const world = '{ group: world }';

test('a group whose pools share names is fine, with listeners as many as there are', () => {
  expect(
    told(
      [
        { pool: 'login', affinity: world },
        { pool: 'game', affinity: world },
      ],
      { login: 'ab', game: 'bc' },
    ),
  ).toEqual([]);
  expect(
    told(
      [
        { pool: 'p', affinity: world },
        { pool: 'p', affinity: world },
      ],
      { p: 'a' },
    ),
  ).toEqual([]);
  const three = ['p', 'q', 'r'].map((pool) => ({ pool, affinity: world }));
  expect(told(three, { p: 'ab', q: 'bc', r: 'cd' })).toEqual([]);
});

test('a pool without a name of the others is warned of', () => {
  const two = ['login', 'game'].map((pool) => ({ pool, affinity: world }));
  const why = 'no other pool of the group has a backend of a name that pool';
  expect(told(two, { login: 'ab', game: 'cd' })).toEqual([
    expect.stringContaining(`listeners[0].affinity.group: ${why} login has`),
    expect.stringContaining(`listeners[1].affinity.group: ${why} game has`),
  ]);
});

test('a pool that is led to by a group and by others is refused: its pins are in one place', () => {
  const pools = { p: 'a', q: 'a' };
  const mixed = [
    { pool: 'p', affinity: world },
    { pool: 'q', affinity: world },
    { pool: 'p', affinity: '{ ttl: 1h }' },
  ];
  expect(told(mixed, pools)).toEqual([
    expect.stringMatching(/^listeners\[2\]: pool p keeps its pins in one place, .* is in group world/),
  ]);
  const other = [
    { pool: 'p', affinity: '{ ttl: 1h }' },
    { pool: 'p', affinity: world },
  ];
  expect(told(other, { p: 'a' })).toEqual([
    expect.stringMatching(/^listeners\[1\]\.affinity\.group: pool p .* is in no group/),
  ]);
  // One that keeps no pins has none to keep anywhere.
  expect(
    told(
      [
        { pool: 'p', affinity: world },
        { pool: 'p', affinity: 'none' },
      ],
      { p: 'a' },
    ),
  ).toEqual([]);
});

test('listeners of a group that recognise clients by different things are warned of', () => {
  const two = [
    { pool: 'p', affinity: world },
    { pool: 'q', affinity: '{ group: world, key: { payload: { length: 4 } } }' },
  ];
  expect(told(two, { p: 'a', q: 'a' })).toEqual([
    expect.stringMatching(
      /^listeners\[1\]\.affinity\.group: recognises clients by payload, and another listener of the group by client-ip/,
    ),
  ]);
});

test('what nobody reads of a client is no key', () => {
  expect(told([{ pool: 'p', affinity: '{ key: { tlv: 2 } }' }], { p: 'a' })).toEqual([
    'listeners[0].affinity.key: no client has one: nobody says so without proxy_protocol',
  ]);
  const byName = { pool: 'p', affinity: '{ key: server-name }' };
  const nobody = [
    'listeners[0].affinity.key: nothing on this listener reads it: all its clients are recognised by client-ip',
  ];
  expect(told([byName], { p: 'a' })).toEqual(nobody);
  expect(told([{ ...byName, routes: '[ { client: 192.0.2.0/24, pool: p } ]' }], { p: 'a' })).toEqual(nobody);
  expect(told([{ ...byName, routes: '[ { tls: {}, pool: p } ]' }], { p: 'a' })).toEqual([]);
});

test('QUIC is spoken over UDP: elsewhere nobody has a connection id', () => {
  const byId = { pool: 'p', affinity: '{ key: quic-id }' };
  expect(told([{ ...byId, bind: 'udp://127.0.0.1:7000' }], { p: 'a' })).toEqual([]);
  expect(told([byId], { p: 'a' })).toEqual([
    'listeners[0].affinity.key: QUIC is spoken over UDP: all clients are recognised by client-ip here',
  ]);
});

test.each([
  ['{ key: { payload: { length: 8 } } }', { payload: { offset: 0, length: 8 } }],
  ['{ key: { payload: { offset: 1, length: 8 } } }', { payload: { offset: 1, length: 8 } }],
  ['{ key: { tlv: 0xE0 } }', { tlv: 0xe0 }],
  ['{ key: server-name }', 'server-name'],
  ['{ key: quic-id }', 'quic-id'],
])('%s is a key', (affinity, key) => {
  const result = parsePlan(
    `listeners: [{ name: l, bind: tcp://127.0.0.1:7000, pool: p, affinity: ${affinity} }]\npools: { p: { backends: [{ name: a, address: '10.0.0.1:80' }] } }`,
    'pinion.yaml',
  );
  expect('plan' in result && result.plan.listeners[0]!.affinity.key).toEqual(key);
});

test.each([
  ['{ key: { payload: { offset: 0 } } }', 'listeners[0].affinity.key.payload.length: is missing'],
  [
    '{ key: { payload: { length: 0 } } }',
    'listeners[0].affinity.key.payload.length: must be a whole number from 1 to 1024, not 0',
  ],
  [
    '{ key: { payload: { offset: 99999, length: 1 } } }',
    'listeners[0].affinity.key.payload.offset: must be a whole number from 0 to 15360, not 99999',
  ],
  ['{ key: { tlv: 256 } }', 'listeners[0].affinity.key.tlv: must be a whole number from 0 to 255, not 256'],
  ['{ key: name }', 'listeners[0].affinity.key: must be one of client-ip,'],
  ['{ key: [server-name] }', 'listeners[0].affinity.key: must be one of client-ip,'],
  ['{ group: "@world" }', 'listeners[0].affinity.group: must be a name'],
])('%s is refused', (affinity, why) => {
  const [first, ...others] = told([{ pool: 'p', affinity }], { p: 'a' });
  expect(first).toContain(why);
  expect(others).toEqual([]);
});
