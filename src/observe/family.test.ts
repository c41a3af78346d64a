import { expect, test } from 'vitest';
import { Histograms } from '../core/histograms.ts';
import { distributions, type Family, familyOf, pageOf } from './family.ts';

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
  expect(lines.slice(-3)).toEqual([
    'c_seconds_bucket{pool="5",le="+Inf"} 4',
    'c_seconds_sum{pool="5"} 100.0052',
    'c_seconds_count{pool="5"} 4',
  ]);
  expect(lines.join('\n')).not.toContain('pool="4"');
});

test('rows keep the text of their labels while they are the same, and other rows have their own', () => {
  let rows = [{ name: 'a', is: 1 }];
  const family = familyOf(
    () => rows,
    ['row'],
    ({ name }) => [name],
  )('d', 'gauge', 'What it is.', ({ is }) => is);
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
