/**
 * Configuration files that somebody wrote to hurt, or that are as large as may be: kinds of text by name. Each is at most
 * 4 MiB. Those of `good` are plans.
 */
import { configFileBytesMax } from '../../src/core/limits.ts';

const bytesMax = configFileBytesMax - 1_000;
const many = (text: string, count = Math.floor(bytesMax / text.length)): string => text.repeat(count);
const each = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join('');
const ip = (i: number): string => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;

const backend = '{ name: a, address: "10.0.0.1:80" }';
const tail = `listeners: [{ name: l, bind: "tcp://127.0.0.1:1", pool: p }]\npools: { p: { backends: [${backend}] } }\n`;
const listeners = (count: number, poolOf: (i: number) => string, more = ''): string =>
  `listeners:\n${each(count, (i) => `  - { name: l${i}, bind: "tcp://127.0.0.1:${i + 1}", pool: ${poolOf(i)}${more} }\n`)}`;
const backends = (count: number, address: (i: number) => string): string =>
  each(count, (i) => `      - { name: b${i}, address: "${address(i)}" }\n`);
const pool = (name: string, lines: string): string => `  ${name}:\n    backends:\n${lines}`;
const longName = (i: number, letter: string): string =>
  `${letter}${i.toString(36)}${'x'.repeat(64)}`.slice(0, 64);

const everyKey = `
    affinity: { key: client-subnet, ttl: 30m, prefix_v4: 24, prefix_v6: 56, claim: async, claim_timeout: 50ms }
    timeouts: { connect: 3s, idle: 5m, half_close: 30s }
    limits: { flows: 10, flows_per_client: 5, new_flows_per_client: 7, new_flows: 8 }
    tcp: { backlog: 511, keepalive: 60s, keepalive_interval: 10s, user_timeout: 30s, receive_buffer: 64KiB }`;

