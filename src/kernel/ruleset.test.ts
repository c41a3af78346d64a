import { expect, test } from 'vitest';
import { viewOf } from '../../test/support/kernel-view.ts';
import { presentOf } from './present.ts';
import { wantedOf } from './ruleset.ts';
import { TargetNumbers } from './target-numbers.ts';
import { removal, transaction } from './transaction.ts';

function config(listeners: string, backends: string, more = ''): string {
  return `listeners: [ ${listeners} ]\npools: { p: { table_size: 5, ${more} backends: [ ${backends} ] } }\n`;
}

const web = '{ name: web, bind: "tcp://10.9.0.100:8080", relay: kernel, pool: p }';
const two = '{ name: a, address: "10.9.1.1:80" }, { name: b, address: "10.9.1.2:80" }';

function textOf(text: string, given?: Parameters<typeof viewOf>[1]): string {
  return transaction(undefined, wantedOf(viewOf(text, given), new TargetNumbers()));
}

/** Lines without the table's name that have `what` in them. */
function linesOf(text: string, what: string): string[] {
  return text
    .replaceAll(' inet pinion_test', '')
    .split('\n')
    .filter((line) => line.includes(what) && !line.includes(' layout/'));
}

test('a listener: doors, rules in their order, buckets, targets, the way back', () => {
  const text = textOf(config(web, two));
  expect(linesOf(text, 'add rule clients/web/4 ')).toEqual([
    'add rule clients/web/4 ct timeout set "tcp/3600/60/2"',
    'add rule clients/web/4 ct mark set jhash ip saddr mod 5 seed 0x70696e69 offset 65536',
    'add rule clients/web/4 ct mark set ct mark map @buckets/p/5/4',
    'add rule clients/web/4 ct mark set ip saddr map @pins/p/4',
    'add rule clients/web/4 ct mark set ct mark | 0x17000000',
    'add rule clients/web/4 meta l4proto tcp dnat ip to ct mark map @targets/4',
    'add rule clients/web/4 counter name "refused/no-backend/web" meta l4proto tcp reject with tcp reset',
  ]);
  expect(linesOf(text, 'add element')).toEqual([
    'add element targets/4 { 385875969 : 10.9.1.1 . 80, 385875970 : 10.9.1.2 . 80 }',
    'add element buckets/p/5/4 { 65536 : 1, 65537 : 2, 65538 : 1, 65539 : 2, 65540 : 1 }',
    'add element strays/4 { 10.9.0.100 . 8080 }',
    'add element doors/4 { 10.9.0.100 . tcp . 8080 : goto clients/web/4 }',
    'add element servers/4 { 10.9.1.1 . tcp . 80 : goto servers/web/4, 10.9.1.2 . tcp . 80 : goto servers/web/4 }',
  ]);
  expect(linesOf(text, 'add rule servers/web/4 ')[2]).toBe(
    'add rule servers/web/4 meta l4proto tcp snat ip to 10.9.0.100:8080',
  );
  // No packet of an open connection is looked at.
  expect(linesOf(text, 'type filter')).toEqual([
    'add chain strays { type filter hook input priority 0; policy accept; }',
  ]);
});

test('a half-closed connection is remembered for no longer than an open one', () => {
  const timed = (timeouts: string): string[] =>
    linesOf(textOf(config(web.replace(' }', `, timeouts: { ${timeouts} } }`), two)), 'ct timeout set');
  expect(timed('idle: 20s, half_close: 60s')).toEqual([
    'add rule clients/web/4 ct timeout set "tcp/20/20/2"',
    'add rule servers/web/4 ct timeout set "tcp/20/20/2"',
  ]);
  expect(timed('idle: 20s, half_close: 5s')[0]).toContain('"tcp/20/5/2"');
});

test('a backend that leads back to more than one address of listeners is not answered for', () => {
  const other = '{ name: other, bind: "tcp://10.9.0.101:8080", relay: kernel, pool: p }';
  const text = textOf(config(`${web}, ${other}`, two));
  expect(linesOf(text, 'servers/4 {')[1]).toBe(
    'add element servers/4 { 10.9.1.1 . tcp . 80 : drop, 10.9.1.2 . tcp . 80 : drop }',
  );
  const many = '{ name: web, bind: ["tcp://10.9.0.100:8080-8081", "tcp://[::]:99"], relay: kernel, pool: p }';
  expect(linesOf(textOf(config(many, two)), 'servers/4 {')[1]).toContain('10.9.1.1 . tcp . 80 : drop');
  // One whose port is the client's leads back to it.
  const same = textOf(
    config(
      many.replace(', "tcp://[::]:99"', ''),
      '{ name: a, address: "10.9.1.1:same" }',
      'health: { type: none },',
    ),
  );
  expect(linesOf(same, 'servers/4 {')[1]).toBe(
    'add element servers/4 { 10.9.1.1 . tcp . 8080 : goto servers/web/4, 10.9.1.1 . tcp . 8081 : goto servers/web/4 }',
  );
  expect(linesOf(same, 'snat')).toEqual(['add rule servers/web/4 meta l4proto tcp snat ip to 10.9.0.100']);
  expect(linesOf(same, 'targets/same-port/4 {')).toEqual([
    'add map targets/same-port/4 { type mark : ipv4_addr; }',
    'add element targets/same-port/4 { 385875969 : 10.9.1.1 }',
  ]);
});

