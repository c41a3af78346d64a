import assert from 'node:assert/strict';
import { test } from 'vitest';
import { SlotTable } from './slot-table.ts';

test('a place that was given up finds nothing, also when somebody else has it', () => {
  const table = new SlotTable<string>();
  const slot = table.take('first');
  const generation = table.generation(slot);
  assert.equal(table.find(slot, generation), 'first');
  table.release(slot);
  assert.equal(table.find(slot, generation), undefined);
  assert.equal(table.take('second'), slot);
  assert.equal(table.find(slot, generation), undefined);
  assert.equal(table.find(slot, table.generation(slot)), 'second');
});

test('generations wrap as the 32-bit words they travel in', () => {
  const table = new SlotTable<number>();
  const words = new Int32Array(1);
  for (let i = 0; i < 1000; i++) {
    const slot = table.take(i);
    words[0] = table.generation(slot);
    assert.equal(table.find(slot, words[0]), i);
    table.release(slot);
  }
});

test('places grow beyond the first thousand and are reused before new ones are made', () => {
  const table = new SlotTable<number>();
  const slots = Array.from({ length: 5000 }, (_, i) => table.take(i));
  assert.equal(new Set(slots).size, 5000);
  assert.equal(table.size, 5000);
  for (const slot of slots) table.release(slot);
  assert.equal(table.size, 0);
  assert.ok(table.take(1) < 5000);
  assert.deepEqual(table.all(), [1]);
});

test('giving up a place twice is a defect', () => {
  const table = new SlotTable<string>();
  const slot = table.take('x');
  table.release(slot);
  assert.throws(() => table.release(slot));
  assert.throws(() => table.release(7));
});

test('a slot or generation from nowhere finds nothing', () => {
  const table = new SlotTable<string>();
  table.take('x');
  assert.equal(table.find(99, 0), undefined);
  assert.equal(table.find(-1, 0), undefined);
});
