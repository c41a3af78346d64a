import { expect, test } from 'vitest';
import { Histograms } from '../core/histograms.ts';
import { seededRandom } from '../core/seeded-random.fixture.ts';
import { distributions, type Family, familyOf, single } from './family.ts';
import { Page } from './page.ts';

const pageOf = (families: readonly Family[]): string => new Page(families).bytes().toString();

test('numbers are lines with their labels, whatever a label holds', () => {
  const families: Family[] = [
    { name: 'a_total', help: 'All of it.', type: 'counter', labels: [], read: (add) => add(2 ** 53) },
    {
      name: 'b',
      help: 'A \\ and a\nbreak.',
      type: 'gauge',
      labels: ['x', 'y'],
      read: (add) => {
        add(0.25, 'plain', 'q"u\\o\nte');
        add(Number.NaN, '', 'é');
      },
    },
  ];
  expect(pageOf(families)).toBe(
    [
      '# HELP a_total All of it.',
      '# TYPE a_total counter',
      'a_total 9007199254740992',
      '# HELP b A \\\\ and a\\nbreak.',
      '# TYPE b gauge',
      'b{x="plain",y="q\\"u\\\\o\\nte"} 0.25',
      'b{x="",y="é"} NaN',
      '',
    ].join('\n'),
  );
});

test('a distribution is in seconds and its buckets add up; one without values is left out', () => {
  const histograms = new Histograms(Histograms.bufferOf(1), 0);
  for (const ms of [0.2, 3, 3, 99_999]) histograms.observe('connect', 5, ms);
  const family = distributions(() => [4, 5], 'pool', String)('c_seconds', 'How long.', (row) =>
    histograms.read('connect', row),
  );
  const lines = pageOf([family]).split('\n');
  expect(lines[1]).toBe('# TYPE c_seconds histogram');
  expect(lines).toContain('c_seconds_bucket{pool="5",le="0.00025"} 1');
  expect(lines).toContain('c_seconds_bucket{pool="5",le="0.0025"} 1');
  expect(lines).toContain('c_seconds_bucket{pool="5",le="0.005"} 3');
  expect(lines.slice(-4)).toEqual([
    'c_seconds_bucket{pool="5",le="+Inf"} 4',
    'c_seconds_sum{pool="5"} 100.0052',
    'c_seconds_count{pool="5"} 4',
    '',
  ]);
  expect(lines.join('\n')).not.toContain('pool="4"');
});

test('rows keep the text of their labels while they are the same, and other rows have their own', () => {
  let rows = [{ name: 'a', is: 1 }];
  const family = familyOf(() => rows, { row: ({ name }) => name })(
    'd',
    'gauge',
    'What it is.',
    ({ is }) => is,
  );
  expect(pageOf([family, family]).match(/^d.*$/gm)).toEqual(['d{row="a"} 1', 'd{row="a"} 1']);
  rows = [
    { name: 'b', is: 2 },
    { name: 'a', is: 3 },
  ];
  expect(pageOf([family]).match(/^d.*$/gm)).toEqual(['d{row="b"} 2', 'd{row="a"} 3']);
  const read: unknown[] = [];
  family.read((...line) => read.push(line));
  expect(read).toEqual([
    [2, 'b'],
    [3, 'a'],
  ]);
});

const labelOf = (name: string): string => name.replace('"', '\\"');

test('a page that is made again and again is that of one who makes it for the first time, whatever has changed', () => {
  const chance = seededRandom(4_711);
  let rows: { readonly name: string; is: number; has: number }[] = [];
  const family = familyOf(() => rows, { row: ({ name }) => name });
  const families = [
    family('up', 'gauge', 'Changes seldom.', ({ is }) => is),
    single('rows', 'gauge', 'How many there are.', () => rows.length),
    family('flows_total', 'counter', 'Grows.', ({ has }) => has),
    family('never', 'gauge', 'Is no number.', () => Number.NaN),
    familyOf(() => rows, { row: ({ name }) => name }, { name: 'way', words: ['in', 'out'] })(
      'bytes_total',
      'counter',
      'Two for each.',
      ({ is, has }, way) => (way === 'in' ? is : has),
    ),
  ];
  const page = new Page(families);
  const given: { readonly bytes: Buffer; readonly text: string }[] = [];
  for (let turn = 0; turn < 300; turn++) {
    const what = chance();
    if (what < 0.1) rows = [...rows, { name: `n${turn}"é`, is: 0, has: 0 }];
    else if (what < 0.15) rows = rows.slice(1);
    else if (what < 0.2) rows = rows.toReversed();
    else if (what < 0.4) rows = rows.map((row) => ({ ...row }));
    else if (what < 0.6) rows = rows.map((row) => ({ ...row, has: row.has + Math.floor(chance() * 10) }));
    else if (what < 0.8 && rows.length > 0) rows[Math.floor(chance() * rows.length)]!.is = turn;
    const bytes = page.bytes('behind\n');
    given.push({ bytes, text: `${pageOf(families)}behind\n` });
    expect(bytes.toString()).toBe(given.at(-1)!.text);
  }
  expect(rows.length).toBeGreaterThan(5);
  expect(given.at(-1)!.text).toContain(
    `bytes_total{row="${labelOf(rows[1]!.name)}",way="out"} ${rows[1]!.has}\n`,
  );
  // Whoever still takes one that was made before has it as it was.
  for (const { bytes, text } of given) expect(bytes.toString()).toBe(text);
});