test('addresses of a listener that lead to ports of their own are told apart by the port', () => {
  const binds = '["tcp://10.9.0.100:8080", "tcp://10.9.0.101:9080", "tcp://0.0.0.0:99"]';
  const listener = `{ name: web, bind: ${binds}, relay: kernel, pool: p }`;
  const backend = '{ name: a, address: "10.9.1.1:same" }';
  const text = textOf(config(listener, backend, 'health: { type: none },'));
  expect(linesOf(text, 'servers/4 {')[1]).toBe(
    'add element servers/4 { 10.9.1.1 . tcp . 8080 : goto servers/web/4/1, ' +
      '10.9.1.1 . tcp . 9080 : goto servers/web/4/2, 10.9.1.1 . tcp . 99 : drop }',
  );
  expect(linesOf(text, 'snat')).toEqual([
    'add rule servers/web/4/1 meta l4proto tcp snat ip to 10.9.0.100:8080',
    'add rule servers/web/4/2 meta l4proto tcp snat ip to 10.9.0.101:9080',
  ]);
});

test('masquerade leaves from this machine, and has no way back without memory', () => {
  const text = textOf(config(web.replace('relay', 'source: masquerade, relay'), two));
  expect(linesOf(text, 'servers/')).toEqual([]);
  expect(linesOf(text, 'add rule leaving')[0]).toBe(
    'add rule leaving ct mark & 0xff000000 == 0x97000000 masquerade',
  );
  expect(linesOf(text, 'ct mark set ct mark |')).toEqual([
    'add rule clients/web/4 ct mark set ct mark | 0x97000000',
  ]);
});

test('listeners of a pool share buckets and pins, unless their clients are known by something else', () => {
  const other =
    '{ name: other, bind: "udp://10.9.0.101:8080", relay: kernel, pool: p, affinity: { key: client-subnet } }';
  const maps = (text: string): string[] =>
    linesOf(text, 'add map buckets/').map((line) => line.split(' ')[2]!);
  expect(maps(textOf(config(`${web}, ${other}`, two)))).toEqual(['buckets/p/web/5/4', 'buckets/p/other/5/4']);
  expect(maps(textOf(config(`${web}, ${other.replace('client-subnet', 'client-ip')}`, two)))).toEqual([
    'buckets/p/5/4',
  ]);
  const none = textOf(config(web.replace('relay', 'affinity: none, relay'), two));
  expect(linesOf(none, 'pins/')).toEqual([]);
});

test('a name that nft would not take is another one', () => {
  const text = textOf(config(web.replace('web', '"a:b[1]"'), two));
  expect(linesOf(text, 'add chain clients/')).toEqual([
    expect.stringMatching(/^add chain clients\/a_b_1_\/[0-9a-f]+\/4$/),
  ]);
});

test('only what differs is said, in an order that the kernel takes', () => {
  const numbers = new TargetNumbers();
  const before = wantedOf(viewOf(config(web, two)), numbers);
  expect(transaction(before, wantedOf(viewOf(config(web, two)), numbers))).toBe('');
  const down = wantedOf(viewOf(config(web, two), { down: [1] }), numbers);
  expect(linesOf(transaction(before, down), '')).toEqual([
    'delete element buckets/p/5/4 { 65536, 65538, 65540 }',
    'add element buckets/p/5/4 { 65536 : 2, 65538 : 2, 65540 : 2 }',
    '',
  ]);
  const moved = wantedOf(viewOf(config(web, two.replace('10.9.1.1:80', '10.9.1.9:80'))), numbers);
  expect(linesOf(transaction(before, moved), 'targets')).toEqual([
    'delete element targets/4 { 385875969 }',
    'add element targets/4 { 385875971 : 10.9.1.9 . 80 }',
  ]);
  const gone = transaction(
    before,
    wantedOf(
      viewOf(config('', two).replace('[  ]', '[ { name: u, bind: "tcp://127.0.0.1:1", pool: p } ]')),
      numbers,
    ),
  );
  const lines = linesOf(gone, '');
  const at = (line: string): number => lines.indexOf(line);
  expect(at('flush chain clients/web/4')).toBeLessThan(at('flush map doors/4'));
  expect(at('flush map doors/4')).toBeLessThan(at('delete chain clients/web/4'));
  expect(at('delete chain clients/web/4')).toBeLessThan(at('delete map buckets/p/5/4'));
  expect(at('flush chain clients/web/4')).toBeGreaterThanOrEqual(0);
  expect(removal('t')).toBe('add table inet t\ndelete table inet t\n');
});

