import { expect, it } from 'vitest';
import { Marks } from './marks.ts';

it('Marks forgets all at once, also when its generation wraps', () => {
  const marks = new Marks(2);
  expect(marks.add(1)).toBe(true);
  expect(marks.add(1)).toBe(false);
  expect([marks.has(0), marks.has(1)]).toEqual([false, true]);
  marks.clear();
  expect(marks.has(1)).toBe(false);
  // The mark of generation 1 must not come back when the counter does.
  const early = new Marks(1);
  early.add(0);
  Object.assign(early, { generation: 0xffffffff });
  early.clear();
  expect(early.has(0)).toBe(false);
});
