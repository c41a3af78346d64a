import { describe, expect, test } from 'vitest';
import { parseRedirect } from './places.ts';
import { keySlot, parseSlots } from './slots.ts';

const from = { host: '10.0.0.1', port: 7000 };

describe('the slots of a Redis Cluster', () => {
  // The specification's own check value, and what Redis 7.0 answered to CLUSTER KEYSLOT.
  test.each([
    ['123456789', 12_739],
    ['foo', 12_182],
    ['{user1000}.following', 3_443],
    ['{user1000}.followers', 3_443],
    ['foo{}{bar}', 8_363],
    ['foo{{bar}}zap', 4_015],
    ['{pinion:test:3}:changes', keySlot('pinion:test:3')],
  ])('%s is in slot %i', (key, slot) => expect(keySlot(key)).toBe(slot));

  test('lead to their primaries; a node that does not know its name means itself', () => {
    const table = parseSlots(
      [
        [0, 5_460, ['10.0.0.2', 7001, 'id', []], ['10.0.0.9', 7009, 'id']],
        [5_461, 5_461, [null, 7000]],
        [5_462, 9_000, ['', 7002]],
        [9_001, 9_001, ['?', 7003]],
      ],
      from,
    );
    expect(table.at(0)).toEqual({ host: '10.0.0.2', port: 7001 });
    expect(table.at(5_461)).toEqual(from);
    expect(table.at(9_000)).toEqual({ host: '10.0.0.1', port: 7002 });
    expect([table.at(9_001), table.at(16_383), table.at(16_384), table.at(-1)]).toEqual(
      new Array(4).fill(undefined),
    );
    expect(table.primaries).toHaveLength(3);
  });

  test.each([
    ['no list', null],
    ['a text', 'OK'],
    ['holes', [null]],
    ['a range of texts', [['0', '1', ['10.0.0.2', 1]]]],
    ['a range that ends before it begins', [[5, 4, ['10.0.0.2', 1]]]],
    ['a range without end', [[0, 1e15, ['10.0.0.2', 1]]]],
    ['a range below zero', [[-1, 1, ['10.0.0.2', 1]]]],
    [
      'more primaries than there may be',
      Array.from({ length: 1_001 }, (_, i) => [i, i, ['10.0.0.2', i + 1]]),
    ],
  ])('that make no sense are refused: %s', (_, reply) => {
    expect(() => parseSlots(reply, from)).toThrow(/10\.0\.0\.1:7000: CLUSTER SLOTS/);
  });

  test.each([
    ['none at all', []],
    ['a node without a port', [[0, 1, ['10.0.0.2', null]]]],
    ['a node that is none', [[0, 1, 7]]],
    ['a node whose port is none', [[0, 1, ['10.0.0.2', 70_000]]]],
    ['a node whose name is a path', [[0, 1, ['/etc/passwd\0', 1]]]],
  ])('that nobody serves are said to be so: %s', (_, reply) => {
    expect(() => parseSlots(reply, from)).toThrow('10.0.0.1:7000 knows of no node that serves slots');
  });

  test.each([
    ['MOVED 3999 127.0.0.1:6381', { kind: 'moved', place: { host: '127.0.0.1', port: 6381 } }],
    ['ASK 3999 ::1:6381', { kind: 'ask', place: { host: '::1', port: 6381 } }],
    ['MOVED 3999 :6381', { kind: 'moved', place: { host: '10.0.0.1', port: 6381 } }],
    ['MOVED', undefined],
    ['MOVED x', undefined],
    ['MOVED 1', undefined],
    ['MOVED __proto__ h:1', undefined],
    ['MOVED 1 h', undefined],
    ['MOVED 1 h:0', undefined],
    ['MOVED 1 h:99999', undefined],
    ['ASK 1 :', undefined],
    ['ASK', undefined],
    ['', undefined],
  ])('a redirect: %s', (message, redirect) => expect(parseRedirect(message, from)).toEqual(redirect));
});