test('the catalogue names all there is', () => {
  const view = viewOf(config(web, two));
  const ruleset = wantedOf(view, new TargetNumbers());
  const [line] = transaction(undefined, ruleset).match(/add element inet pinion_test layout.*/)!;
  const named = [...line!.matchAll(/comment "\w+ ([^"]+)"/g)].map(([, name]) => name);
  const { collections, counters, timeouts } = ruleset;
  const all = [...collections.keys(), ...counters, ...timeouts.keys()];
  expect(named.sort()).toEqual(all.filter((name) => name !== 'layout/1').sort());
});

test('a successor takes the numbers of the table it finds; whatever it cannot read is written anew', () => {
  const found = presentOf(
    {
      nftables: [
        { table: { family: 'inet', name: 'pinion_test' } },
        {
          set: {
            family: 'inet',
            name: 'layout/1',
            table: 'pinion_test',
            elem: [{ elem: { val: 7, comment: 'map pins/p/4' } }],
          },
        },
        {
          map: {
            family: 'inet',
            name: 'targets/4',
            table: 'pinion_test',
            map: 'ipv4_addr . inet_service',
            elem: [[385875971, { concat: ['10.9.1.1', 80] }]],
          },
        },
        {
          map: {
            family: 'inet',
            name: 'buckets/p/5/4',
            table: 'pinion_test',
            map: 'mark',
            size: 5,
            elem: [
              [65536, 3],
              [65540, 3],
            ],
          },
        },
        {
          map: {
            family: 'inet',
            name: 'doors/4',
            table: 'pinion_test',
            map: 'verdict',
            elem: [[{ concat: ['10.9.0.100', 'tcp', 8080] }, { goto: { target: 'clients/web/4' } }]],
          },
        },
        {
          map: {
            family: 'inet',
            name: 'pins/p/4',
            table: 'pinion_test',
            map: 'mark',
            elem: [['10.9.0.7', { strange: 1 }]],
          },
        },
        { chain: { family: 'inet', name: 'clients/web/4', table: 'pinion_test' } },
        { chain: { family: 'ip', name: 'foreign', table: 'pinion_test' } },
        { chain: { family: 'inet', name: 'foreign', table: 'other' } },
        null,
        'x',
        { set: 3 },
      ],
    },
    'pinion_test',
  );
  const numbers = new TargetNumbers(found);
  const text = transaction(found, wantedOf(viewOf(config(web, two)), numbers));
  expect(linesOf(text, 'buckets/p/5/4')).toEqual([
    'add element buckets/p/5/4 { 65537 : 1, 65538 : 3, 65539 : 1 }',
    'add rule clients/web/4 ct mark set ct mark map @buckets/p/5/4',
  ]);
  expect(linesOf(text, 'add element doors/4')).toEqual([]);
  expect(linesOf(text, 'flush')).toEqual(['flush map pins/p/4', 'flush chain clients/web/4']);
  expect(linesOf(text, 'foreign')).toEqual([]);
  for (const nothing of [undefined, null, {}, { nftables: [{ table: { family: 'inet', name: 'other' } }] }])
    expect(presentOf(nothing, 'pinion_test').collections.size).toBe(0);
});

test('a table of buckets of another size is another map: a map keeps the size it was made with', () => {
  const numbers = new TargetNumbers();
  const before = wantedOf(viewOf(config(web, two)), numbers);
  const larger = config(web, two).replace('table_size: 5', 'table_size: 7');
  const lines = linesOf(transaction(before, wantedOf(viewOf(larger), numbers)), 'buckets/');
  expect(lines.filter((line) => !line.startsWith('add element'))).toEqual([
    'add map buckets/p/7/4 { type mark : mark; size 7; }',
    'add rule clients/web/4 ct mark set ct mark map @buckets/p/7/4',
    'flush map buckets/p/5/4',
    'delete map buckets/p/5/4',
  ]);
});

test('a number that nobody has any more is given again, and never one that somebody has', () => {
  const numbers = new TargetNumbers();
  expect(['a', 'b', 'c', 'a'].map((text) => numbers.of(text))).toEqual([1, 2, 3, 1]);
  numbers.keep(new Set(['a', 'c']));
  expect(['d', 'c', 'e'].map((text) => numbers.of(text))).toEqual([2, 3, 4]);
});
