import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { pinTextLengthMax, valueLengthMax } from '../pins/pin-text.ts';
import { ShardReplica } from './shard-replica.ts';
import { parseEntry } from './stream-text.ts';

const entry = (...lines: string[]) => ['2-0', ['l', '1-0', 'p', lines.join('\n')]];

test('an entry: what pins are after it', () => {
  const news = [
    { text: 'p/1/10.0.0.1', pxMs: 1_000, value: '1 b w policy 1000 1' },
    { text: 'p/1/10.0.0.2', pxMs: 0, value: '' },
  ];
  const lines = news.map(({ text, pxMs, value }) => `${text}\t${pxMs}\t${value}`);
  expect(parseEntry(entry(...lines))).toEqual({ position: '2-0', previous: '1-0', news });
  expect(parseEntry(entry('', 'p', 'p\t1', 'p\tx\t1', lines[0]!, 'p\t-1\t'))?.news).toEqual([news[0]]);
  for (const other of [undefined, [], ['x', []], [2]]) expect(parseEntry(other)).toBeUndefined();
});

test('texts and values longer than any of ours are left out and counted', () => {
  const leftOut = { lines: 0 };
  const lines = [
    `${'p'.repeat(pinTextLengthMax)}\t1\t${'v'.repeat(valueLengthMax)}`,
    `${'p'.repeat(pinTextLengthMax + 1)}\t1\t`,
    `p\t1\t${'v'.repeat(valueLengthMax + 1)}`,
  ];
  expect(parseEntry(entry(...lines), leftOut)?.news.map(({ text }) => text.length)).toEqual([
    pinTextLengthMax,
  ]);
  expect(leftOut.lines).toBe(2);
});

test('of more lines than a step has, those beyond are not looked at', () => {
  const lines = Array.from({ length: 10_001 }, (_, i) => `p/1/${i}\t1\t`);
  expect(parseEntry(entry(...lines))?.news.length).toBe(10_000);
});

test('what a replica keeps of an entry does not keep the entry', () => {
  const replica = new ShardReplica('me', 10, { learn: () => true, gap: () => {} });
  replica.pulsed({ kind: 'ok', epoch: 'e', last: '0-0' }, 'take', 'me', replica.known);
  replica.beginScan();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const used = (): number => {
    collect();
    return process.memoryUsage().heapUsed;
  };
  const before = used();
  for (let i = 1; i <= 500; i++) {
    const payload = Buffer.from(`p/1/10.0.0.0.0.${i}\t1\t1 b w policy 1 1\n${'x'.repeat(100_000)}${i}`);
    const fields = ['l', `${i - 1}-0`, 'p', payload.toString()];
    replica.heard([parseEntry([`${i}-0`, fields])!]);
  }
  expect((used() - before) / 2 ** 20, 'MiB').toBeLessThan(10);
  expect(replica.needsScan).toBe(true);
});
