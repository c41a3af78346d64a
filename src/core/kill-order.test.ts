import { expect, test } from 'vitest';
import { formatKill, killOverMsMax, parseKill } from './kill-order.ts';

test.each([
  [{}, undefined],
  [{ client: '10.0.0.0/8' }, 0],
  [{ listener: 'a', pool: 'b', backend: 'c', movedTo: 'd' }, killOverMsMax],
])('what one instance writes another reads: %j over %s', (filter, overMs) => {
  expect(parseKill(formatKill('one', { filter, overMs }))).toEqual({ from: 'one', filter, overMs });
});

test.each([
  '',
  '{',
  'null',
  '[]',
  '"all"',
  '{}',
  '{"from":""}',
  '{"from":"one","pool":7}',
  '{"from":"one","pools":"pg"}',
  '{"from":"one","client":"nobody"}',
  '{"from":"one","overMs":-1}',
  '{"from":"one","overMs":1.5}',
  `{"from":"one","overMs":${killOverMsMax + 1}}`,
  `{"from":"one","pool":"${'p'.repeat(257)}"}`,
  '{"from":"one","__proto__":"x"}',
])('%s is nobody of us', (text) => {
  expect(parseKill(text)).toBeUndefined();
});
