import { expect, test } from 'vitest';
import { replaceBetweenMarkers } from './documents.ts';
import { addressAfter } from './load/libc.ts';
import type { PeerSamples, WorkResult } from './rounds.ts';
import { figure, median } from './summary.ts';
import { markdownTable } from './table.ts';
import type { Measure, Peer, Sample, Work } from './work.ts';

const cost: Measure = { key: 'cost', title: 'µs/unit', better: 'lower', decimals: 1 };
const rate: Measure = { key: 'rate', title: 'units/s', better: 'higher', decimals: 0 };
const never = (): Promise<never> => Promise.reject(new Error('not started in this test'));
const work: Work = {
  name: 'w',
  title: 'a work',
  transport: 'tcp',
  flowsMax: 1,
  measures: [rate, cost],
  startBackend: never,
  run: never,
};

function peer(name: string, role: Peer['role'], samples: Sample[], failure?: string): PeerSamples {
  const made: Peer = { name, title: name, role, transports: ['tcp'], start: never };
  return { peer: made, samples, ...(failure === undefined ? {} : { failure }) };
}

// The machine became twice as slow between the rounds: values of different rounds do not compare.
const direct = peer('direct', 'direct', [{ rate: 9000 }, { rate: 4500 }, { rate: 4500 }]);
const one = peer(
  'one',
  'rival',
  [10, 20, 20].map((us) => ({ cost: us, rate: 1000 / us })),
);
const two = peer(
  'two',
  'rival',
  [8, 25, 25].map((us) => ({ cost: us, rate: 1000 / us })),
);
const pinion = peer(
  'pinion',
  'pinion',
  [16, 30, 30].map((us) => ({ cost: us, rate: 1000 / us })),
);
const result: WorkResult = { work, peers: [direct, one, two, pinion] };

test('median of odd, even and no values', () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(median([])).toBeUndefined();
});

test("the ratio is to the better rival of each round, in the measure's own sense", () => {
  // Rounds: 16/8, 30/20, 30/20.
  expect(figure(result, pinion, cost)).toEqual({ median: 30, ratio: 1.5 });
  expect(figure(result, pinion, rate)?.ratio).toBeCloseTo(1 / 1.5);
  expect(figure(result, one, cost)).toEqual({ median: 20, ratio: undefined });
  expect(figure(result, direct, cost)).toBeUndefined();
});

test('without a rival there is no ratio', () => {
  expect(figure({ work, peers: [pinion] }, pinion, cost)).toEqual({ median: 30, ratio: undefined });
});

test('the table shows what is missing and why', () => {
  const broken = peer('broken', 'rival', [], 'start: it said\n  no');
  const text = markdownTable(
    [{ work, peers: [...result.peers, broken] }],
    [direct.peer, pinion.peer, broken.peer],
  );
  expect(text).toContain('| µs/unit | – | 30.0 (1.50×) | – |');
  expect(text).toContain('- w: broken left out (start: it said no)');
});

test('only what stands between the markers is replaced', () => {
  const page = 'a\n<!-- bench:begin -->\nold\n<!-- bench:end -->\nz\n';
  expect(replaceBetweenMarkers(page, 'new')).toBe('a\n<!-- bench:begin -->\nnew\n<!-- bench:end -->\nz\n');
  expect(() => replaceBetweenMarkers('no markers', 'new')).toThrow(/bench:begin/);
  const both = `${page}${page.replaceAll('bench:', 'bench-kernel:')}`;
  expect(replaceBetweenMarkers(both, 'new', 'bench-kernel')).toBe(
    `${page}${page.replaceAll('bench:', 'bench-kernel:').replace('old', 'new')}`,
  );
});

test('clients have addresses in a row', () => {
  expect([0, 1, 249].map((i) => addressAfter('10.91.1.1', i))).toEqual([
    '10.91.1.1',
    '10.91.1.2',
    '10.91.1.250',
  ]);
  expect(addressAfter('10.91.1.255', 2)).toBe('10.91.2.1');
});
