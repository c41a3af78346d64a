import assert from 'node:assert/strict';
import { test } from 'vitest';
import { PostponedEvents } from './postponed-events.ts';
import { SlotTable } from './slot-table.ts';

function make(): {
  slots: SlotTable<string>;
  events: PostponedEvents<string>;
  add: (name: string, bits: number) => number;
} {
  const slots = new SlotTable<string>();
  const events = new PostponedEvents(slots);
  const add = (name: string, bits: number): number => {
    const slot = slots.take(name);
    events.add(slot, slots.generation(slot), bits);
    return slot;
  };
  return { slots, events, add };
}

/** All that is served, with its bits. */
function served(events: PostponedEvents<string>): string[] {
  const all: string[] = [];
  while (!events.isEmpty) {
    const item = events.shift();
    if (item !== undefined) all.push(`${item} ${events.events}`);
  }
  return all;
}

test('they come in order, and what one has heard twice comes once, in its first place', () => {
  const { slots, events, add } = make();
  const one = add('one', 1);
  add('two', 1);
  events.add(one, slots.generation(one), 4);
  assert.deepEqual(served(events), ['one 5', 'two 1']);
  assert.equal(events.shift(), undefined);
  events.add(one, slots.generation(one), 2);
  assert.deepEqual(served(events), ['one 2']);
});

test('who is gone is not served, nor is the next one in its place for it', () => {
  const { slots, events, add } = make();
  const one = add('one', 1);
  add('two', 1);
  slots.release(one);
  const heir = slots.take('heir');
  assert.equal(heir, one);
  assert.equal(events.take(heir, slots.generation(heir)), 0);
  assert.deepEqual(served(events), ['two 1']);

  slots.release(heir);
  const other = add('other', 2);
  assert.equal(other, one);
  slots.release(other);
  const last = add('last', 8);
  assert.equal(last, one);
  // Without the bits of those who had the place before.
  assert.deepEqual(served(events), ['last 8']);
});

test('what is taken waits no longer, and may wait again', () => {
  const { slots, events, add } = make();
  const one = add('one', 5);
  add('two', 1);
  assert.equal(events.take(one, slots.generation(one)), 5);
  assert.equal(events.take(one, slots.generation(one)), 0);
  events.add(one, slots.generation(one), 8);
  assert.deepEqual(served(events), ['one 8', 'two 1']);
});

test('it grows while some wait, and the order stays', () => {
  const { slots, events, add } = make();
  for (let i = 0; i < 1_000; i++) add(`former ${i}`, 1);
  served(events);
  const names = Array.from({ length: 5_000 }, (_, i) => `${i}`);
  for (const name of names) add(name, 1);
  assert.deepEqual(
    served(events),
    names.map((name) => `${name} 1`),
  );
  assert.equal(slots.size, 6_000);
});
