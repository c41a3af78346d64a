import { expect, test } from 'vitest';
import { Histograms } from './histograms.ts';

test('a value is counted in the bucket of the first bound it does not exceed, and in all after it', () => {
  const one = new Histograms(Histograms.bufferOf(1), 0);
  const connect = one.read('connect', 3).buckets.map(({ boundMs }) => boundMs);
  expect(connect).toEqual([...connect].sort((a, b) => a - b));
  expect(connect.length).toBeGreaterThan(5);
  for (const boundMs of connect) one.observe('connect', 3, boundMs);
  one.observe('connect', 3, 1e9);
  const { buckets, count, sumMs } = one.read('connect', 3);
  expect(buckets).toEqual(connect.map((boundMs, i) => ({ boundMs, count: i + 1 })));
  expect(count).toBe(connect.length + 1);
  expect(sumMs).toBeCloseTo(
    connect.reduce((sum, bound) => sum + bound, 1e9),
    3,
  );
});

test('writers and rows do not meet, and are read together or alone', () => {
  const buffer = Histograms.bufferOf(2);
  const [first, second, control] = [0, 1, 0].map((writer) => new Histograms(buffer, writer));
  for (const name of ['connect', 'flow', 'check', 'turn'] as const) {
    first!.observe(name, 0, 1);
    second!.observe(name, 0, 2);
    control!.observeAsControl(name, 0, 4);
    expect(first!.read(name, 0)).toMatchObject({ count: 3, sumMs: 7 });
    expect(first!.readOf(1, name, 0)).toMatchObject({ count: 1, sumMs: 2 });
  }
  control!.observeAsControl('check', 4_096, 5);
  second!.observe('flow', 1_023, 6);
  expect(control!.read('check', 4_096)).toMatchObject({ count: 1, sumMs: 5 });
  expect(control!.read('flow', 1_023)).toMatchObject({ count: 1, sumMs: 6 });
  expect(control!.read('check', 4_095).count + control!.read('flow', 1_022).count).toBe(0);
});
