/** When the kernel's table of connections counts as full. */
import { expect, test } from 'vitest';
import { fullTableLookEveryMs, fullTableMs } from '../core/limits.ts';
import { FullTable } from './full-table.ts';

test('what is dropped is counted from the first look on, over the end of 32 bits, and means full for a while', () => {
  let nowMs = 5_000;
  let drops: number | undefined = 0xffff_fff0;
  const counted: number[] = [];
  const table = new FullTable({
    drops: () => drops,
    dropped: (count) => counted.push(count),
    nowMs: () => nowMs,
  });
  const turn = (next: number | undefined): void => {
    drops = next;
    nowMs += fullTableLookEveryMs;
    table.turn();
  };
  table.turn();
  turn(0xffff_fff0);
  expect([counted, table.isFull()]).toEqual([[], false]);
  turn(4);
  expect([counted, table.isFull()]).toEqual([[20], true]);
  // Not known for once, and not less than before.
  turn(undefined);
  turn(4);
  nowMs += fullTableMs - 2 * fullTableLookEveryMs - 1;
  expect(table.isFull()).toBe(true);
  nowMs++;
  expect([counted, table.isFull()]).toEqual([[20], false]);
});