export const good: Readonly<Record<string, () => string>> = {
  'comments before it': () => many('# c\n') + tail,
  'blank lines before it': () => many('\n') + tail,
  'spaces behind it': () => tail + many(' '),
  '16,000 backends in four pools, 1,000 listeners': () =>
    `${listeners(1_000, (i) => `p${i % 4}`)}pools:\n${each(4, (p) =>
      pool(
        `p${p}`,
        backends(4_000, (i) => `${ip(p * 4_000 + i)}:80`),
      ),
    )}`,
  'as many listeners, pools and backends as there may be, with every key': () =>
    `listeners:\n${each(1_024, (i) => `  - name: l${i}\n    bind: tcp://127.0.0.1:${i + 1}\n    pool: p${i}${everyKey}\n`)}pools:\n${each(
      4_096,
      (p) =>
        `  p${p}:\n    policy: least-connections\n    health: { type: tcp, interval: 2s, fall: 3, rise: 2, port: 8080 }\n    on_down: { grace: 30s }\n    backends:\n${each(4, (i) => `      - { name: b${i}, address: "${ip(p * 4 + i)}:80", weight: 100, max_connections: 1000 }\n`)}`,
    )}`,
  'a chain of a thousand listeners': () =>
    `${listeners(1_000, (i) => `p${i}`)}pools:\n${each(1_000, (i) =>
      pool(
        `p${i}`,
        backends(1, () => `127.0.0.1:${i + 2}`),
      ),
    )}`,
};

export const bad: Readonly<Record<string, () => string | Uint8Array>> = {
  'lists in lists': () => many('['),
  'maps in maps': () => many('{a: '),
  'lists on one line': () => many('- '),
  anchors: () => many('&a '),
  tags: () => many('!!str '),
  quotes: () => many('"'),
  'quotes that are not closed in their line': () => many('a: "\n'),
  'quotes that are not closed': () => `a: "${many('\\x41')}`,
  'aliases in a list': () => `a: &a 1\nb: [${many('*a,')}]`,
  'aliases to nothing': () => `[${many('*a,')}]`,
  'an alias in what it stands for': () => `&a [${many('*a,')}]`,
  'aliases that multiply': () =>
    `a0: &a0 [x,x]\n${each(50, (i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]\n`)}`,
  'an anchor for every item': () => each(150_000, (i) => `- &a${i} 1\n- *a${i}\n`),
  documents: () => many('---\n'),
  directives: () => many('%YAML 1.2\n'),
  'a directive that makes every tag long': () =>
    `%TAG !a! ${'x'.repeat(2e6)}\n---\n${many('- !a!b c\n', 200_000)}`,
  'one long key': () => `${many('a')}: 1`,
  'one long value': () => `engine: ${many('a')}`,
  'one value over many lines': () => `engine: ${many('a\n ')}`,
  'one block of text': () => `a: |\n${many(' x\n')}`,
  'many blocks of text': () => many('- |\n x\n'),
  'blank lines, then comments': () =>
    `listeners:\n  - { a: 1 }\n${'\n'.repeat(2e6)}${many('    #\n', 350_000)}`,
  'lines that end in a carriage return': () => many('a: b\r'),
  'NUL bytes': () => many('a\0'),
  'byte order marks': () => many('\ufeff', 1_300_000),
  'bytes that are no UTF-8': () => Buffer.alloc(bytesMax, 0xc3),
  'a wide text': () => `engine: "${many('漢', 1_300_000)}"`,
  'wide keys': () => each(150_000, (i) => `"😀${i}": 1\n`),
  'many keys': () => each(120_000, (i) => `enginf${i}: 1\n`),
  'many keys in each of many maps': () =>
    `listeners:\n${each(500, () => `  - { ${each(300, (i) => `u${i}: 1, `)} }\n`)}`,
  'one key again and again': () => many('engine: 1\n', 240_000),
  'one pair again and again': () => `[${many('a: 1,')}]`,
  'long numbers': () => each(10_000, () => `- ${'9'.repeat(399)}\n`),
  'pools that are not there, with names like those that are': () =>
    `${listeners(1_000, (i) => longName(i, 'q'))}pools:\n${each(4_000, (i) => `  ${longName(i, 'p')}: { backends: [${backend}] }\n`)}`,
  'many listeners on one address': () =>
    `listeners:\n${each(20_000, (i) => `  - { name: l${i}, bind: "tcp://127.0.0.1:1", pool: p }\n`)}${tail.slice(tail.indexOf('pools'))}`,
  'many pools': () =>
    `${listeners(1, () => 'p')}pools:\n${each(8_000, (i) => `  p${i}: { backends: [{ name: a, address: x, weight: -1, wieght: 3 }] }\n`)}`,
  'many backends': () =>
    `${listeners(1, () => 'p')}pools:\n${pool(
      'p',
      backends(60_000, (i) => `${ip(i)}:1`),
    )}`,
  'one backend again and again': () =>
    `x: &b { name: a, address: "1.1.1.1:x" }\n${listeners(1, () => 'p')}pools: { p: { backends: [${many('*b,', 90_000)}] } }`,
  'many sources': () =>
    `pools: { p: { source: [${each(60_000, (i) => `${ip(i)},`)}], backends: [${backend}] } }`,
  'all of it wrong': () =>
    `${listeners(1_000, () => '""', ', affinity: { key: x, ttl: 5 }, timeouts: { idle: -1 }, tcp: { backlog: x }')}pools:\n${pool(
      'p',
      each(4_096, () => '      - { name: "-", address: "1", weight: x, foo: 1 }\n'),
    )}`,
  'a thousand listeners whose pool is themselves': () =>
    `${listeners(1_000, () => 'p')}pools:\n${pool(
      'p',
      backends(4_000, (i) => `localhost:${1 + (i % 1_000)}`),
    )}`,
  'a thousand listeners that lead to each other': () =>
    `${listeners(1_000, (i) => `p${i}`)}pools:\n${each(1_000, (p) =>
      pool(
        `p${p}`,
        backends(16, (i) => `127.0.0.1:${1 + ((p * 7 + i * 131) % 1_000)}`),
      ),
    )}`,
  'a long duration': () => `shutdown: { drain: ${many('1h', 30_000)} }`,
  'a long address': () => `listeners: [{ name: l, bind: "tcp://[${many('0:', 30_000)}]:1", pool: p }]`,
  'a long address of Redis': () =>
    `cluster: { name: c, redis: "redis://${many('a:', 15_000)}${many('@', 15_000)}" }`,
};
